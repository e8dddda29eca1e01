package backtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// NewReport grades what replays of several cases gave with one configuration,
// whose path is config. partial says why cases are missing; "" when none are.
func NewReport(config string, replays []*Replayed, partial string, o GradeOptions) *Report {
	r := &Report{Version: 1, Config: config, Partial: partial, Cases: []CaseReport{}, Days: []DayCount{}, Services: []Count{}, Rules: []RuleStats{}}
	var labelled []Labelled
	for _, p := range replays {
		labelled = append(labelled, Labelled{p.Truth, &p.CaseReport})
	}
	r.Grades = Grade(labelled, o)
	for _, p := range replays {
		r.Cases = append(r.Cases, p.CaseReport)
		if p.Partial != "" && r.Partial == "" {
			r.Partial = fmt.Sprintf("case %s at %s: %s", p.Name, p.Until.Format("2006-01-02 15:04"), p.Partial)
		}
	}
	r.summarize()
	r.count()
	r.Rules = mergeRules(replays)
	return r
}

// All are the incidents sent, in order of case and time.
func (r *Report) All() []Sent {
	var out []Sent
	for _, c := range r.Cases {
		out = append(out, c.Sent...)
	}
	return out
}

func (r *Report) summarize() {
	var leads []float64
	for _, c := range r.Cases {
		r.Summary.Days += c.Until.Sub(c.From).Hours() / 24
		r.Summary.OwnAlerts += len(c.Alerts)
		for _, s := range c.Sent {
			if s.Severity == "page" {
				r.Summary.Pages++
			} else {
				r.Summary.Tickets++
			}
			if s.OwnAlert != nil {
				leads = append(leads, s.OwnAlert.Sub(s.Time).Seconds())
			}
		}
	}
	r.Summary.LeadMedian, r.Summary.LeadOver = median(leads), len(leads)
}

func (r *Report) count() {
	type key struct{ day, service string }
	days, services := map[key]*DayCount{}, map[string]*Count{}
	for _, s := range r.All() {
		service := "(cause not known)"
		if len(s.Causes) > 0 {
			service = s.Causes[0]
		}
		k := key{s.Time.Format("2006-01-02"), service}
		if days[k] == nil {
			days[k] = &DayCount{Day: k.day, Service: service}
		}
		if services[service] == nil {
			services[service] = &Count{Service: service}
		}
		if s.Severity == "page" {
			days[k].Pages++
			services[service].Pages++
		} else {
			days[k].Tickets++
			services[service].Tickets++
		}
	}
	for _, d := range days {
		r.Days = append(r.Days, *d)
	}
	slices.SortFunc(r.Days, func(a, b DayCount) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Service, b.Service)) })
	for _, c := range services {
		r.Services = append(r.Services, *c)
	}
	slices.SortFunc(r.Services, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Pages+b.Tickets, a.Pages+a.Tickets), cmp.Compare(a.Service, b.Service))
	})
}

// mergeRules adds up what the rules did in all cases.
func mergeRules(replays []*Replayed) []RuleStats {
	merged := map[ruleKey]*ruleCount{}
	var order []ruleKey
	sent, wrong := map[string]int{}, map[string]int{}
	for _, p := range replays {
		for _, s := range p.Sent {
			for _, name := range s.Rules {
				sent[name]++
				if s.Verdict == "false" {
					wrong[name]++
				}
			}
		}
		keys := slices.SortedFunc(maps.Keys(p.stats.byRule), func(a, b ruleKey) int {
			return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.group, b.group), cmp.Compare(a.place, b.place))
		})
		for _, k := range keys {
			c := p.stats.byRule[k]
			m := merged[k]
			if m == nil {
				m = &ruleCount{RuleStats: c.RuleStats, optional: c.optional}
				m.Missing = slices.Clone(c.Missing)
				merged[k] = m
				order = append(order, k)
				continue
			}
			m.add(c)
		}
	}
	out := make([]RuleStats, 0, len(order))
	for _, k := range order {
		s := merged[k].result()
		s.Sent, s.False = sent[s.Name], wrong[s.Name]
		out = append(out, s)
	}
	return out
}

func (c *ruleCount) add(o *ruleCount) {
	c.Evaluations += o.Evaluations
	c.Failed += o.Failed
	c.Empty += o.Empty
	c.OnlyNaN += o.OnlyNaN
	c.Fired += o.Fired
	c.Episodes += o.Episodes
	c.Seconds += o.Seconds
	c.Series = max(c.Series, o.Series)
	c.LastError = cmp.Or(o.LastError, c.LastError)
	// A selector that found something in any case is not missing.
	c.Missing = slices.DeleteFunc(c.Missing, func(s string) bool { return !slices.Contains(o.Missing, s) })
}

// line is a Sent as one line of the pages file.
type line struct {
	Case       string   `json:"case"`
	Time       any      `json:"time"`
	Resolved   any      `json:"resolved"`
	Severity   string   `json:"severity"`
	Causes     []string `json:"causes"`
	Known      bool     `json:"known"`
	Effects    []string `json:"effects"`
	Change     string   `json:"change"`
	Confidence float64  `json:"confidence"`
	Summary    string   `json:"summary"`
	Onset      any      `json:"onset"`
	Rules      []string `json:"rules"`
	PagedAt    any      `json:"paged_at"`
}

// WriteLines writes one JSON object a line.
func WriteLines(w io.Writer, sent []Sent) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, s := range sent {
		l := line{s.Case, s.Time, s.Resolved, s.Severity, s.Causes, s.Known, s.Effects, s.Change, s.Confidence, s.Summary, s.Onset, s.Rules, s.PagedAt}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes the machine-readable report.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// odd are the rules that a reader should look at.
func (r *Report) odd() []RuleStats {
	return slices.DeleteFunc(slices.Clone(r.Rules), func(s RuleStats) bool {
		return s.State == "" && s.Failed == 0 && len(s.Missing) == 0
	})
}

func listed(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
