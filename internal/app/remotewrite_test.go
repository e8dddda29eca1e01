package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/foreshock/foreshock/internal/peers"
)

// A Prometheus writes what it scrapes to us, in both versions of the protocol;
// what we make of it we write to another Prometheus. What carries the name of a
// result of ours is left out on the way in.
func TestRemoteWrite(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			store := peers.Prometheus(t, "global: {}\n")
			s := startServer(t, Options{EnableWriteReceiver: true}, "foreshock.yml", fmt.Sprintf(`
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: shadow}
remote_write:
- url: %s/api/v1/write
  write_relabel_configs: [{source_labels: [__name__], regex: 'service:.*|anomaly_.*|yhat_.*', action: keep}]
`, store.URL), "rules.yml", `
groups:
- name: shop
  rules:
  - {record: "service:queue:max", expr: max by (service) (queue_depth)}
  - {detect: Queue, expr: queue_depth, signal: saturation}
`)
			// Prometheus's sender leaves its idle connections to their time-out.
			for _, f := range []string{"readLoop", "writeLoop"} {
				s.left = append(s.left, goleak.IgnoreAnyFunction("net/http.(*persistConn)."+f))
			}
			s.awaitReady()
			exporter := newTarget(t, "queue_depth{service=\"checkout\"} 10.5\nanomaly_score{service=\"checkout\",rule=\"Theirs\"} 7\n")
			peers.Prometheus(t, fmt.Sprintf(catalogScrape, exporter.address())+fmt.Sprintf(`
remote_write:
- url: %s/api/v1/write
  protobuf_message: %s
  queue_config: {batch_send_deadline: 200ms}
`, strings.TrimSuffix(s.url, "/"), message))
			s.awaitSeries(`queue_depth{service="checkout",job="shop"} == 10.5`, `service:queue:max == 10.5`, `up{job="shop"} == 1`)
			s.awaitMetric("foreshock_remote_write_own_samples_total", positive)
			if got, err := s.query(`anomaly_score{rule="Theirs"}`); err != nil || len(got) > 0 {
				t.Errorf("a foreign score was taken in: %v %v", got, err)
			}
			theirs := &running{t: t, url: store.URL, log: s.log}
			theirs.awaitSeries(`service:queue:max{service="checkout"} == 10.5`)
			if got, err := theirs.query("up"); err != nil || len(got) > 0 {
				t.Errorf("more was sent than selected: %v %v", got, err)
			}
		})
	}
}

func TestRemoteWriteRefuses(t *testing.T) {
	const config = "identity: [service]\nincidents: {mode: shadow}\n"
	snappyOfGigabytes := append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, bytes.Repeat([]byte{0}, 100)...)
	for _, c := range []struct {
		name string
		off  bool
		body io.Reader
		want int
	}{
		{"garbage", false, strings.NewReader("garbage"), http.StatusBadRequest},
		{"decompresses to gigabytes", false, bytes.NewReader(snappyOfGigabytes), http.StatusBadRequest},
		{"a large body", false, bytes.NewReader(make([]byte, 17<<20)), http.StatusRequestEntityTooLarge},
		{"without the flag", true, strings.NewReader("garbage"), http.StatusNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t, Options{EnableWriteReceiver: !c.off}, "foreshock.yml", config)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(s.url, "/")+"/api/v1/write", c.body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-protobuf")
			req.Header.Set("Content-Encoding", "snappy")
			req.Header.Set("Expect", "100-continue") // the answer comes before the body goes
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if resp.StatusCode != c.want {
				t.Errorf("status %d, want %d\n%s %v", resp.StatusCode, c.want, b, err)
			}
		})
	}
}
