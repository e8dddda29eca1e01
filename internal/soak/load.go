package main

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// load serves the series: pages of as many targets as it takes, with the values
// of a gauge that varies around a mean of its own by a daily rhythm and noise.
// Every hundredth series is a counter instead.
type load struct {
	*httptest.Server
	o      options
	scrape atomic.Int64 // pages that were served
}

func newLoad(o options) *load {
	l := &load{o: o}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/target/"))
		if err != nil || k < 0 || k >= l.targets() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		l.scrape.Add(1)
		_, _ = w.Write(l.page(k, time.Now())) // foreshock may have gone away
	}))
	return l
}

func (l *load) targets() int { return (l.o.series + l.o.perPage - 1) / l.o.perPage }

// services is how many services the series belong to.
const services = 50

// page is what a target exposes.
func (l *load) page(target int, now time.Time) []byte {
	var b bytes.Buffer
	b.Grow(96 * l.o.perPage)
	b.WriteString("# TYPE soak_requests_total counter\n")
	from, to := target*l.o.perPage, min((target+1)*l.o.perPage, l.o.series)
	day := math.Sin(2 * math.Pi * float64(now.Unix()%86400) / 86400)
	for k := from; k < to; k += 100 {
		fmt.Fprintf(&b, "soak_requests_total{service=\"s%d\",n=\"%d\"} %d\n", k%services, k, now.Unix()*int64(1+k%7)+int64(noise(k, now.Unix())*3))
	}
	b.WriteString("# TYPE soak_gauge gauge\n")
	for k := from; k < to; k++ {
		if k%100 == from%100 {
			continue
		}
		judged := "no"
		if k%l.o.series < l.o.judged {
			judged = strconv.Itoa(k / ruleSize)
		}
		mean := float64(10 + k%90)
		value := mean * (1 + 0.2*day + 0.02*noise(k, now.Unix()))
		// A step of 1/64, since no exporter measures sixteen digits.
		fmt.Fprintf(&b, "soak_gauge{service=\"s%d\",n=\"%d\",judged=\"%s\"} %g\n", k%services, k, judged, math.Round(value*64)/64)
	}
	return b.Bytes()
}

// ruleSize is how many series one detection rule judges.
const ruleSize = 10_000

// noise is near to a normal distribution, and the same for the same series and time.
func noise(k int, at int64) float64 {
	x := uint64(k)*0x9E3779B97F4A7C15 ^ uint64(at)*0xBF58476D1CE4E5B9
	sum := 0.0
	for range 4 {
		x ^= x >> 31
		x *= 0x94D049BB133111EB
		x ^= x >> 29
		sum += float64(x>>11) / (1 << 53)
	}
	return (sum - 2) * math.Sqrt(3)
}

// configure writes the configuration and the rules.
func (l *load) configure(dir string) error {
	var targets, rules strings.Builder
	for k := range l.targets() {
		fmt.Fprintf(&targets, "  - {targets: [%q], labels: {__metrics_path__: /target/%d, target: \"%d\"}}\n", strings.TrimPrefix(l.URL, "http://"), k, k)
	}
	config := fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: shadow, interval: %[1]s}
scrape_configs:
- job_name: soak
  static_configs:
%[2]s`, l.o.interval, targets.String())
	fmt.Fprintf(&rules, `groups:
- name: services
  rules:
  - {record: "service:soak_requests:rate", expr: "sum by (service) (rate(soak_requests_total[%s]))"}
  - {detect: Traffic, expr: "service:soak_requests:rate", signal: traffic}
  - {detect: Level, expr: "avg by (service) (soak_gauge)", signal: saturation}
  - {alert: Gone, expr: "up == 0", for: 1m}
`, 4*l.o.interval)
	for k := 0; k*ruleSize < l.o.judged; k++ {
		fmt.Fprintf(&rules, `- name: judged-%[1]d
  rules:
  - {detect: Gauge%[1]d, expr: 'soak_gauge{judged="%[1]d"}', signal: saturation}
`, k)
	}
	for name, text := range map[string]string{"foreshock.yml": config, "rules.yml": rules.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}
