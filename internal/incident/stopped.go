package incident

import (
	"slices"
	"time"
)

// missedRequests is how many requests have to stay away before a service without
// any is a ticket, however short its history: had they only become ten times
// fewer, none of twenty coming would be a matter of one in seven; had they stayed
// as they were, of one in half a billion.
const missedRequests = 20

// stopped reports whether a service whose history is too short for a score that
// asks for anything gets no request at all any more. Not so while its data are
// in doubt, or while another series of it shows requests.
func (c *Correlator) stopped(now time.Time, a *Anomaly) bool {
	if a.Signal != Traffic || a.Caller != "" || a.Up || !a.Unsure || !a.End.IsZero() {
		return false
	}
	if a.Kind != "" && a.Kind != "spike" && a.Kind != "shift" && a.Kind != "silence: zero" {
		return false // it does not report zero, it does not report
	}
	if slices.ContainsFunc(a.Doubts, func(d string) bool { return d == "partial" || d == "warming up" || d == "after a gap" }) {
		return false
	}
	var since, last time.Time
	for _, p := range slices.Backward(a.Trail) {
		if p.Value != 0 {
			break
		}
		if last.IsZero() {
			last = p.Time
		}
		since = p.Time
	}
	if last.Sub(since).Seconds()*a.Expected < missedRequests {
		return false
	}
	return !slices.ContainsFunc(c.tracks.byService[a.Service], func(t *track) bool {
		r := t.last
		return r.Signal == Traffic && r.Caller == "" && r.Value != 0 && now.Sub(r.Time) <= c.o.Hold
	})
}
