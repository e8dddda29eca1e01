package change

import (
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

func readInterval(t *testing.T, text string) (Interval, error) {
	t.Helper()
	root, err := yamlfile.Parse("f.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var v Interval
	err = yamlfile.Decode("f.yml", root, &v)
	return v, err
}

func TestIntervalHolds(t *testing.T) {
	f := func(text string, want map[string]bool) {
		t.Helper()
		v, err := readInterval(t, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for at, holds := range want {
			when, err := time.Parse(time.RFC3339, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := v.Holds(when); got != holds {
				t.Errorf("%s at %s: got %t, want %t", text, at, got, holds)
			}
		}
	}
	f("{}", map[string]bool{"2026-06-18T12:00:00Z": true})
	f("{times: [{start_time: '03:00', end_time: '04:00'}, {start_time: '23:30', end_time: '24:00'}]}", map[string]bool{
		"2026-06-18T02:59:59Z": false, "2026-06-18T03:00:00Z": true, "2026-06-18T03:59:59Z": true, "2026-06-18T04:00:00Z": false,
		"2026-06-18T23:59:59Z": true, "2026-06-19T00:00:00Z": false,
	})
	f("{weekdays: ['monday:friday']}", map[string]bool{"2026-06-18T12:00:00Z": true, "2026-06-20T12:00:00Z": false, "2026-06-21T12:00:00Z": false})
	f("{weekdays: [Saturday, sunday], months: ['june:august'], years: [2026]}", map[string]bool{
		"2026-06-20T12:00:00Z": true, "2026-05-30T12:00:00Z": false, "2027-06-20T12:00:00Z": false, "2026-06-18T12:00:00Z": false,
	})
	f("{days_of_month: ['1:3', -1]}", map[string]bool{
		"2026-02-28T12:00:00Z": true, "2028-02-28T12:00:00Z": false, "2028-02-29T12:00:00Z": true, "2026-02-03T00:00:00Z": true, "2026-02-04T00:00:00Z": false,
	})
	f("{days_of_month: ['-3:-2']}", map[string]bool{"2026-04-28T12:00:00Z": true, "2026-04-29T12:00:00Z": true, "2026-04-30T12:00:00Z": false})
	f("{times: [{start_time: '03:00', end_time: '04:00'}], location: Europe/Berlin}", map[string]bool{
		"2026-06-18T01:30:00Z": true, "2026-06-18T03:30:00Z": false, "2026-12-18T02:30:00Z": true,
	})
}

func TestIntervalErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := readInterval(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	f("{times: [{start_time: '24:01', end_time: '25:00'}]}", `f.yml:1:23: "24:01" is no time of day`)
	f("{times: [{start_time: 9am}]}", "is no time of day")
	f("{weekdays: [someday]}", `f.yml:1:13: "someday": want a day of the week`)
	f("{weekdays: ['1']}", "want a day of the week")
	f("{weekdays: ['friday:monday']}", "the range ends before it begins")
	f("{days_of_month: [0]}", "want a day of the month")
	f("{days_of_month: ['-3:3']}", "want a day of the month")
	f("{months: [13]}", "want a month")
	f("{years: ['2026-2027']}", "want a year")
	f("{location: Europe/Nowhere}", "write a name such as Europe/Berlin")
	f("{weekday: [monday]}", `did you mean "weekdays"?`)
}

func TestWindowAt(t *testing.T) {
	night, err := readInterval(t, "{times: [{start_time: '03:00', end_time: '04:30'}]}")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 6, 18, 0, 0, 0, 0, time.UTC)
	at := func(h, m, s int) time.Time {
		return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
	}
	f := func(name string, w Window, now, from, to time.Time, want bool) {
		t.Helper()
		gotFrom, gotTo, got := w.At(now)
		if got != want || want && (!gotFrom.Equal(from) || !gotTo.Equal(to)) {
			t.Errorf("%s at %s: got %s to %s, %t, want %s to %s, %t", name, now, gotFrom, gotTo, got, from, to, want)
		}
	}
	once := Window{From: at(1, 0, 0), To: at(2, 0, 0)}
	f("once", once, at(0, 59, 59), at(1, 0, 0), at(2, 0, 0), false)
	f("once", once, at(1, 0, 0), at(1, 0, 0), at(2, 0, 0), true)
	f("once", once, at(2, 0, 0), at(1, 0, 0), at(2, 0, 0), false)
	nightly := Window{Intervals: []Interval{night}}
	f("nightly", nightly, at(2, 59, 59), day, day, false)
	f("nightly", nightly, at(3, 0, 15), at(3, 0, 0), at(4, 30, 0), true)
	f("nightly", nightly, at(4, 29, 59), at(3, 0, 0), at(4, 30, 0), true)
	f("nightly", nightly, at(4, 30, 0), day, day, false)
	f("always", Window{Intervals: []Interval{{}}}, at(12, 0, 0), at(-12, 0, 0), at(36, 0, 0), true)
}

func TestWindowCovers(t *testing.T) {
	w := Window{Services: []map[string]string{{"namespace": "shop", "service": "database"}, {"cluster": "eu"}}}
	for s, want := range map[topology.Service]bool{
		"shop/database": true, "us/shop/database": true, "database": false, "shop/payments": false, "eu/wiki/wiki": true, "eu//a": true, "": false,
	} {
		if got := w.Covers(topology.Identity{}, s); got != want {
			t.Errorf("%q: got %t, want %t", s, got, want)
		}
	}
}

func TestWindowCheck(t *testing.T) {
	at := time.Date(2026, 6, 18, 0, 0, 0, 0, time.UTC)
	services := []map[string]string{{"service": "a"}}
	for want, w := range map[string]Window{
		"has no services":          {From: at, To: at.Add(1)},
		"has no time":              {Services: services, From: at},
		"exclude each other":       {Services: services, From: at, Intervals: []Interval{{}}},
		"ends (2026-06-18T00:00:0": {Services: services, From: at, To: at},
		"would be every service":   {Services: []map[string]string{{}}, From: at, To: at.Add(1)},
	} {
		if err := w.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", w, err, want)
		}
	}
	if err := (Window{Services: services, From: at, To: at.Add(1)}).Check(); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestMaintenanceIsTracked(t *testing.T) {
	tr := NewTracker()
	add := func(c Change) {
		t.Helper()
		if err := tr.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	add(Change{ID: "m", Time: start, Until: start.Add(30 * time.Hour), Service: "db", Kind: Maintenance})
	add(Change{ID: "later", Time: start.Add(20 * 24 * time.Hour), Until: start.Add(21 * 24 * time.Hour), Service: "db", Kind: Maintenance})
	add(Change{ID: "d", Time: start.Add(-29 * 24 * time.Hour), Service: "db"})
	if got := tr.Since(start.Add(25 * time.Hour)); len(got) != 2 || got[0].ID != "m" {
		t.Errorf("a day later: got %v, want the maintenance that goes on and the one to come", got)
	}
	add(Change{ID: "m", Time: start, Until: start.Add(time.Hour), Service: "db", Kind: Maintenance})
	if got := tr.Since(start.Add(25 * time.Hour)); len(got) != 1 || got[0].ID != "later" {
		t.Errorf("ended early: got %v, want the one to come alone", got)
	}
	for want, c := range map[string]Change{
		"is done at once":        {Time: start, Until: start.Add(1), Service: "a", Kind: "deploy"},
		"ends (2026-06-18T12:00": {Time: start, Until: start, Service: "a", Kind: Maintenance},
		"longer than 30 days":    {Time: start, Until: start.Add(31 * 24 * time.Hour), Service: "a", Kind: Maintenance},
	} {
		if err := tr.Add(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
}

func TestBefore(t *testing.T) {
	m := Change{Time: start, Until: start.Add(time.Hour)}
	for _, c := range []struct {
		c        Change
		at, want time.Duration
	}{
		{Change{Time: start}, time.Minute, time.Minute}, {Change{Time: start}, -time.Minute, -time.Minute},
		{m, -time.Minute, -time.Minute}, {m, 30 * time.Minute, 0}, {m, 61 * time.Minute, time.Minute},
	} {
		if got := c.c.Before(start.Add(c.at)); got != c.want {
			t.Errorf("%v at %s: got %s, want %s", c.c, c.at, got, c.want)
		}
	}
}

func FuzzInterval(f *testing.F) {
	for _, s := range []string{"{}", "{times: [{start_time: '03:00', end_time: '04:00'}]}", "{weekdays: ['monday:friday'], location: Europe/Berlin}",
		"{days_of_month: ['1:3', -1]}", "{months: [1, 'june:august'], years: ['2026:2027']}", "{years: [9999999999999999999]}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root, err := yamlfile.Parse("f.yml", []byte(text))
		if err != nil || root == nil {
			return
		}
		var v Interval
		if yamlfile.Decode("f.yml", root, &v) != nil {
			return
		}
		w := Window{Intervals: []Interval{v}}
		if from, to, ok := w.At(start); ok && (from.After(start) || !to.After(start)) {
			t.Errorf("%s: %s to %s does not hold %s", text, from, to, start)
		}
	})
}
