package change

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Interval is a time interval as Alertmanager writes it: a time is inside when
// each field that is given has it in one of its ranges. The zero Interval holds
// always. Times are read in the location, UTC unless it is given.
//
// See https://prometheus.io/docs/alerting/latest/configuration/#time_interval.
type Interval struct {
	Times       []TimeRange  `yaml:"times"`
	Weekdays    []Weekdays   `yaml:"weekdays"`
	DaysOfMonth []MonthDays  `yaml:"days_of_month"`
	Months      []Months     `yaml:"months"`
	Years       []Years      `yaml:"years"`
	Location    LocationName `yaml:"location"`
}

// TimeRange is a part of the day, from the start, included, to the end.
type TimeRange struct {
	Start ClockTime `yaml:"start_time"`
	End   ClockTime `yaml:"end_time"`
}

// ClockTime is a time of day in minutes, 0 to 1440, written hh:mm.
type ClockTime int

// span is a range of whole numbers, both ends included.
type span struct{ first, last int }

// Weekdays is a range of days of the week, such as monday:friday.
type Weekdays struct{ span }

// MonthDays is a range of days of the month, such as 1:7; -1 is the last day.
type MonthDays struct{ span }

// Months is a range of months by name or number, such as january:march.
type Months struct{ span }

// Years is a range of years, such as 2026:2028.
type Years struct{ span }

// LocationName is the name of a time zone in the IANA database, UTC or Local.
type LocationName struct{ *time.Location }

// UnmarshalText reads hh:mm, from 00:00 to 24:00.
func (c *ClockTime) UnmarshalText(text []byte) error {
	h, m, ok := strings.Cut(string(text), ":")
	hour, errH := strconv.Atoi(h)
	minute, errM := strconv.Atoi(m)
	if !ok || errH != nil || errM != nil || len(h) != 2 || len(m) != 2 || hour < 0 || minute < 0 || minute > 59 || hour*60+minute > 24*60 {
		return fmt.Errorf("%q is no time of day: write hh:mm, from '00:00' to '24:00'", text)
	}
	*c = ClockTime(hour*60 + minute)
	return nil
}

var (
	weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	months   = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
)

// UnmarshalText reads a day or first:last, the week beginning on Sunday.
func (w *Weekdays) UnmarshalText(text []byte) error {
	return w.read(string(text), "a day of the week such as monday, or a range such as monday:friday", 0, 6, named(weekdays, 0))
}

// UnmarshalText reads a day or first:last, 1 to 31, or -31 to -1 from the end.
func (d *MonthDays) UnmarshalText(text []byte) error {
	const want = "a day of the month from 1 to 31, -1 for the last, or a range such as 1:7"
	if err := d.read(string(text), want, -31, 31, nil); err != nil {
		return err
	}
	if d.first == 0 || d.last == 0 || d.first < 0 && d.last > 0 {
		return fmt.Errorf("%q: want %s", text, want)
	}
	return nil
}

// UnmarshalText reads a month or first:last, by name or number.
func (m *Months) UnmarshalText(text []byte) error {
	return m.read(string(text), "a month such as january or 1, or a range such as january:march", 1, 12, named(months, 1))
}

// UnmarshalText reads a year or first:last.
func (y *Years) UnmarshalText(text []byte) error {
	return y.read(string(text), "a year such as 2026, or a range such as 2026:2028", 1970, 9998, nil)
}

// UnmarshalText reads a name of the time zone database.
func (l *LocationName) UnmarshalText(text []byte) error {
	at, err := time.LoadLocation(string(text))
	if err != nil {
		return fmt.Errorf("location %q: %w: write a name such as Europe/Berlin", text, err)
	}
	l.Location = at
	return nil
}

// named finds a name in a list of which the first has the given number.
func named(names []string, base int) func(string) (int, bool) {
	return func(s string) (int, bool) {
		for i, n := range names {
			if strings.EqualFold(n, s) {
				return base + i, true
			}
		}
		return 0, false
	}
}

// read takes one value or first:last, each at least low and at most high.
func (s *span) read(text, want string, low, high int, name func(string) (int, bool)) error {
	one := func(word string) (int, bool) {
		if name != nil {
			if n, ok := name(word); ok {
				return n, true
			}
			if low == 0 {
				return 0, false // days of the week have no numbers
			}
		}
		n, err := strconv.Atoi(word)
		return n, err == nil && n >= low && n <= high
	}
	a, b, isRange := strings.Cut(text, ":")
	var ok bool
	if s.first, ok = one(strings.TrimSpace(a)); !ok {
		return fmt.Errorf("%q: want %s", text, want)
	}
	s.last = s.first
	if isRange {
		if s.last, ok = one(strings.TrimSpace(b)); !ok {
			return fmt.Errorf("%q: want %s", text, want)
		}
	}
	if s.last < s.first && (s.first > 0) == (s.last > 0) {
		return fmt.Errorf("%q: the range ends before it begins", text)
	}
	return nil
}

// Holds reports whether a time is inside.
func (v Interval) Holds(t time.Time) bool {
	t = t.UTC()
	if v.Location.Location != nil {
		t = t.In(v.Location.Location)
	}
	minute := ClockTime(t.Hour()*60 + t.Minute())
	return anyOf(v.Times, func(r TimeRange) bool { return r.Start <= minute && minute < r.End }) &&
		anyOf(v.Weekdays, func(r Weekdays) bool { return r.has(int(t.Weekday())) }) &&
		anyOf(v.Months, func(r Months) bool { return r.has(int(t.Month())) }) &&
		anyOf(v.Years, func(r Years) bool { return r.has(t.Year()) }) &&
		anyOf(v.DaysOfMonth, func(r MonthDays) bool { return r.holds(t) })
}

func (s span) has(n int) bool { return s.first <= n && n <= s.last }

// holds counts negative days from the end of the month of t.
func (d MonthDays) holds(t time.Time) bool {
	days := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	day := func(n int) int {
		if n < 0 {
			return days + 1 + n
		}
		return n
	}
	return span{day(d.first), day(d.last)}.has(t.Day())
}

// anyOf reports whether one of the ranges has it; none that is given is no bound.
func anyOf[T any](ranges []T, has func(T) bool) bool {
	for _, r := range ranges {
		if has(r) {
			return true
		}
	}
	return len(ranges) == 0
}
