package detectors

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func mustLocation(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := loadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestZoneOracle compares the cached offsets, days and slots with the standard
// library's, at times around and far from changes of the clock.
func TestZoneOracle(t *testing.T) {
	for _, name := range []string{utc, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"} {
		l := mustLocation(t, name)
		c, err := newCalendar(96, 0.2, minute).in(name, usualWeekend())
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 1))
		at := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 20_000 {
			at = at.Add(time.Duration(r.ExpFloat64() * float64(13*time.Hour)))
			ms := at.UnixMilli()
			m, local := c.moment(ms), time.UnixMilli(ms).In(l)
			_, seconds := local.Zone()
			number := c.number(m.local)
			index, day := c.split(number)
			want := local.Hour()*4 + local.Minute()/15
			weekend := local.Weekday() == time.Saturday || local.Weekday() == time.Sunday
			if m.offset != int64(seconds)*1000 || m.local != ms+m.offset || m.change <= ms || index != want || c.isWeekend(day) != weekend {
				t.Fatalf("%s, %v: %+v, slot %d, weekend %v; want offset %d s, slot %d, %v", name, local, m, index, c.isWeekend(day), seconds, want, weekend)
			}
		}
	}
}

// TestClockChange: the course of the day goes on with the local clock, over days
// of 23 and of 25 hours.
func TestClockChange(t *testing.T) {
	l := mustLocation(t, "Europe/Berlin")
	for _, change := range []time.Time{
		time.Date(2025, 3, 30, 0, 0, 0, 0, l), time.Date(2025, 10, 26, 0, 0, 0, 0, l),
	} {
		for _, d := range []Detector{Spike, LevelShift, Seasonality} {
			alarmsIn := map[string]int{}
			for _, zone := range []string{"Europe/Berlin", utc} {
				opts := d.Options()
				switch o := opts.(type) {
				case *SpikeOptions:
					o.Timezone = zone
				case *LevelShiftOptions:
					o.Timezone = zone
				case *SeasonalityOptions:
					o.Timezone = zone
				}
				b, err := d.New(opts, Conditions{Budget: mustBudget(t, "1 per 30d"), Step: 5 * minute})
				if err != nil {
					t.Fatal(err)
				}
				ref, f := b.Add(), noise(2, 0, 2)
				for at := change.AddDate(0, 0, -14); at.Before(change.AddDate(0, 0, 7)); at = at.Add(5 * minute) {
					local := at.In(l)
					// Busy from ten to six by the local clock, within an hour.
					hour := float64(local.Hour()) + float64(local.Minute())/60
					busy := 100 + 80*math.Max(0, math.Min(1, math.Min(hour-9, 19-hour)))
					v := b.Observe(ref, at.UnixMilli(), busy+f(0))
					if !at.Before(change) && v.Score >= 1 {
						alarmsIn[zone]++
					}
				}
			}
			if alarmsIn["Europe/Berlin"] > 0 || (d.Name == Spike.Name && alarmsIn[utc] == 0) {
				t.Errorf("%s, %s: %d alarms in the week of the change by the local clock, %d by UTC; want none and some",
					d.Name, change.Format(time.DateOnly), alarmsIn["Europe/Berlin"], alarmsIn[utc])
			}
		}
	}
}

// TestClockChangeSlots: on the day of 23 hours the hour that is left out is not
// learnt, on that of 25 the repeated one is learnt twice, and no value reaches
// another hour's slot.
func TestClockChangeSlots(t *testing.T) {
	l := mustLocation(t, "Europe/Berlin")
	for _, c := range []struct {
		day   time.Time
		hours int
	}{{time.Date(2025, 3, 30, 0, 0, 0, 0, l), 23}, {time.Date(2025, 10, 26, 0, 0, 0, 0, l), 25}, {time.Date(2025, 6, 1, 0, 0, 0, 0, l), 24}} {
		cal, err := newCalendar(24, 0.2, minute).in("Europe/Berlin", nil)
		if err != nil {
			t.Fatal(err)
		}
		first := c.day.UnixMilli()
		var p profile
		p.begin(&cal, cal.moment(first).local)
		samples := 0
		for at := c.day; at.Before(c.day.AddDate(0, 0, 1).Add(time.Hour)); at = at.Add(minute) {
			m := cal.moment(at.UnixMilli())
			e := &era{calendar: &cal, first: first + m.offset}
			p.enter(e, m.local)
			p.add(float64(at.In(l).Hour()), 60)
			samples++
			line := p.segment(e, m)
			if line.until <= at.UnixMilli() || line.until > m.change || line.until > at.UnixMilli()+3600_000 {
				t.Fatalf("%v: the line ends at %v, the clock changes at %v", at, time.UnixMilli(line.until), time.UnixMilli(m.change))
			}
		}
		if samples != (c.hours+1)*60 {
			t.Fatalf("%v has %d samples", c.day, samples)
		}
		for i := range 24 {
			skipped := c.hours == 23 && i == 2
			if p.slots.has(i) == skipped || (!skipped && math.Abs(p.slots.at(i)-float64(i)) > 0.01) {
				t.Errorf("day of %d hours, slot %d: known %v, %v; want %v, %d", c.hours, i, p.slots.has(i), p.slots.at(i), !skipped, i)
			}
		}
	}
}

func TestZoneErrors(t *testing.T) {
	for _, c := range []struct {
		zone string
		days []string
		want string
	}{
		{"Berlin", nil, `timezone is "Berlin"`}, {"Local", nil, "IANA name such as Europe/Berlin"}, {"../etc/passwd", nil, "timezone is"},
		{utc, []string{"Saturday"}, `weekend has "Saturday"; a day is monday`}, {utc, []string{"sunday", "sunday"}, `"sunday" twice`},
		{utc, []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}, "all seven days"},
	} {
		opts := []Options{
			&SpikeOptions{Slots: 96, ProfileAlpha: 0.2, Timezone: c.zone, Weekend: c.days, Level: time.Hour, Scale: week, Transform: TransformNone},
			&LevelShiftOptions{Slots: 96, ProfileAlpha: 0.2, Timezone: c.zone, Weekend: c.days, Window: time.Hour, Level: day, Scale: week, Transform: TransformNone},
		}
		if c.days == nil {
			s := Seasonality.Options().(*SeasonalityOptions)
			s.Timezone = c.zone
			opts = append(opts, s)
		}
		for _, o := range opts {
			if err := o.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v: %T says %v; want it to contain %q", c.zone, c.days, o, err, c.want)
			}
		}
	}
}
