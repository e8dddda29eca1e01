package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// authorized compares the bearer token in constant time, whatever its length.
func authorized(r *http.Request, token string) bool {
	scheme, given, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func pathEscape(segment string) string { return url.PathEscape(segment) }

// external is the address of a path of ours for somebody who is not on our pages.
func (s *server) external(path string) string {
	if s.ExternalURL == nil || s.ExternalURL.Host == "" {
		return s.link(path)
	}
	return s.ExternalURL.Scheme + "://" + s.ExternalURL.Host + s.link(path)
}

// orEmpty makes a nil map an object in JSON.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// span is a duration as people say it, with at most two parts: 45 s, 6 min, 2 h 5 min, 3 d 4 h.
func span(d time.Duration) string {
	if d < 0 {
		return "−" + span(-d)
	}
	two := func(a int64, ua string, b int64, ub string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, ua)
		}
		return fmt.Sprintf("%d %s %d %s", a, ua, b, ub)
	}
	sec := int64(d / time.Second)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case sec < 60:
		return fmt.Sprintf("%d s", sec)
	case sec < 600:
		return two(sec/60, "min", sec%60, "s")
	case sec < 3600:
		return fmt.Sprintf("%d min", sec/60)
	case sec < 86400:
		return two(sec/3600, "h", sec%3600/60, "min")
	}
	return two(sec/86400, "d", sec%86400/3600, "h")
}

// took is how long something short lasted: 3.2 ms, 1.25 s.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return plot.Significant(float64(d)/float64(time.Millisecond)) + " ms"
	}
	return plot.Significant(d.Seconds()) + " s"
}

// offset is a time relative to an onset: +0s, +12s, +3m20s, −40s.
func offset(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "−", -d
	}
	return sign + d.Round(time.Second).String()
}

// ago is how long before now, or "never" for the zero time.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	if d < time.Second {
		return "now"
	}
	return span(d) + " ago"
}

// clock is the time of day in UTC, with the day if that is not now's.
func clock(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	now, t = now.UTC(), t.UTC()
	switch {
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		return t.Format(time.TimeOnly)
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04:05")
	}
	return t.Format("2 Jan 2006 15:04:05")
}

// unitName is the unit of an anomaly's values: its own, its rule's, or else its signal's.
func (s *server) unitName(a *incident.Anomaly) string {
	if a.Unit != "" {
		return a.Unit
	}
	if rule := ruleNamed(s.Rules(), a.Rule); rule != nil && rule.Unit != "" {
		return rule.Unit
	}
	switch a.Signal {
	case incident.Latency:
		return "seconds"
	case incident.Traffic:
		return "/s"
	}
	return ""
}

// ruleNamed returns the detection rule with the name, or nil.
func ruleNamed(groups []RuleGroup, name string) *Rule {
	for g := range groups {
		for r := range groups[g].Rules {
			if rule := &groups[g].Rules[r]; rule.Kind == Detect && rule.Name == name {
				return rule
			}
		}
	}
	return nil
}

// plural counts things: 1 rule, 2 rules.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// enumerate joins words as in a sentence and leaves out what is beyond most.
func enumerate(words []string, most int) string {
	if len(words) > most {
		return strings.Join(words[:most], ", ") + " and " + strconv.Itoa(len(words)-most) + " more"
	}
	if len(words) > 1 {
		return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
	}
	return strings.Join(words, "")
}
