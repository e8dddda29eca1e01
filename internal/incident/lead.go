package incident

import "time"

// leads keeps when the first of the team's own alerts that belong to the
// incident began. One that fired long before the onset fires for reasons of its
// own, and one that was muted told nobody.
func (t *thread) leads(window time.Duration) {
	if t.State == Forming {
		t.FirstAlert = time.Time{} // it may still forget what belongs to it
	}
	for _, a := range t.alerts {
		if a.Muted == NotMuted && !a.Since.Before(t.Onset.Add(-window)) {
			t.FirstAlert = earlier(t.FirstAlert, a.Since)
		}
	}
}

// Lead is how much earlier the incident was decided to be sent than the first of
// the team's own alerts that belong to it began to fire; below zero it was later.
// It is false while there is no such alert, or nothing was decided.
func (i *Incident) Lead() (time.Duration, bool) {
	if i.FirstAlert.IsZero() || i.Opened.IsZero() {
		return 0, false
	}
	return i.FirstAlert.Sub(i.Opened), true
}

// earlier returns the earlier of two times; one that is zero does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
