package incident

import "time"

// Forecast is when a series reaches its limit if its trend goes on, as an
// interval; zero = nothing is known of it.
type Forecast struct {
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest,omitzero"` // zero: perhaps never
}

// Text says it in words, as of the time now, in UTC; empty when nothing is known.
func (f Forecast) Text(now time.Time) string {
	stamp := func(t time.Time) string {
		if t, now := t.UTC(), now.UTC(); t.YearDay() != now.YearDay() || t.Year() != now.Year() {
			return t.Format("2 Jan 15:04")
		}
		return t.UTC().Format("15:04")
	}
	switch {
	case f.Earliest.IsZero():
		return ""
	case f.Latest.IsZero():
		return "at its limit from " + stamp(f.Earliest) + " at the earliest"
	case !f.Latest.After(now):
		return "at its limit"
	}
	return "at its limit between " + stamp(f.Earliest) + " and " + stamp(f.Latest)
}

// Forecast says in words when the anomaly reaches its limit, while it lasts;
// empty when nothing is known of it.
func (a *Anomaly) Forecast() string {
	now := a.Onset
	if n := len(a.Trail); n > 0 {
		now = a.Trail[n-1].Time
	}
	return a.Limit.Text(now)
}
