package incident

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// sparkline draws the values of a trail in at most 16 characters.
func sparkline(trail []Point) string {
	const bars, width = "▁▂▃▄▅▆▇█", 16
	if len(trail) == 0 {
		return ""
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, p := range trail {
		for _, v := range []float64{p.Value, p.Expected} {
			if !math.IsNaN(v) {
				lo, hi = math.Min(lo, v), math.Max(hi, v)
			}
		}
	}
	if !(hi > lo) {
		return ""
	}
	runes := []rune(bars)
	var b strings.Builder
	n := min(width, len(trail))
	for i := range n {
		v := trail[i*len(trail)/n].Value
		if math.IsNaN(v) {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(runes[int((v-lo)/(hi-lo)*float64(len(runes)-1)+0.5)])
	}
	return b.String()
}

// amount writes a value in its unit for a person.
func amount(v float64, unit string) string {
	if math.IsNaN(v) {
		return "unknown"
	}
	switch unit {
	case "seconds":
		if math.Abs(v) < 1 {
			return trim(v*1000) + " ms"
		}
		return trim(v) + " s"
	case "ratio":
		return trim(v*100) + "%"
	case "":
		return trim(v)
	}
	return trim(v) + " " + unit
}

// trim writes a number with three significant digits.
func trim(v float64) string {
	if v != 0 && math.Abs(v) < 1e-4 {
		return "0"
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// times writes how many times something is, as precisely as it matters.
func times(ratio float64) string {
	if ratio >= 10 {
		return strconv.FormatFloat(ratio, 'f', 0, 64)
	}
	return strconv.FormatFloat(ratio, 'g', 2, 64)
}

// name shows a service; evidence without identity has none.
func name(s topology.Service) string {
	if s == "" {
		return "(no service)"
	}
	return string(s)
}

func list(items []string, most int) string {
	if len(items) > most {
		return strings.Join(items[:most], ", ") + fmt.Sprintf(" and %d more", len(items)-most)
	}
	return strings.Join(items, ", ")
}

// most keeps the first lines and counts the others.
func most(lines []string, n int) []string {
	if len(lines) <= n {
		return lines
	}
	return append(lines[:n:n], fmt.Sprintf("and %d more", len(lines)-n))
}

// round writes a duration to the second: 1h, 9m, 1m45s.
func round(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	s := d.Round(time.Second).String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}

func clip(s string) string { return cut(s, maxText) }

// cut shortens a text to so many bytes, between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xC0 == 0x80 {
		most--
	}
	return s[:most] + " …"
}
