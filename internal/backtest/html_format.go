package backtest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/plot"
)

// none stands where a figure has nothing to be taken over.
const none = "–"

func or(text, otherwise string) string {
	if strings.TrimSpace(text) == "" {
		return otherwise
	}
	return text
}

// count is a number of things: 1 case, 2 cases.
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// cutNote says how much of a list is not shown; "" when nothing is cut.
func cutNote(all, most int, what string) string {
	if all <= most {
		return ""
	}
	return fmt.Sprintf("%d more %s are not shown here; the JSON report has all %d.", all-most, what, all)
}

// joinNames lists names, at most so many.
func joinNames(names []string, most int) string {
	var out []string
	for _, n := range names[:min(len(names), most)] {
		out = append(out, plot.Clip(n, htmlNameLength))
	}
	text := strings.Join(out, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

func percentOf(share *float64) string {
	if share == nil || math.IsNaN(*share) {
		return none
	}
	return strconv.FormatFloat(math.Round(*share*100), 'f', -1, 64) + " %"
}

func twoDigits(v *float64) string {
	if v == nil || math.IsNaN(*v) {
		return none
	}
	return strconv.FormatFloat(*v, 'f', 2, 64)
}

func oneDigit(v *float64) string {
	if v == nil || math.IsNaN(*v) {
		return none
	}
	return strconv.FormatFloat(*v, 'f', 1, 64)
}

// secondsText is a duration given in seconds: 45 s, 6 min 30 s, 2 h 5 min, 3 d 4 h.
func secondsText(v *float64) string {
	if v == nil || math.IsNaN(*v) || math.Abs(*v) > 1e15 {
		return none
	}
	s := int64(math.Round(math.Abs(*v)))
	sign := ""
	if *v < 0 && s > 0 {
		sign = "−"
	}
	two := func(a int64, ua string, b int64, ub string) string {
		if b == 0 {
			return fmt.Sprintf("%s%d %s", sign, a, ua)
		}
		return fmt.Sprintf("%s%d %s %d %s", sign, a, ua, b, ub)
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%s%d s", sign, s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	}
	return two(s/86400, "d", s%86400/3600, "h")
}

func durationText(d time.Duration) string {
	s := d.Seconds()
	return secondsText(&s)
}

// leadText says how what was sent stood to the first of the team's own alerts.
func leadText(seconds *float64) string {
	switch {
	case seconds == nil:
		return none
	case *seconds > 0:
		return secondsText(seconds) + " earlier"
	case *seconds < 0:
		v := -*seconds
		return secondsText(&v) + " later"
	}
	return "same time"
}

func daysText(days float64) string {
	if math.IsNaN(days) || days <= 0 {
		return "0 days"
	}
	if days < 1 {
		return durationText(time.Duration(days * 24 * float64(time.Hour)))
	}
	return plot.Significant(days) + " days"
}

// perDay is a rate with two or three significant digits; none without days.
func perDay(n int, days float64) string {
	if days <= 0 || math.IsNaN(days) {
		return none
	}
	return rate(float64(n) / days)
}

func rate(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func timeText(t time.Time) string { return t.UTC().Format(htmlTimeLayout) }

// round2 keeps two digits, so that places in a picture stay short.
func round2(v float64) float64 { return math.Round(v*100) / 100 }
