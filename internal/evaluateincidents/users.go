package main

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/foreshock/foreshock/internal/backtest"
)

// What the users of the alerting service feel, by the names of its metrics.
var (
	waits    = regexp.MustCompile(`(latency|duration|response_time|delay)`)
	fails    = regexp.MustCompile(`(error|5xx|fail).*_(ratio|per_second)$`)
	succeeds = regexp.MustCompile(`(success|availability).*_ratio$`)
	comes    = regexp.MustCompile(`requests?_(rate_rps|per_second)$`)
	isRatio  = regexp.MustCompile(`_ratio$`)
	outgoing = regexp.MustCompile(`(client|upstream|_bucket$|_sum$|_count$)`) // not what users of the service feel, or no gauge
)

const (
	// leastNormal is how many normal windows have to be known to call one of a fault unusual.
	leastNormal = 20
	// leastMark is the least departure, beyond all normal windows, that counts:
	// a tenth of the usual value; of ratios that much of all requests.
	leastMark, leastMarkRatio = 0.1, 0.01
)

// felt is a series that says what users feel, turned so that more is worse.
type felt struct {
	*series
	sign  float64
	ratio bool
}

// feels returns what is measured of the users of a service.
func feels(all []*series) []felt {
	var out []felt
	for _, s := range all {
		name := s.labels.Get(model.MetricNameLabel)
		switch {
		case outgoing.MatchString(name):
		case succeeds.MatchString(name):
			out = append(out, felt{s, -1, true})
		case fails.MatchString(name):
			out = append(out, felt{s, 1, isRatio.MatchString(name)})
		case waits.MatchString(name):
			out = append(out, felt{s, 1, false})
		case comes.MatchString(name):
			out = append(out, felt{s, -1, false})
		}
	}
	return out
}

// users counts the faults that leave a mark at the alerting service, and who
// was told of them.
type users struct {
	marked, markedSent, markedPaged int
	clean, cleanSent, cleanPaged    int
	unknown                         int
	unpaged                         []string // marked, but not paged
}

// count takes in a fault. It leaves a mark when the median of one of the
// service's series over the fault, from its start to a sample after its end, at
// most windowSamples of them, is worse than that of every normal window of that
// length before or after it, by the least mark.
func (u *users) count(c *labelledCase, all []*series, g backtest.IncidentGrade, paged bool) {
	from, to := g.Start, earliest(g.End.Add(c.Truth.Interval), g.Start.Add(windowSamples*c.Truth.Interval))
	known, marked := false, false
	normal := c.quietWindows(to.Sub(from))
	for _, f := range feels(all) {
		worst, n := math.Inf(-1), 0
		for _, at := range normal {
			if m, ok := f.median(at, at.Add(to.Sub(from))); ok {
				worst, n = max(worst, m), n+1
			}
		}
		m, ok := f.median(from, to)
		if n < leastNormal || !ok {
			continue
		}
		least := leastMark * math.Abs(worst)
		if f.ratio {
			least = leastMarkRatio
		}
		known, marked = true, marked || m >= worst+least
	}
	one := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	switch {
	case !known:
		u.unknown++
	case marked:
		u.marked++
		u.markedSent += one(g.Hit)
		u.markedPaged += one(paged)
		if !paged {
			u.unpaged = append(u.unpaged, g.Name)
		}
	default:
		u.clean++
		u.cleanSent += one(g.Hit)
		u.cleanPaged += one(paged)
	}
}

// median over a span without its begin; ok is false without a sample.
func (f felt) median(from, to time.Time) (float64, bool) {
	values := f.between(from.UnixMilli()+1, to.UnixMilli())
	if len(values) == 0 {
		return 0, false
	}
	values = slices.Sorted(slices.Values(values))
	return f.sign * values[len(values)/2], true
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// quietWindows are windows, one after the other, of the whole recording, also
// from before grading begins, that touch no incident and no ignored span.
func (c *labelledCase) quietWindows(length time.Duration) []time.Time {
	all := *c
	truth := *c.Truth
	truth.From = c.From
	all.Case = &backtest.Case{Truth: &truth}
	return all.normalWindows(length)
}

// usersTable says how many of the faults that users feel were paged.
func (a *answers) usersTable(out io.Writer) {
	u := a.users
	if u.marked+u.clean == 0 {
		return
	}
	header(out, "What users feel", "", "faults", "sent", "paged")
	row(out, "leave a mark at the alerting service", fmt.Sprint(u.marked), share(float64(u.markedSent), u.marked), share(float64(u.markedPaged), u.marked))
	row(out, "leave none there", fmt.Sprint(u.clean), share(float64(u.cleanSent), u.clean), share(float64(u.cleanPaged), u.clean))
	fmt.Fprintf(out, "\n%d more have too little history to tell. With a mark, but not paged: %v.\n\n", u.unknown, u.unpaged)
}
