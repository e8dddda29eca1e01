package source

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A late sample is taken within the window of the configuration and refused
// beyond it; what our own rules write is left out.
func TestReceiverOutOfOrder(t *testing.T) {
	for _, c := range []struct {
		config string
		late   time.Duration
		ok     bool
	}{
		{"global: {}", 5 * time.Minute, false},
		{"storage: {tsdb: {out_of_order_time_window: 10m}}", 5 * time.Minute, true},
		{"storage: {tsdb: {out_of_order_time_window: 10m}}", 15 * time.Minute, false},
	} {
		t.Run(fmt.Sprintf("%s, %s late", c.config, c.late), func(t *testing.T) {
			l := local(t, LocalOptions{})
			if err := l.ApplyConfig(loadConfig(t, c.config)); err != nil {
				t.Fatal(err)
			}
			reg := prometheus.NewRegistry()
			h, err := l.Receiver(reg, func() map[string]bool { return map[string]bool{"anomaly_score": true} })
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			send := func(series string, at time.Time) error {
				app := pusher{t, s.URL}.Appender(t.Context())
				if _, err := app.Append(0, mustLabels(series), at.UnixMilli(), 1); err != nil {
					t.Fatal(err)
				}
				return app.Commit()
			}
			if err := send(`queue{i="a"}`, t0.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := send(`anomaly_score{i="a"}`, t0.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			late := t0.Add(time.Hour - c.late)
			err = send(`queue{i="a"}`, late)
			if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "400") {
				t.Errorf("a late sample: %v, want that it is taken: %v", err, c.ok)
			}
			if n := len(mustQuery(t, l.query, `queue`, late)); (n == 1) != c.ok {
				t.Errorf("%d series have the late sample, want that it is there: %v", n, c.ok)
			}
			if n := len(mustQuery(t, l.query, `anomaly_score`, t0.Add(time.Hour))); n != 0 {
				t.Error("a series with the name of a result of ours was taken")
			}
			if n := testutil.CollectAndCount(reg, "foreshock_remote_write_own_samples_total"); n != 1 {
				t.Errorf("got %d counters of what was left out, want 1", n)
			}
		})
	}
}
