package backtest

import (
	"maps"
	"slices"
)

// tally gathers incidents before the figures are taken.
type tally struct {
	Tally
	sent                               int
	delay, samples, lead, own, jaccard []float64
	hits                               [6]int // hits[k]: cause among the first k
}

func (t *tally) add(g *graded, w *window) {
	t.Incidents++
	one := g.gradeOf(w)
	if len(w.Causes) > 0 {
		t.Causes++
	}
	if one.OwnAlert != nil {
		t.OwnAlerted++
		if !one.Hit {
			t.OwnOnly++
		}
	}
	switch {
	case one.Hit:
		t.hit(g, w, one)
	case g.open(w):
		t.MissedWhileOpen++
	}
	if g.truth.Changes {
		t.Changes++
		switch one.ChangeVerdict {
		case "right":
			t.ChangeRight++
			t.ChangeOrRelease++
		case "release":
			t.ChangeOrRelease++
		case "innocent":
			t.InnocentBlamed++
		}
	}
}

func (t *tally) hit(g *graded, w *window, one IncidentGrade) {
	t.Hit++
	t.sent += len(w.sent)
	seconds, samples := g.delay(w)
	t.delay, t.samples = append(t.delay, seconds), append(t.samples, samples)
	if !w.Alert.IsZero() {
		t.lead = append(t.lead, w.Alert.Sub(w.sent[0].Time).Seconds())
	}
	if one.OwnLead != nil {
		t.own = append(t.own, *one.OwnLead)
	}
	if len(w.Causes) > 0 {
		t.CausesHit++
		for k := 1; k <= 5; k++ {
			if one.Rank > 0 && one.Rank <= k {
				t.hits[k]++
			}
		}
	}
	if w.HasEffects {
		t.jaccard = append(t.jaccard, jaccard(w.sent[0].Effects, w.Effects))
	}
}

// result fills in the figures.
func (t *tally) result() Tally {
	out := t.Tally
	share := func(n, of int) *float64 {
		if of == 0 {
			return nil
		}
		v := float64(n) / float64(of)
		return &v
	}
	avg := func(of int) *float64 {
		if of == 0 {
			return nil
		}
		v := float64(t.hits[1]+t.hits[2]+t.hits[3]+t.hits[4]+t.hits[5]) / 5 / float64(of)
		return &v
	}
	out.Recall, out.SentPerHit = share(t.Hit, t.Incidents), share(t.sent, t.Hit)
	out.DelaySeconds, out.DelaySamples = median(t.delay), median(t.samples)
	out.LabelLead, out.OwnLead = median(t.lead), median(t.own)
	out.Top1, out.Top3, out.Avg5 = share(t.hits[1], t.Causes), share(t.hits[3], t.Causes), avg(t.Causes)
	out.Top1Hit, out.Top3Hit, out.Avg5Hit = share(t.hits[1], t.CausesHit), share(t.hits[3], t.CausesHit), avg(t.CausesHit)
	out.ChangeShare = share(t.ChangeRight, t.Changes)
	out.EffectsJaccard = mean(t.jaccard)
	return out
}

// Labelled is what a case sent, with its labels.
type Labelled struct {
	Truth  *Truth
	Report *CaseReport // what was sent gets its verdict
}

// Grade grades what cases sent against their labels; nil when no case has any.
func Grade(cases []Labelled, o GradeOptions) *Grades {
	var list []*graded
	for _, c := range cases {
		if c.Truth != nil && c.Truth.Labelled {
			list = append(list, grade(c.Truth, c.Report, o))
		}
	}
	return gradeAll(list)
}

// PagesOnly is a copy of the report that holds what became a page, at the time
// when it did.
func (c *CaseReport) PagesOnly() *CaseReport {
	out := *c
	out.Sent = nil
	for _, s := range c.Sent {
		if s.PagedAt != nil {
			s.Time = *s.PagedAt
			out.Sent = append(out.Sent, s)
		}
	}
	slices.SortStableFunc(out.Sent, func(a, b Sent) int { return a.Time.Compare(b.Time) })
	return &out
}

// gradeAll makes the grades of all cases that have labels; nil when none has.
func gradeAll(cases []*graded) *Grades {
	if len(cases) == 0 {
		return nil
	}
	out := &Grades{}
	sets := map[string][]*graded{}
	for _, g := range cases {
		sets[g.truth.Set] = append(sets[g.truth.Set], g)
		for _, w := range g.windows {
			out.Incidents = append(out.Incidents, g.gradeOf(w))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		out.Sets = append(out.Sets, setGrade(name, sets[name], true))
	}
	out.Sets = append(out.Sets, setGrade("ALL", cases, false))
	return out
}

func setGrade(name string, cases []*graded, byFault bool) SetGrade {
	s := SetGrade{Name: name, Cases: len(cases)}
	all, faults := &tally{}, map[string]*tally{}
	right := 0
	for _, g := range cases {
		s.False += len(g.wrong)
		for _, f := range g.wrong {
			if f.Severity == "page" {
				s.FalsePages++
			} else {
				s.FalseTickets++
			}
			if g.truth.Changes && f.Change != "" {
				s.FalseWithChange++
			}
		}
		s.QuietDays += g.quiet().Hours() / 24
		s.WarmUp += g.warm
		s.Ignored += g.ignored
		right += g.right
		for _, w := range g.windows {
			all.add(g, w)
			f := faults[w.Fault]
			if f == nil {
				f = &tally{}
				faults[w.Fault] = f
			}
			f.add(g, w)
		}
	}
	s.All = all.result()
	if s.QuietDays > 0 {
		v := float64(s.False) / s.QuietDays
		s.FalsePerDay = &v
	}
	if n := right + s.False; n > 0 {
		v := float64(right) / float64(n)
		s.Precision = &v
	}
	if byFault {
		for _, f := range slices.Sorted(maps.Keys(faults)) {
			s.Faults = append(s.Faults, FaultTally{Fault: f, Tally: faults[f].result()})
		}
	}
	return s
}

func median(v []float64) *float64 {
	if len(v) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(v))
	m := s[len(s)/2]
	if len(s)%2 == 0 {
		m = (s[len(s)/2-1] + m) / 2
	}
	return &m
}

func mean(v []float64) *float64 {
	if len(v) == 0 {
		return nil
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	sum /= float64(len(v))
	return &sum
}

// jaccard is the size of the intersection over that of the union; two empty sets are equal.
func jaccard(a, b []string) float64 {
	seen := map[string]int{}
	for _, x := range a {
		seen[x] |= 1
	}
	for _, x := range b {
		seen[x] |= 2
	}
	if len(seen) == 0 {
		return 1
	}
	both := 0
	for _, v := range seen {
		if v == 3 {
			both++
		}
	}
	return float64(both) / float64(len(seen))
}
