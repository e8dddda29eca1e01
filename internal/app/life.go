package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/foreshock/foreshock/internal/source"
)

// life takes the samples of the demo's simulated shop: the past as fast as it
// comes, and from then on each step when its time has come, so that there is no
// gap between the past and the live shop.
type life struct {
	ctx        context.Context
	history    *source.History
	appendable storage.Appendable
	until      int64 // ms; the end of the past

	caught chan struct{} // closed when the past is written
	stop   chan struct{} // closed when the live shop takes over
	ended  chan error    // of the simulation
	past   bool
	app    storage.Appender // of the running step, after the past
}

// errTakenOver ends the simulation when the live shop opens.
var errTakenOver = errors.New("the live shop takes over")

func newLife(ctx context.Context, h *source.History, a storage.Appendable, until time.Time) *life {
	return &life{
		ctx: ctx, history: h, appendable: a, until: until.UnixMilli(), past: true,
		caught: make(chan struct{}), stop: make(chan struct{}), ended: make(chan error, 1),
	}
}

// Append implements the simulation's sink.
func (l *life) Append(ref uint64, ls labels.Labels, t int64, v float64) (uint64, error) {
	if l.past {
		return l.history.Append(ref, ls, t, v)
	}
	if l.app == nil {
		l.app = l.appendable.Appender(l.ctx)
	}
	r, err := l.app.Append(storage.SeriesRef(ref), ls, t, v)
	return uint64(r), err
}

// Commit implements the simulation's sink.
func (l *life) Commit(t int64) error {
	if l.past {
		if err := l.history.Commit(t); err != nil || t < l.until {
			return err
		}
		l.past = false
		defer close(l.caught)
		return l.history.Close()
	}
	wait := time.NewTimer(time.Until(time.UnixMilli(t)))
	defer wait.Stop()
	select {
	case <-l.ctx.Done():
		return errors.Join(l.app.Rollback(), context.Cause(l.ctx))
	case <-wait.C:
	}
	if err := l.app.Commit(); err != nil {
		return err
	}
	l.app = nil
	select {
	case <-l.stop:
		return errTakenOver
	default:
		return nil
	}
}

// takeOver ends the simulation after its next step.
func (l *life) takeOver(ctx context.Context) error {
	close(l.stop)
	select {
	case err := <-l.ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
