// Package starter writes a first configuration for a system that nobody has
// described: which signal a metric measures is read from its name, type and
// labels, by rules that the comments in what is written say again.
//
// What a rule pack knows is left to the pack.
//
// Names are taken as Prometheus's conventions have them (what is measured, then
// the unit, `_total` for counters). What is not understood is listed, not guessed.
package starter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Metric is what is known of one metric.
type Metric struct {
	Name string
	Type string // counter, gauge, histogram or summary; "" where that is not told
	// Labels are the values by label name. A hundred of each are enough.
	Labels map[string][]string
}

// System is what a configuration is written for.
type System struct {
	Metrics  []Metric      // in any order; of the same name the first counts
	Interval time.Duration // distance of samples; 0: 1 minute
	// History is how far the samples reach back: a budget beyond it would be a
	// guess. 0: 30 days or more.
	History time.Duration
	// Entries are the services whose users are people, where a graph tells them:
	// objectives are theirs, but for metrics that none of them has.
	Entries []string
	// SourceURL is the server that is asked; "" where there is none, as with recorded cases.
	SourceURL string
	Mode      string // shadow (also for ""), ticket or page
	// Brief is for a file that people read first: packs where they have data, and few
	// rules beside them. Without it there is no pack, and a rule for every metric
	// that is understood.
	Brief bool
}

// Files are what was written, to be kept side by side.
type Files struct {
	Config string // foreshock.yml
	Rules  string // rules.yml
}

const (
	// maxRules bounds the metrics that get a rule; further ones are listed.
	maxRules = 200
	// briefRules is the same of a brief file, and briefAlike of metrics with the same
	// prefix and role.
	briefRules, briefAlike = 30, 2
)

// ErrNothing says that no metric was understood.
var ErrNothing = errors.New("no metric has a name that says latency, errors, traffic or saturation, with a label that names its service")

// Write makes a configuration. The same system gives the same text.
func Write(s System) (Files, error) {
	if s.Interval <= 0 {
		s.Interval = time.Minute
	}
	if s.Mode == "" {
		s.Mode = "shadow"
	}
	w := &writer{System: s, metrics: map[string]Metric{}, taken: map[string]bool{}}
	for _, m := range s.Metrics {
		if _, ok := w.metrics[m.Name]; !ok && !ours(m.Name) {
			w.metrics[m.Name] = m
			w.names = append(w.names, m.Name)
		}
	}
	slices.Sort(w.names)
	w.identity = w.findIdentity()
	if s.Brief {
		if err := w.choosePacks(); err != nil {
			return Files{}, err
		}
	}
	w.sort()
	if len(w.found)+len(w.packs) == 0 {
		return Files{}, ErrNothing
	}
	rules := w.rules()
	return Files{Config: w.config(), Rules: rules}, nil
}

// ours are series that Foreshock and Prometheus write themselves: no evidence.
func ours(name string) bool {
	return name == "anomaly_score" || name == "yhat_lower" || name == "yhat_upper" || name == "up" || name == "ALERTS" || name == "ALERTS_FOR_STATE" ||
		strings.HasPrefix(name, "foreshock_") || strings.HasPrefix(name, "scrape_") || strings.HasSuffix(name, "_created")
}

// writer gathers what is written.
type writer struct {
	System
	metrics  map[string]Metric
	names    []string // sorted
	identity []string
	packs    []usedPack
	packed   map[string]string // what a metric is left to: the name of a pack
	found    []finding         // in order of role and name
	left     []string          // names that were not used, sorted
	cut      []string          // names that were understood and are too many, sorted
	taken    map[string]bool   // names of rules
}

// serviceLabels name a service, the best first.
var serviceLabels = []string{"service", "service_name", "app", "application", "workload", "deployment", "job"}

// findIdentity takes the first label that names the service of at least half of
// the metrics, or else that of most; cluster and namespace where half have them.
func (w *writer) findIdentity() []string {
	// Metrics of exporters bear the label of whom they are about under another name.
	elsewhere := map[string]bool{}
	for _, p := range w.known() {
		if !slices.Contains(p.ServiceLabels, unlikely) {
			for _, m := range w.names {
				elsewhere[m] = elsewhere[m] || sameOrigin(m, p)
			}
		}
	}
	count, of := map[string]int{}, 0
	for _, m := range w.metrics {
		if _, _, ok := m.ends(); ok || elsewhere[m.Name] {
			continue
		}
		of++
		for l := range m.Labels {
			count[l]++
		}
	}
	best := serviceLabels[0]
	for _, l := range slices.Backward(serviceLabels) {
		if 2*count[l] >= of && count[l] > 0 || count[l] > count[best] && 2*count[best] < of {
			best = l
		}
	}
	var out []string
	for _, l := range []string{"cluster", "namespace"} {
		if 2*count[l] >= of && count[l] > 0 {
			out = append(out, l)
		}
	}
	return append(out, best)
}

// service is the label that holds the service's own name.
func (w *writer) service() string { return w.identity[len(w.identity)-1] }

// by is the identity and more labels as PromQL takes them.
func (w *writer) by(more ...string) string {
	return strings.Join(slices.Concat(w.identity, more), ", ")
}

// window is the range of rates: four samples, so that one may be missing.
func (w *writer) window() string { return duration(max(time.Minute, 4*w.Interval)) }

// step is the distance of evaluations. Samples that are a minute or more apart
// are looked at three times in between: none waits long for the next evaluation.
// A server is not asked more often than every five seconds.
func (w *writer) step() time.Duration {
	switch {
	case w.Interval >= time.Minute:
		return w.Interval / 3
	case w.SourceURL != "":
		return max(w.Interval, 5*time.Second)
	}
	return w.Interval
}

// budget of a series is one false alarm per history, up to 30 days. Below two
// days it is one in 360 samples, from one to four a day: rarer values are not
// known yet, and it is corroboration that decides what is sent.
func (w *writer) budget() string {
	const day = 24 * time.Hour
	days := int(w.History / day)
	switch {
	case w.History <= 0 || days >= 30:
		return "" // the default, 1 per 30d
	case days < 2:
		return fmt.Sprintf("%d per 1d", min(4, max(1, day/(360*w.Interval))))
	}
	return fmt.Sprintf("1 per %dd", days)
}

// duration as Prometheus writes it, in whole units.
func duration(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", max(1, d/time.Second))
}
