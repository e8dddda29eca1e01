package backtest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Condition is what a report must satisfy, such as `recall >= 0.8`.
type Condition struct {
	Metric string
	Op     string // >=, <=, > or <
	Value  float64
}

func (c Condition) String() string {
	return c.Metric + " " + c.Op + " " + strconv.FormatFloat(c.Value, 'g', -1, 64)
}

// metrics are the figures that conditions name. They are nil where there is nothing to take them over.
var metrics = map[string]func(*Report) *float64{
	"precision":               func(r *Report) *float64 { return r.all().Precision },
	"recall":                  func(r *Report) *float64 { return r.all().All.Recall },
	"sent_per_incident":       func(r *Report) *float64 { return r.all().All.SentPerHit },
	"false_pages_per_day":     func(r *Report) *float64 { return r.perQuietDay(r.all().FalsePages) },
	"false_tickets_per_day":   func(r *Report) *float64 { return r.perQuietDay(r.all().FalseTickets) },
	"delay_seconds":           func(r *Report) *float64 { return r.all().All.DelaySeconds },
	"cause_top1":              func(r *Report) *float64 { return r.all().All.Top1 },
	"cause_top3":              func(r *Report) *float64 { return r.all().All.Top3 },
	"cause_avg5":              func(r *Report) *float64 { return r.all().All.Avg5 },
	"change_right":            func(r *Report) *float64 { return r.all().All.ChangeShare },
	"innocent_changes_blamed": func(r *Report) *float64 { return number(r.labelled(), r.all().All.InnocentBlamed) },
	"lead_seconds":            func(r *Report) *float64 { return r.leads() },
	"pages_per_day":           func(r *Report) *float64 { return r.perDay(r.Summary.Pages) },
	"tickets_per_day":         func(r *Report) *float64 { return r.perDay(r.Summary.Tickets) },
	"rules_without_data":      func(r *Report) *float64 { return number(true, r.inState("never has data")+r.inState("only NaN")) },
	"rules_failing":           func(r *Report) *float64 { return number(true, r.failing()) },
}

// Metrics are the names that conditions may use, sorted.
func Metrics() []string { return slices.Sorted(maps.Keys(metrics)) }

var condition = regexp.MustCompile(`^\s*([a-z0-9_]+)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*$`)

// ParseConditions reads conditions that are separated by commas.
func ParseConditions(texts []string) ([]Condition, error) {
	var out []Condition
	var errs []error
	for _, text := range texts {
		for _, part := range strings.Split(text, ",") {
			m := condition.FindStringSubmatch(part)
			if m == nil {
				errs = append(errs, fmt.Errorf("condition %q: want one such as recall>=0.8 or false_pages_per_day<=0.1", part))
				continue
			}
			v, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				errs = append(errs, fmt.Errorf("condition %q: %q is no number", part, m[3]))
				continue
			}
			if metrics[m[1]] == nil {
				errs = append(errs, fmt.Errorf("condition %q: there is no figure %q; known are %s", part, m[1], strings.Join(Metrics(), ", ")))
				continue
			}
			out = append(out, Condition{m[1], m[2], v})
		}
	}
	return out, errors.Join(errs...)
}

// Unmet says which conditions the report does not satisfy. A figure that there
// is nothing to take over satisfies none; a partial report satisfies none either.
func (r *Report) Unmet(conditions []Condition) []string {
	var out []string
	for _, c := range conditions {
		v := metrics[c.Metric](r)
		switch {
		case r.Partial != "":
			out = append(out, fmt.Sprintf("%s: the report is partial", c))
		case v == nil:
			out = append(out, fmt.Sprintf("%s: there is nothing to take it over", c))
		case !c.met(*v):
			out = append(out, fmt.Sprintf("%s: it is %s", c, strconv.FormatFloat(*v, 'g', 4, 64)))
		}
	}
	return out
}

func (c Condition) met(v float64) bool {
	switch c.Op {
	case ">=":
		return v >= c.Value
	case "<=":
		return v <= c.Value
	case ">":
		return v > c.Value
	}
	return v < c.Value
}

func (r *Report) labelled() bool { return r.Grades != nil }

// all is the grade over all sets; without labels it has no figures.
func (r *Report) all() SetGrade {
	if r.Grades == nil || len(r.Grades.Sets) == 0 {
		return SetGrade{}
	}
	return r.Grades.Sets[len(r.Grades.Sets)-1]
}

func (r *Report) perQuietDay(n int) *float64 {
	d := r.all().QuietDays
	if d <= 0 {
		return nil
	}
	v := float64(n) / d
	return &v
}

func (r *Report) perDay(n int) *float64 {
	if r.Summary.Days <= 0 {
		return nil
	}
	v := float64(n) / r.Summary.Days
	return &v
}

// leads is the lead over own alerts: by labelled incidents where there are any.
func (r *Report) leads() *float64 {
	if r.labelled() {
		return r.all().All.OwnLead
	}
	return r.Summary.LeadMedian
}

func (r *Report) inState(state string) int {
	n := 0
	for _, s := range r.Rules {
		if s.State == state {
			n++
		}
	}
	return n
}

func (r *Report) failing() int {
	n := 0
	for _, s := range r.Rules {
		if s.Failed > 0 {
			n++
		}
	}
	return n
}

func number(ok bool, n int) *float64 {
	if !ok {
		return nil
	}
	v := float64(n)
	return &v
}
