package detectors

import (
	"math"
	"time"
)

const (
	minSlots = 24
	maxSlots = 96
	dayMs    = 86400 * 1000
	// epochWeekday is the weekday of 1 January 1970.
	epochWeekday = time.Thursday
)

// calendar is the fixed part of a profile: the slots of the local day and how
// fast they learn. Its slot numbers and days are of the local clock.
type calendar struct {
	slots   int
	slot    int64   // ms
	alpha   float64 // share that a day has in the profile
	zone    *zone   // nil = UTC
	weekend weekdays
}

// newCalendar takes the wished number of slots and reduces it so that a slot
// has at least two samples, but not below 24.
func newCalendar(slots int, alpha float64, step time.Duration) calendar {
	if most := int(day / (2 * step)); slots > most {
		slots = max(minSlots, most)
	}
	for dayMs%slots != 0 {
		slots--
	}
	return calendar{slots: slots, slot: int64(dayMs / slots), alpha: alpha}
}

// in puts the calendar into a time zone, with the weekend's days. Both were validated.
func (c calendar) in(timezone string, weekend []string) (calendar, error) {
	z, err := newZone(timezone)
	if err != nil {
		return calendar{}, err
	}
	c.zone = z
	c.weekend, err = newWeekdays(weekend)
	return c, err
}

// moment is a time on the local clock.
type moment struct {
	local  int64 // ms since 1970 of the local clock
	offset int64 // of the local clock from UTC, ms
	change int64 // ms of UTC; when the offset changes next
}

// moment returns t, of UTC, on the local clock.
func (c *calendar) moment(t int64) moment {
	if c.zone == nil {
		return moment{local: t, change: math.MaxInt64}
	}
	z := c.zone.at(t)
	return moment{local: t + z.offset, offset: z.offset, change: z.until}
}

// number is the running number of the slot that holds a local time.
func (c *calendar) number(local int64) int64 { return floorDivide(local, c.slot) }

// split is a slot number's place in the day, and the day in local days since 1970.
func (c *calendar) split(number int64) (index int, day int64) {
	day = floorDivide(number, int64(c.slots))
	return int(number - day*int64(c.slots)), day
}

// index is a slot number's place in the day.
func (c *calendar) index(number int64) int {
	i, _ := c.split(number)
	return i
}

// isWeekend says whether a day is one of the weekend's.
func (c *calendar) isWeekend(day int64) bool {
	d := (day + int64(epochWeekday)) % 7
	if d < 0 {
		d += 7
	}
	return c.weekend&(1<<d) != 0
}

func floorDivide(a, b int64) int64 {
	n := a / b
	if a < n*b {
		n--
	}
	return n
}

// zone is a location together with the stretch of equal offset that was asked
// for last, which is nearly always the one that is asked for next.
type zone struct {
	location *time.Location
	stretch
}

// stretch is a time of equal offset, in ms of UTC.
type stretch struct {
	from, until int64
	offset      int64 // ms
}

// newZone returns nil for UTC.
func newZone(name string) (*zone, error) {
	location, err := loadLocation(name)
	if err != nil || location == time.UTC {
		return nil, err
	}
	return &zone{location: location}, nil
}

// at returns the stretch that holds t.
func (z *zone) at(t int64) stretch {
	if t >= z.from && t < z.until {
		return z.stretch
	}
	at := time.UnixMilli(t).In(z.location)
	_, seconds := at.Zone()
	z.stretch = stretch{from: math.MinInt64, until: math.MaxInt64, offset: 1000 * int64(seconds)}
	from, until := at.ZoneBounds()
	if !from.IsZero() {
		z.from = from.UnixMilli()
	}
	if !until.IsZero() {
		z.until = until.UnixMilli()
	}
	return z.stretch
}
