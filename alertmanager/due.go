package alertmanager

import "time"

// pace says how often alerts are sent.
type pace struct {
	resend    time.Duration // between sends of an alert that was taken
	retry     time.Duration // after the first send that nobody took
	retention time.Duration // how long a resolved alert is sent again
}

// history is what is known of an alert's last send.
type history struct {
	sent     time.Time // zero: it was never sent
	resolved bool      // it was sent as resolved
	taken    bool      // at least one Alertmanager took it
	tries    int       // sends in a row that nobody took, the last one included until it was taken
}

// due reports whether an alert is to be sent at now: when it never was, when it was resolved (or fires again)
// since, when the resend delay has passed since it was taken, or the retry delay since it was not.
func due(now time.Time, resolved bool, h history, p pace) bool {
	if h.sent.IsZero() || h.resolved != resolved {
		return true
	}
	since := now.Sub(h.sent)
	if since < -p.resend {
		return true // the clock was put back: waiting until it catches up would silence the alert
	}
	return since >= p.wait(h)
}

// wait is how long after a send the next one is due.
func (p pace) wait(h history) time.Duration {
	if h.taken {
		return p.resend
	}
	d := p.retry
	for i := 1; i < h.tries && d < p.resend; i++ {
		d *= 2
	}
	return min(d, p.resend)
}

// expired reports whether a resolved alert has been told for long enough.
func expired(now, endsAt time.Time, p pace) bool {
	return now.Sub(endsAt) > p.retention
}

// resolvedAt reports whether an alert with this end is resolved at now.
func resolvedAt(now, endsAt time.Time) bool {
	return !endsAt.IsZero() && !endsAt.After(now)
}
