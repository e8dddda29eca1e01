package source

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// A target whose body never ends is cut off and is down; its neighbour is scraped.
func TestEndlessTarget(t *testing.T) {
	server := func(h http.HandlerFunc) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.SetKeepAlivesEnabled(false)
		s.Start()
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	endless := server(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		line := []byte(strings.Repeat("a 1\n", 1<<10))
		for r.Context().Err() == nil {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	good := server(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, "b 1\n")
	})
	l := local(t, LocalOptions{BodySizeLimit: 1 << 20, DiscoveryInterval: 1})
	cfg := loadConfig(t, fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: x, static_configs: [{targets: [%q, %q]}]}]
`, endless, good))
	if err := l.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	eventually(t, "the endless target is down and says why, the good one is up", func() bool {
		said, up := false, false
		for _, pool := range l.Targets() {
			for _, target := range pool.Active {
				said = said || strings.Contains(target.Error, "body size limit exceeded")
				up = up || target.Health == "up" && strings.Contains(target.URL, good)
			}
		}
		return said && up
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Where the configuration has a limit, that one holds.
func TestBodySizeLimitOfTheConfiguration(t *testing.T) {
	l := local(t, LocalOptions{})
	cfg := loadConfig(t, `
scrape_configs:
- {job_name: own, body_size_limit: 1GB, static_configs: [{targets: [a]}]}
- {job_name: none, static_configs: [{targets: [b]}]}
`)
	if err := l.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	jobs, err := cfg.GetScrapeConfigs()
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		want := map[string]int64{"own": 1 << 30, "none": DefaultBodySizeLimit}[j.JobName]
		if int64(j.BodySizeLimit) != want {
			t.Errorf("job %s: limit %d, want %d", j.JobName, int64(j.BodySizeLimit), want)
		}
	}
}

// Whatever is posted as remote write, of either version: an answer, and no panic.
func FuzzReceiver(f *testing.F) {
	one := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "up"}, {Name: "a", Value: "b"}},
		Samples: []prompb.Sample{{Value: 1, Timestamp: t0.UnixMilli()}},
	}}}
	b, err := one.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, true, false)
	two := writev2.Request{
		Symbols:    []string{"", "__name__", "up"},
		Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 1, Timestamp: t0.UnixMilli()}}}},
	}
	if b, err = two.Marshal(); err != nil {
		f.Fatal(err)
	}
	f.Add(b, true, true)
	two.Timeseries[0].LabelsRefs = []uint32{1, 99}
	if b, err = two.Marshal(); err != nil {
		f.Fatal(err)
	}
	f.Add(b, true, true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, false, false)
	l := temporary(f)
	handler, err := l.Receiver(prometheus.NewRegistry(), func() map[string]bool { return map[string]bool{"anomaly_score": true} })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, compress, second bool) {
		if compress {
			body = snappy.Encode(nil, body)
		}
		r := httptest.NewRequest(http.MethodPost, "/api/v1/write", strings.NewReader(string(body)))
		r.Header.Set("Content-Encoding", "snappy")
		r.Header.Set("Content-Type", "application/x-protobuf")
		if second {
			r.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code/100 != 2 && w.Code/100 != 4 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
