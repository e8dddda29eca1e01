package backtest

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Rules of grading. They are those of the data sets' own scorer, so that
// figures can be compared with published ones:
//
//   - What is sent belongs to the incident whose window [start − early,
//     end + grace] holds it; where several do, to the one that started last
//     before it.
//   - What is sent before the graded span or in an ignored span counts for
//     nothing. All else is false; false per day is over the time that is in no
//     window and in no ignored span.
//   - The first of an incident decides delay, ranking and change; further ones
//     are duplicates.
//   - Top-k: the true cause is among the first k causes, over all incidents with
//     a known cause (a missed one is a miss), or over those that were sent.
//     Avg@5 is the mean of top-1 to top-5.
//   - A change is right when it is the incident's, or when none is named where
//     none is to blame; a missed incident is wrong. Innocent: another one is named.

// GradeOptions are the tolerances of grading.
type GradeOptions struct {
	Grace        time.Duration // after the end of an incident; 10 minutes
	GraceSamples float64       // the same in samples; the longer of the two counts; 2
	Early        time.Duration // before the start; 0
}

func (o GradeOptions) orDefault() GradeOptions {
	if o.Grace == 0 {
		o.Grace = 10 * time.Minute
	}
	if o.GraceSamples == 0 {
		o.GraceSamples = 2
	}
	return o
}

// window is the labelled incident with what was sent for it.
type window struct {
	Label
	sent []*Sent
	own  []time.Time // starts of the team's own alerts
}

// graded is one case while it is graded.
type graded struct {
	truth                *Truth
	report               *CaseReport
	early, grace         time.Duration
	windows              []*window
	wrong                []*Sent
	warm, ignored, right int
}

// grade puts what was sent into the windows, and says so in each Sent.
func grade(t *Truth, c *CaseReport, o GradeOptions) *graded {
	o = o.orDefault()
	g := &graded{truth: t, report: c, early: o.Early}
	g.grace = max(o.Grace, time.Duration(o.GraceSamples*float64(t.Interval)))
	c.Uncounted = nil
	if t.From.After(c.From) {
		c.Uncounted = append(c.Uncounted, Span{c.From, t.From})
	}
	for _, i := range t.Ignore {
		c.Uncounted = append(c.Uncounted, Span(i))
	}
	slices.SortFunc(c.Uncounted, func(a, b Span) int { return a.Start.Compare(b.Start) })
	for _, l := range t.Incidents {
		g.windows = append(g.windows, &window{Label: l})
	}
	for i := range c.Sent {
		s := &c.Sent[i]
		s.Incident, s.Verdict = "", ""
		switch w := g.windowOf(s.Time); {
		case w != nil:
			s.Incident, s.Verdict = w.Name, "hit"
			if len(w.sent) > 0 {
				s.Verdict = "duplicate"
			}
			w.sent = append(w.sent, s)
			g.right++
		case s.Time.Before(t.From):
			s.Verdict = "warm-up"
			g.warm++
		case slices.ContainsFunc(t.Ignore, func(i Ignored) bool { return !s.Time.Before(i.Start) && !s.Time.After(i.End) }):
			s.Verdict = "ignored"
			g.ignored++
		default:
			s.Verdict = "false"
			g.wrong = append(g.wrong, s)
		}
	}
	for _, a := range c.Alerts {
		if w := g.windowOf(a.Start); w != nil {
			w.own = append(w.own, a.Start)
		}
	}
	return g
}

func (g *graded) windowOf(at time.Time) *window {
	var begun, coming *window
	for _, w := range g.windows { // in order of start
		if at.Before(w.Start.Add(-g.early)) || at.After(w.End.Add(g.grace)) {
			continue
		}
		if !at.Before(w.Start) {
			if begun == nil || w.Start.After(begun.Start) {
				begun = w
			}
		} else if coming == nil {
			coming = w
		}
	}
	if begun != nil {
		return begun
	}
	return coming
}

// quiet is the time that is graded and in no window and no ignored span. A
// replay that ended early was quiet up to there at most.
func (g *graded) quiet() time.Duration {
	from, to := g.truth.From, g.truth.To
	if g.report.Until.Before(to) && g.report.Partial != "" {
		to = g.report.Until
	}
	type span struct{ a, b time.Time }
	var spans []span
	for _, w := range g.windows {
		spans = append(spans, span{w.Start.Add(-g.early), w.End.Add(g.grace)})
	}
	for _, i := range g.truth.Ignore {
		spans = append(spans, span{i.Start, i.End})
	}
	for i, s := range spans {
		spans[i] = span{later(s.a, from), earlier(s.b, to)}
	}
	slices.SortFunc(spans, func(x, y span) int { return cmp.Or(x.a.Compare(y.a), x.b.Compare(y.b)) })
	total, at := to.Sub(from), from
	for _, s := range spans {
		a := later(s.a, at)
		if s.b.After(a) {
			total -= s.b.Sub(a)
			at = s.b
		}
	}
	return max(0, total)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ranked are the causes without the suffix and without repetitions.
func ranked(t *Truth, s *Sent) []string {
	var out []string
	for _, c := range s.Causes {
		if c = t.strip(c); !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// sameChange: equal, or one a prefix of the other of at least 7 characters, as
// with short commit hashes.
func sameChange(a, b string) bool {
	return a == b || min(len(a), len(b)) >= 7 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// changeVerdict says whether what was sent blames the right change.
func changeVerdict(w *window) string {
	if len(w.sent) == 0 {
		return "missed"
	}
	said := w.sent[0].Change
	switch {
	case w.Change == said, w.Change != "" && said != "" && sameChange(w.Change, said):
		return "right"
	case said != "" && w.Release != "" && sameChange(w.Release, said):
		return "release"
	case said != "":
		return "innocent"
	}
	return "none"
}

// gradeOf is the grade of one incident.
func (g *graded) gradeOf(w *window) IncidentGrade {
	out := IncidentGrade{
		Case: g.report.Name, Name: w.Name, Start: w.Start, End: w.End, Causes: w.Causes, Fault: w.Fault, Change: w.Change,
		Hit: len(w.sent) > 0, Sent: len(w.sent),
	}
	if g.truth.Changes {
		out.ChangeVerdict = changeVerdict(w)
	}
	if len(w.own) > 0 {
		first := slices.MinFunc(w.own, time.Time.Compare)
		out.OwnAlert = &first
	}
	if !out.Hit {
		return out
	}
	out.First = w.sent[0]
	names := ranked(g.truth, w.sent[0])
	for _, c := range w.Causes {
		if k := slices.Index(names, g.truth.strip(c)); k >= 0 && (out.Rank == 0 || k+1 < out.Rank) {
			out.Rank = k + 1
		}
	}
	if out.OwnAlert != nil {
		lead := out.OwnAlert.Sub(w.sent[0].Time).Seconds()
		out.OwnLead = &lead
	}
	return out
}

// delay in seconds and in samples, rounded up; something early has none.
func (g *graded) delay(w *window) (seconds, samples float64) {
	seconds = max(0, w.sent[0].Time.Sub(w.Start).Seconds())
	return seconds, math.Ceil(seconds/g.truth.Interval.Seconds() - 1e-9)
}

// open reports whether something sent before the incident was still unresolved when it started.
func (g *graded) open(w *window) bool {
	return slices.ContainsFunc(g.report.Sent, func(s Sent) bool {
		return s.Time.Before(w.Start) && (s.Resolved == nil || s.Resolved.After(w.Start))
	})
}
