package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/peers"
)

// watching runs a Watcher in a bubble until the test ends.
func watching(t *testing.T, o WatcherOptions) *Watcher {
	t.Helper()
	o.Every = func() time.Duration { return 15 * time.Second }
	w := NewWatcher(o)
	peers.Run(t, func(ctx context.Context) error { w.Run(ctx); return nil })
	synctest.Wait()
	return w
}

func named(names ...string) []Alert {
	var out []Alert
	for _, n := range names {
		out = append(out, Alert{Labels: labels.FromStrings("alertname", n)})
	}
	return out
}

func TestWatcherKeepsTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type said struct {
			alerts []Alert
			err    error
		}
		var next atomic.Pointer[said]
		next.Store(&said{})
		reg := prometheus.NewRegistry()
		w := watching(t, WatcherOptions{Limit: 2, Registerer: reg, Read: func(context.Context, ...string) ([]Alert, error) {
			s := next.Load()
			return s.alerts, s.err
		}})
		begin := time.Now()
		f := func(alerts []Alert, err error, want Answer) {
			t.Helper()
			next.Store(&said{alerts, err})
			time.Sleep(15 * time.Second)
			synctest.Wait()
			got := w.Last()
			if fmt.Sprint(got.Alerts) != fmt.Sprint(want.Alerts) || !got.Read.Equal(want.Read) || !errors.Is(got.Err, want.Err) || (got.Err == nil) != (want.Err == nil) {
				t.Errorf("after %s the answer is %v of %s (%v), want %v of %s (%v)", time.Since(begin), got.Alerts, got.Read, got.Err, want.Alerts, want.Read, want.Err)
			}
		}
		at := func(n int) time.Time { return begin.Add(time.Duration(n) * 15 * time.Second) }
		f(named("a"), nil, Answer{Alerts: named("a"), Read: at(1)})
		f(nil, errRefused, Answer{Alerts: named("a"), Read: at(1), Err: errRefused})
		f(nil, errRefused, Answer{Alerts: named("a"), Read: at(1), Err: errRefused})
		f(named("a", "b", "c", "d"), nil, Answer{Alerts: named("a", "b"), Read: at(4)})
		f(nil, nil, Answer{Read: at(5)})
		f(nil, ErrNone, Answer{}) // nobody is configured any more
		for name, want := range map[string]float64{
			"foreshock_alertmanager_read_failures_total": 2, "foreshock_alertmanager_alerts_left_out_total": 2,
			"foreshock_alertmanager_alerts": 0, "foreshock_alertmanager_read_last_success_timestamp_seconds": 0,
		} {
			if got := metricValue(t, reg, name); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
	})
}

// One that never answers delays nobody who asks for the last answer, and ends when it has to.
func TestWatcherDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		w := watching(t, WatcherOptions{Read: func(ctx context.Context, _ ...string) ([]Alert, error) {
			if hangs.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return named("a"), nil
		}})
		hangs.Store(true)
		time.Sleep(time.Hour)
		begin := time.Now()
		if got := w.Last(); len(got.Alerts) != 1 || got.Err != nil || !time.Now().Equal(begin) {
			t.Errorf("the last answer is %v (%v) after %s, want the first one at once", got.Alerts, got.Err, time.Since(begin))
		}
	})
}
