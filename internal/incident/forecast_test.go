package incident

import (
	"encoding/json"
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		x, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	const now = "2024-03-01 13:00"
	for _, c := range []struct{ earliest, latest, want string }{
		{"", "", ""},
		{"2024-03-01 14:10", "2024-03-01 16:40", "at its limit between 14:10 and 16:40"},
		{"2024-03-01 14:10", "2024-03-02 01:00", "at its limit between 14:10 and 2 Mar 01:00"},
		{"2024-03-01 14:10", "", "at its limit from 14:10 at the earliest"},
		{"2025-03-01 14:10", "", "at its limit from 1 Mar 14:10 at the earliest"},
		{now, now, "at its limit"},
	} {
		f := Forecast{Earliest: at(c.earliest), Latest: at(c.latest)}
		if got := f.Text(at(now)); got != c.want {
			t.Errorf("%s to %s: got %q, want %q", c.earliest, c.latest, got, c.want)
		}
		a := Anomaly{Limit: f}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Anomaly
		if err := json.Unmarshal(b, &back); err != nil || !back.Limit.Earliest.Equal(f.Earliest) || !back.Limit.Latest.Equal(f.Latest) {
			t.Errorf("%s: comes back as %+v, error %v; want %+v", b, back.Limit, err, f)
		}
	}
}
