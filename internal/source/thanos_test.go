//go:build thanos

package source

import (
	"context"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/peers"
)

// The conformance test over Thanos Query, and its partial answers.
func TestServersThanos(t *testing.T) {
	query, sidecar, prometheus := peers.Thanos(t)
	d := prometheusDialect
	d.told = func(t *testing.T, url string) {
		r := newRemote(t, url, RemoteOptions{})
		eventually(t, "the query finds what Prometheus has", func() bool {
			v, err := r.query(context.Background(), `count(up)`, t0.Add(time.Minute))
			return err == nil && len(v) == 1
		})
	}
	testServer(t, query.URL, pusher{t, prometheus.URL}, d)

	// A store that fails makes an answer partial, which is said; it is not
	// taken for the whole truth.
	prometheus.Stop(t)
	r := newRemote(t, query.URL, RemoteOptions{})
	eventually(t, "a warning", func() bool {
		_, notes, err := r.Evaluate(context.Background(), `up`, t0.Add(time.Minute))
		return err == nil && len(notes) > 0
	})
	sidecar.Stop(t)
}
