package plot

import (
	"math"
	"strconv"
	"strings"
)

// Significant shows a number with three significant digits and no exponent
// where that stays short.
func Significant(f float64) string {
	a := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return "–"
	case math.IsInf(f, 1):
		return "∞"
	case math.IsInf(f, -1):
		return "−∞"
	case a == 0:
		return "0"
	case a >= 1e15 || a < 1e-4:
		return strconv.FormatFloat(f, 'e', 2, 64)
	case a >= 100:
		return strconv.FormatFloat(math.Round(f), 'f', -1, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(a))))
	text := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Unit is how values are shown: multiplied by scale, followed by suffix.
type Unit struct {
	scale  float64
	suffix string // with its space, if it has one
}

// Format shows a value with three significant digits and its unit.
func (u Unit) Format(v float64) string { return Significant(v*u.scale) + u.suffix }

// UnitFor chooses the scale that makes largest readable. The name is a
// reading's unit: seconds, ratio, requests/s, bytes, or anything else, which
// is shown as it stands.
func UnitFor(name string, largest float64) Unit {
	largest = math.Abs(largest)
	switch strings.ToLower(name) {
	case "s", "second", "seconds":
		switch {
		case largest < 1e-3 && largest > 0:
			return Unit{1e6, " µs"}
		case largest < 1:
			return Unit{1e3, " ms"}
		}
		return Unit{1, " s"}
	case "ratio":
		return Unit{100, " %"}
	case "per second":
		name = "/s"
	case "byte", "bytes":
		for _, u := range []struct {
			size   float64
			suffix string
		}{{1 << 40, " TiB"}, {1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}} {
			if largest >= u.size {
				return Unit{1 / u.size, u.suffix}
			}
		}
		return Unit{1, " B"}
	}
	suffix := ""
	if name != "" {
		suffix = " " + Clip(strings.Join(strings.Fields(XMLText(name)), " "), 20)
	}
	switch {
	case largest >= 1e9:
		return Unit{1e-9, " G" + strings.TrimSpace(suffix)}
	case largest >= 1e6:
		return Unit{1e-6, " M" + strings.TrimSpace(suffix)}
	case largest >= 1e4:
		return Unit{1e-3, " k" + strings.TrimSpace(suffix)}
	}
	return Unit{1, suffix}
}
