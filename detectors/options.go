package detectors

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

func validSlots(n int) error {
	if n < minSlots || n > maxSlots {
		return fmt.Errorf("slots is %d; it must be between %d and %d", n, minSlots, maxSlots)
	}
	return nil
}

func validAlpha(a float64) error {
	if !(a > 0 && a <= 1) {
		return fmt.Errorf("profile_alpha is %g; it must be above 0 and at most 1", a)
	}
	return nil
}

func validTau(name string, d time.Duration) error {
	if d < time.Second || d > year {
		return fmt.Errorf("%s is %v; it must be between 1s and 8760h", name, d)
	}
	return nil
}

// utc is the default of an options struct's Timezone.
const utc = "UTC"

// loadLocation finds a time zone by its IANA name. The zone of the machine is
// refused: verdicts must not depend on where they are made.
func loadLocation(name string) (*time.Location, error) {
	switch name {
	case utc, "":
		return time.UTC, nil
	case "Local":
		return nil, fmt.Errorf("timezone is %q; it must be an IANA name such as Europe/Berlin", name)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("timezone is %q: %w; it must be an IANA name such as Europe/Berlin", shorten(name), err)
	}
	return l, nil
}

func validTimezone(name string) error {
	_, err := loadLocation(name)
	return err
}

// weekdays is a set of days of the week, one bit each from Sunday on.
type weekdays uint8

func usualWeekend() []string { return []string{"saturday", "sunday"} }

func newWeekdays(names []string) (weekdays, error) {
	var set weekdays
	for _, name := range names {
		bit := weekdays(0)
		for d := time.Sunday; d <= time.Saturday; d++ {
			if name == strings.ToLower(d.String()) {
				bit = 1 << d
			}
		}
		switch {
		case bit == 0:
			return 0, fmt.Errorf("weekend has %q; a day is monday, tuesday, …, sunday", shorten(name))
		case set&bit != 0:
			return 0, fmt.Errorf("weekend has %q twice", name)
		}
		set |= bit
	}
	if len(names) > 6 {
		return 0, errors.New("weekend has all seven days; at most six can differ from the others")
	}
	return set, nil
}

func validWeekend(names []string) error {
	_, err := newWeekdays(names)
	return err
}
