package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestPartialAnswers(t *testing.T) {
	with := func(field string) string { return strings.Replace(okBody, `"data"`, field+`,"data"`, 1) }
	for _, c := range []struct {
		name, body string
		partial    bool
		warnings   int
	}{
		{"whole", okBody, false, 0},
		{"a part of Thanos is down", with(`"warnings":["fetch series from store: no such host"]`), true, 1},
		{"a part of VictoriaMetrics is down", with(`"isPartial":true`), true, 1},
		{"VictoriaMetrics is well", with(`"isPartial":false`), false, 0},
		{"the expression is doubtful", with(`"warnings":["PromQL warning: encountered a mix of histograms and floats"]`), false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, _ := fake(t, says(200, c.body))
			reg := prometheus.NewRegistry()
			r := newRemote(t, url, RemoteOptions{Registerer: reg})
			outer, whole := WatchPartial(context.Background())
			ctx, partial := WatchPartial(outer)
			_, notes, err := r.Evaluate(ctx, `up`, t0)
			if err != nil || partial() != c.partial || whole() != c.partial || len(notes) != c.warnings {
				t.Errorf("partial %v and %v, warnings %v, error %v; want %v and %d warnings", partial(), whole(), notes, err, c.partial, c.warnings)
			}
			want := 0.0
			if c.partial {
				want = 1
			}
			if got := testutil.ToFloat64(r.metrics.partial); got != want {
				t.Errorf("foreshock_source_partial_answers_total = %v, want %v", got, want)
			}
		})
	}
}

// Behind a server that hangs a bounded number of queries wait, for a bounded
// time; the rest is told so at once.
func TestSlowServerPilesNothingUp(t *testing.T) {
	asked, release := make(chan struct{}, 100), make(chan struct{})
	url, count := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		io.WriteString(w, okBody)
	})
	reg := prometheus.NewRegistry()
	r := newRemote(t, url, RemoteOptions{Concurrency: 2, Waiting: 3, Registerer: reg, Timeout: time.Minute})
	answers := make(chan error, 20)
	query := func() { _, err := r.query(context.Background(), `up`, t0); answers <- err }
	for range 2 {
		go query()
		<-asked
	}
	for range 3 {
		go query()
	}
	eventually(t, "three queries wait", func() bool { return r.http.waiting.Load() == 3 })
	for range 10 {
		query()
		if err := <-answers; !errors.Is(err, errBusy) || !IsUnavailable(err) {
			t.Errorf("with three waiting: got %v, want that the source is too slow", err)
		}
	}
	if n := count.Load(); n != 2 {
		t.Errorf("the server was asked %d times, want 2", n)
	}
	close(release)
	for range 5 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	want := `
# HELP foreshock_source_queries_refused_total Queries that were not sent, since the source did not keep up with those before.
# TYPE foreshock_source_queries_refused_total counter
foreshock_source_queries_refused_total 10
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "foreshock_source_queries_refused_total"); err != nil {
		t.Error(err)
	}
}

// Nobody waits longer for a turn than a query may take.
func TestSlowServerTurns(t *testing.T) {
	asked := make(chan struct{}, 1)
	url, _ := fake(t, func(_ http.ResponseWriter, r *http.Request) { asked <- struct{}{}; <-r.Context().Done() })
	r := newRemote(t, url, RemoteOptions{Concurrency: 1, Timeout: time.Millisecond})
	r.http.slots <- struct{}{} // somebody whose query takes for ever
	_, err := r.query(context.Background(), `up`, t0)
	wantError(t, err, "no turn within 1ms")
	<-r.http.slots
	select {
	case <-asked:
		t.Error("the server was asked")
	default:
	}
}

// A query that had no answer in time is not asked again, whatever the retries.
func TestNoRetryOfWhatIsTooSlow(t *testing.T) {
	url, asked := fake(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := newRemote(t, url, RemoteOptions{Retries: 3, Timeout: time.Millisecond})
	_, err := r.query(context.Background(), `up`, t0)
	wantError(t, err, "no answer within")
	if n := asked.Load(); n != 2 { // the second asks whether the server answers at all
		t.Errorf("the server was asked %d times, want 2", n)
	}
}
