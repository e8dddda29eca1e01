package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// ranged is a store whose range queries are looked at first.
func ranged(s Store, look func(from, to time.Time, step time.Duration) error) Store {
	answer := s.Range
	s.Range = func(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
		if err := look(from, to, step); err != nil {
			return nil, err
		}
		return answer(ctx, expr, from, to, step)
	}
	return s
}

// Where an answer is too large, less is asked, and not more again later.
func TestWindowsHalveWhatIsTooLarge(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	for _, most := range []int{1, 2, 7, 100} {
		refused, asked := 0, 0
		s := ranged(in.Store(), func(from, to time.Time, step time.Duration) error {
			asked++
			if n := int(to.Sub(from)/step) + 1; n > most {
				refused++
				return fmt.Errorf("%d points: %w", n, errTooLarge)
			}
			return nil
		})
		w := NewWindows(WindowsOptions{Store: s})
		for i := range 200 {
			ts := t0.Add(time.Duration(i) * 15 * time.Second)
			if got, want := mustQuery(t, w.For(15*time.Second), `up`, ts), mustQuery(t, in.query, `up`, ts); text(got) != text(sorted(want)) {
				t.Fatalf("at most %d points: step %d: got %s, want %s", most, i, text(got), text(want))
			}
		}
		if st := w.Stats(); refused > 9 || asked-refused > 2*200/most+1 || st.Instant > 0 {
			t.Errorf("at most %d points: %d of %d range queries were too large, stats %+v", most, refused, asked, st)
		}
		w.Close()
	}
}

// A single step that is too large is asked as an instant query.
func TestWindowsTooLargeAtOneStep(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	s := ranged(in.Store(), func(time.Time, time.Time, time.Duration) error { return errTooLarge })
	w := NewWindows(WindowsOptions{Store: s})
	defer w.Close()
	for i := range 20 {
		mustQuery(t, w.For(time.Minute), `up`, t0.Add(time.Duration(i)*time.Minute))
	}
	if st := w.Stats(); st.Instant != 20 {
		t.Errorf("stats %+v: want instant queries only", st)
	}
}

func TestWindowsAskForAtMostMaxPoints(t *testing.T) {
	in := temporary(t)
	shop(t, in.db)
	longest := 0
	s := ranged(in.Store(), func(from, to time.Time, step time.Duration) error {
		longest = max(longest, int(to.Sub(from)/step)+1)
		return nil
	})
	w := NewWindows(WindowsOptions{Store: s, Steps: 1_000_000})
	defer w.Close()
	mustQuery(t, w.For(time.Second), `up`, t0)
	if longest != maxPoints {
		t.Errorf("asked for %d points, want %d", longest, maxPoints)
	}
}

// What the real Prometheus says of too much is understood.
func TestWindowsPrometheusLimits(t *testing.T) {
	const n = 5 * 60
	p, _ := prometheusWithPast(t, n)
	r := newRemote(t, p.URL, RemoteOptions{})
	_, err := r.queryRange(context.Background(), `past`, t0, t0.Add(20_000*time.Second), time.Second)
	if !isTooLarge(err) || IsUnavailable(err) {
		t.Errorf("more than 11,000 points: got %v", err)
	}
	_, err = r.queryRange(context.Background(), `past`, t0, t0.Add((maxPoints-1)*time.Second), time.Second)
	if err != nil {
		t.Errorf("%d points: %v", maxPoints, err)
	}
	_, err = r.query(context.Background(), `past * on () past`, t0)
	if !isAnswer(err) || IsUnavailable(err) || isTooLarge(err) {
		t.Errorf("a query that fails: got %v", err)
	}
	_, err = r.query(context.Background(), `past(`, t0)
	if err == nil || IsUnavailable(err) {
		t.Errorf("a broken query: got %v", err)
	}
	p.Kill(t)
	_, err = r.query(context.Background(), `past`, t0)
	if !IsUnavailable(err) {
		t.Errorf("after its end: got %v", err)
	}
}

// A server that stops answering halfway: the replay learns it at once, and the
// queries after it do not wait.
func TestWindowsFailFast(t *testing.T) {
	behind := temporary(t)
	shop(t, behind.db)
	api := queryAPI(behind)
	var asked atomic.Int32
	var down atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, "no upstream")
			return
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	for _, fast := range []bool{true, false} {
		r := newRemote(t, s.URL+"/prom", RemoteOptions{Retries: 2})
		w := NewWindows(WindowsOptions{Store: Overlay(r.Store(), temporary(t), nil), Steps: 10, FailFast: fast})
		defer w.Close()
		down.Store(false)
		failed, before := -1, int32(0)
		for i := range 60 {
			if i == 25 {
				down.Store(true)
				before = asked.Load()
			}
			_, err := w.For(15*time.Second)(context.Background(), `up`, t0.Add(time.Duration(i)*15*time.Second))
			switch {
			case err == nil && i >= 30:
				t.Errorf("step %d: no error while the server is down", i)
			case err != nil && !IsUnavailable(err):
				t.Errorf("step %d: %v, want that the source is unavailable", i, err)
			case err != nil && failed < 0:
				failed = i
				wantError(t, err, s.URL, "502", "no upstream")
			}
			if got := w.Err(); (got != nil) != (failed >= 0) {
				t.Fatalf("step %d: Err() is %v after the failure at %d", i, got, failed)
			}
		}
		if failed != 30 {
			t.Errorf("failed at step %d, want 30: 20 to 29 were fetched before", failed)
		}
		// Three attempts and one small query which tells whether the server or the query fails.
		if n := asked.Load() - before; fast && n != 4 || !fast && n <= 4 {
			t.Errorf("fail fast %v: asked %d times while the server was down", fast, n)
		}
	}
}

// A query that the server alone cannot answer is not the server's end.
func TestWindowsOneQueryFails(t *testing.T) {
	behind := temporary(t)
	shop(t, behind.db)
	api := queryAPI(behind)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.FormValue("query"), "up") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	r := newRemote(t, s.URL+"/prom", RemoteOptions{Retries: 1})
	w := NewWindows(WindowsOptions{Store: r.Store(), FailFast: true})
	defer w.Close()
	if _, err := w.For(time.Minute)(context.Background(), `up`, t0); err == nil || IsUnavailable(err) {
		t.Errorf("up: got %v, want an error of this query alone", err)
	}
	if len(mustQuery(t, w.For(time.Minute), `pool_in_use`, t0)) == 0 || w.Err() != nil {
		t.Errorf("another query: no answer, Err() is %v", w.Err())
	}
}

// The end of the replay's own context is not the source's.
func TestWindowsCanceledIsNotUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Store{Range: func(ctx context.Context, _ string, _, _ time.Time, _ time.Duration) (promql.Matrix, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		w := NewWindows(WindowsOptions{Store: s, FailFast: true})
		defer w.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := w.For(time.Minute)(ctx, `up`, t0)
		if !errors.Is(err, context.DeadlineExceeded) || IsUnavailable(err) || w.Err() != nil {
			t.Errorf("got %v, Err() %v", err, w.Err())
		}
	})
}
