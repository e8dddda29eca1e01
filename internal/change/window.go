package change

import (
	"errors"
	"fmt"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// Maintenance is the kind of a change that lasts: work on a service that was
// announced, from its time until an end that is known beforehand.
const Maintenance = "maintenance"

// Window is maintenance that was announced: either once, from From to To, or
// at each time that one of the intervals holds.
type Window struct {
	Title     string
	From, To  time.Time // To is not included
	Intervals []Interval
	// Services are sets of identity labels: a service is meant when it has all
	// labels of one of them. Labels that a set leaves out may have any value.
	Services []map[string]string
}

// widest is how far the span of an interval that holds is followed, each way.
const widest = 24 * time.Hour

// Check says what is wrong with a window.
func (w Window) Check() error {
	switch {
	case len(w.Services) == 0:
		return errors.New("the maintenance has no services: list the labels of those that it is about")
	case len(w.Intervals) == 0 && (w.From.IsZero() || w.To.IsZero()):
		return errors.New("the maintenance has no time: write from and to, or time_intervals")
	case len(w.Intervals) > 0 && !(w.From.IsZero() && w.To.IsZero()):
		return errors.New("from and to, and time_intervals, exclude each other")
	case len(w.Intervals) == 0 && !w.To.After(w.From):
		return fmt.Errorf("the maintenance ends (%s) before it begins (%s)", w.To.Format(time.RFC3339), w.From.Format(time.RFC3339))
	}
	for _, set := range w.Services {
		if len(set) == 0 {
			return errors.New("a service without any label would be every service: name at least one")
		}
	}
	return nil
}

// Covers reports whether the window is about a service.
func (w Window) Covers(id topology.Identity, s topology.Service) bool {
	has := id.Labels(s)
	return s != "" && len(w.Services) > 0 && anyOf(w.Services, func(set map[string]string) bool {
		for name, value := range set {
			if has[name] != value {
				return false
			}
		}
		return true
	})
}

// At returns the span of the maintenance that now lies in. Where intervals hold
// without an end its ends are a day before and after now.
func (w Window) At(now time.Time) (from, to time.Time, ok bool) {
	if len(w.Intervals) == 0 {
		return w.From, w.To, !now.Before(w.From) && now.Before(w.To)
	}
	holds := func(t time.Time) bool {
		return anyOf(w.Intervals, func(v Interval) bool { return v.Holds(t) })
	}
	if !holds(now) {
		return from, to, false
	}
	from = now.Truncate(time.Minute)
	for to = from.Add(time.Minute); holds(to) && to.Sub(now) < widest; {
		to = to.Add(time.Minute)
	}
	for now.Sub(from) < widest && holds(from.Add(-time.Minute)) {
		from = from.Add(-time.Minute)
	}
	return from, to, true
}
