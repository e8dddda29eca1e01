package detectors

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// DefaultBudgetText is the budget of a rule that names none.
const DefaultBudgetText = "1 per 30d"

// DefaultBudget returns the budget of a rule that names none: one false alarm
// per series in thirty days.
func DefaultBudget() Budget { return Budget{Events: 1, Per: 30 * day} }

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day

	minPeriod = time.Second
	maxPeriod = 100 * year
)

// units are Prometheus's duration units, longest first.
var units = [...]struct {
	name   string
	length time.Duration
	whole  bool // written only when the duration is a multiple of it, as Prometheus does
}{
	{"y", year, true},
	{"w", week, true},
	{"d", day, true},
	{"h", time.Hour, false},
	{"m", time.Minute, false},
	{"s", time.Second, false},
	{"ms", time.Millisecond, false},
}

// ParseBudget reads a budget such as "1 per 30d" or "3 per 1w": a positive
// number of events, the word per, and a duration in Prometheus's units (ms, s,
// m, h, d, w, y). The resulting [Budget.Period] is between a second and a
// hundred years.
func ParseBudget(s string) (Budget, error) {
	fail := func(why string) (Budget, error) {
		return Budget{}, fmt.Errorf("false-alarm budget %q: %s; expected a number, \"per\" and a duration, such as \"1 per 30d\" or \"3 per 1w\"", shorten(s), why)
	}
	f := strings.Fields(s)
	if len(f) != 3 || f[1] != "per" {
		return fail("not of the form \"EVENTS per DURATION\"")
	}
	events, err := strconv.ParseFloat(f[0], 64)
	if err != nil || math.IsNaN(events) || math.IsInf(events, 0) || events <= 0 {
		return fail("the number of events must be a positive number, not " + strconv.Quote(shorten(f[0])))
	}
	per, err := parseDuration(f[2])
	if err != nil {
		return fail(err.Error())
	}
	b := Budget{Events: events, Per: per}
	if err := b.Validate(); err != nil {
		return fail(err.Error())
	}
	return b, nil
}

// Validate says whether the budget's period is between a second and a hundred
// years.
func (b Budget) Validate() error {
	period := float64(b.Per) / b.Events
	if !(b.Events > 0) || b.Per <= 0 || !(period >= float64(minPeriod) && period <= float64(maxPeriod)) {
		return fmt.Errorf("one event per %g seconds is outside the allowed range of 1s to 100y", period/float64(time.Second))
	}
	return nil
}

// Period is the time in which one event is allowed.
func (b Budget) Period() time.Duration { return time.Duration(float64(b.Per) / b.Events) }

// String returns the form that [ParseBudget] reads. Durations are written to
// the millisecond.
func (b Budget) String() string {
	return strconv.FormatFloat(b.Events, 'g', -1, 64) + " per " + formatDuration(b.Per)
}

// MarshalText implements encoding.TextMarshaler.
func (b Budget) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Budget) UnmarshalText(text []byte) error {
	parsed, err := ParseBudget(string(text))
	if err != nil {
		return err
	}
	*b = parsed
	return nil
}

// parseDuration reads Prometheus's notation: whole numbers with units, the
// units from long to short, each at most once.
func parseDuration(s string) (time.Duration, error) {
	bad := func(why string) (time.Duration, error) {
		return 0, fmt.Errorf("duration %q: %s", shorten(s), why)
	}
	var total time.Duration
	next, rest := 0, s
	for rest != "" {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return bad("a whole number is missing or too large")
		}
		letters := digits
		for letters < len(rest) && rest[letters] >= 'a' && rest[letters] <= 'z' {
			letters++
		}
		name := rest[digits:letters]
		for next < len(units) && units[next].name != name {
			next++
		}
		if next == len(units) {
			return bad("the units are ms, s, m, h, d, w and y, the longest first, each once")
		}
		length := units[next].length
		next++
		if n > int64(maxDuration-total)/int64(length) {
			return bad("longer than 292 years")
		}
		total += time.Duration(n) * length
		rest = rest[letters:]
	}
	if total <= 0 {
		return bad("must be longer than zero")
	}
	return total, nil
}

const maxDuration = time.Duration(math.MaxInt64)

func formatDuration(d time.Duration) string {
	var b strings.Builder
	d = d.Truncate(time.Millisecond)
	if d <= 0 {
		return "0s"
	}
	for _, u := range units {
		if u.whole && d%u.length != 0 {
			continue
		}
		if n := d / u.length; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			d -= n * u.length
		}
	}
	return b.String()
}

// shorten keeps hostile input out of error messages.
func shorten(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
