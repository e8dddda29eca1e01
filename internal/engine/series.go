package engine

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/foreshock/foreshock/internal/incident"
)

// IncidentName is the series of each alert of an open incident: the alert's
// labels, with the value 1 as long as the incident is open. In shadow mode it is
// that of the alert which would have been sent.
const IncidentName = "foreshock_incident"

// record writes the open incidents as series, and ends those that are over. It
// comes last in a step: nothing waits for it, and a failure costs these samples only.
func (e *Engine) record(ctx context.Context, now time.Time) {
	if !e.live {
		return
	}
	var open []labels.Labels
	for _, i := range e.open {
		if i.State != incident.Open {
			continue
		}
		for _, s := range i.Sent {
			b := labels.NewBuilder(labels.FromMap(s.Labels))
			open = append(open, b.Set(model.MetricNameLabel, IncidentName).Labels())
		}
	}
	slices.SortFunc(open, labels.Compare)
	open = slices.CompactFunc(open, labels.Equal)
	if len(open) == 0 && len(e.recorded) == 0 {
		return
	}
	if err := e.append(ctx, now, open); err != nil {
		if !e.warned[IncidentName] {
			e.warned[IncidentName] = true
			e.log.Warn("open incidents cannot be written as series; they are sent all the same", "err", err)
		}
		return
	}
	delete(e.warned, IncidentName)
	e.recorded = open
}

func (e *Engine) append(ctx context.Context, now time.Time, open []labels.Labels) error {
	app := e.store.Appendable.Appender(ctx)
	err := appendAll(app, now.UnixMilli(), open, 1)
	var over []labels.Labels
	for _, ls := range e.recorded {
		if _, found := slices.BinarySearchFunc(open, ls, labels.Compare); !found {
			over = append(over, ls)
		}
	}
	if err == nil {
		err = appendAll(app, now.UnixMilli(), over, math.Float64frombits(value.StaleNaN))
	}
	if err != nil {
		_ = app.Rollback() // the error before it says why
		return err
	}
	return app.Commit()
}

func appendAll(app storage.Appender, t int64, series []labels.Labels, v float64) error {
	for _, ls := range series {
		if _, err := app.Append(0, ls, t, v); err != nil {
			return err
		}
	}
	return nil
}
