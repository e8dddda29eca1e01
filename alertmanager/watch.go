package alertmanager

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// watchLimit is how many alerts a Watcher keeps of an answer.
const watchLimit = 10_000

// WatcherOptions say what a Watcher reads and how often.
type WatcherOptions struct {
	// Read gives the active alerts, for instance [Sender.Active]. It is called from one
	// goroutine, and has to end when its context does.
	Read func(ctx context.Context, filter ...string) ([]Alert, error)
	// Every is the distance of two readings; it is asked before each of them. Below a second it is one.
	Every      func() time.Duration
	Limit      int                   // alerts kept of an answer, the first by labels; 0: 10,000
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nothing
}

// Answer is what a Watcher last heard. It is never changed.
type Answer struct {
	Alerts []Alert   // of the last reading that went well, sorted by labels
	Read   time.Time // when that began; zero: none did yet
	Err    error     // of the last reading; nil: it went well, or there was none yet
}

// Watcher reads the active alerts at intervals, so that whoever needs them takes the last answer and never
// waits for an Alertmanager. A reading that fails leaves the last answer in place.
type Watcher struct {
	o      WatcherOptions
	answer atomic.Pointer[Answer]

	failures, leftOut prometheus.Counter
	said              bool // that reading fails is in the log
}

// NewWatcher returns a Watcher that has read nothing yet.
func NewWatcher(o WatcherOptions) *Watcher {
	o.Limit = cmp.Or(o.Limit, watchLimit)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{
		o: o,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_alertmanager_read_failures_total", Help: "Times that no Alertmanager could be asked for its active alerts.",
		}),
		leftOut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_alertmanager_alerts_left_out_total", Help: "Active alerts of Alertmanager over the limit of one reading.",
		}),
	}
	w.answer.Store(&Answer{})
	if o.Registerer != nil {
		o.Registerer.MustRegister(w.failures, w.leftOut,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "foreshock_alertmanager_alerts", Help: "Active alerts that were last read from Alertmanager.",
			}, func() float64 { return float64(len(w.Last().Alerts)) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "foreshock_alertmanager_read_last_success_timestamp_seconds", Help: "When the active alerts were last read from Alertmanager; 0: not yet.",
			}, func() float64 {
				if at := w.Last().Read; !at.IsZero() {
					return float64(at.UnixMilli()) / 1000
				}
				return 0
			}))
	}
	return w
}

// Last returns the last answer. It never waits.
func (w *Watcher) Last() Answer { return *w.answer.Load() }

// Run reads until the context ends.
func (w *Watcher) Run(ctx context.Context) {
	for {
		w.read(ctx)
		wait := time.NewTimer(max(w.o.Every(), time.Second))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

func (w *Watcher) read(ctx context.Context) {
	begin := time.Now()
	alerts, err := w.o.Read(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, ErrNone):
		// Nobody is there to be asked, so there is nothing to be missed.
		w.answer.Store(&Answer{})
		return
	case err != nil:
		w.failures.Inc()
		last := w.Last()
		last.Err = err
		w.answer.Store(&last)
		if !w.said {
			w.said = true
			w.o.Logger.Warn("active alerts cannot be read from any Alertmanager; the last answer goes on", "read", last.Read, "err", err)
		}
		return
	}
	if n := len(alerts) - w.o.Limit; n > 0 {
		w.leftOut.Add(float64(n))
		if !w.said {
			w.said = true
			w.o.Logger.Warn("too many active alerts; the last by labels are left out", "limit", w.o.Limit, "left_out", n)
		}
		alerts = alerts[:w.o.Limit]
	} else if w.said {
		w.said = false
		w.o.Logger.Info("active alerts are read from Alertmanager again")
	}
	w.answer.Store(&Answer{Alerts: alerts, Read: begin})
}
