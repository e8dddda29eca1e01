package rules

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/detectors"
)

// Eval implements [promrules.Rule]: it queries at ts less the query offset,
// judges the series and returns the results to write. A group's limit bounds
// the series, as the manager's does; what is over it is refused and counted.
func (d *Detection) Eval(ctx context.Context, queryOffset time.Duration, ts time.Time, query promrules.QueryFunc, _ *url.URL, limit int) (promql.Vector, error) {
	ev := Evaluation{Rule: d, Group: d.group, Time: ts}
	var start time.Time
	if d.o.now != nil {
		start = d.o.now()
	}
	out, sum, err := d.eval(ctx, ts.Add(-queryOffset), query, limit, &ev)
	if err != nil {
		ev.Readings, ev.Err = nil, err
		out, sum = nil, EvaluationSummary{}
	}
	if d.o.now != nil {
		ev.Duration = d.o.now().Sub(start)
	}
	d.count(sum.Series, sum.Anomalies)
	d.mu.Lock()
	sum.Time, sum.Duration, sum.Err = ts, ev.Duration, err
	d.history.add(sum)
	d.mu.Unlock()
	if d.o.onEvaluation != nil {
		d.o.onEvaluation(ev)
	}
	return out, err
}

func (d *Detection) eval(ctx context.Context, at time.Time, query promrules.QueryFunc, limit int, ev *Evaluation) (promql.Vector, EvaluationSummary, error) {
	if err := d.begin(); err != nil {
		return nil, EvaluationSummary{}, err
	}
	if err := d.applyHolds(); err != nil {
		return nil, EvaluationSummary{}, err
	}
	ctx = promrules.NewOriginContext(ctx, promrules.RuleDetail{Name: d.spec.Name, Query: d.query, Labels: d.labels, Kind: "detection"})
	partial := func() bool { return false }
	if d.o.partial != nil {
		ctx, partial = d.o.partial(ctx)
	}
	v, err := query(ctx, d.query, at)
	if err != nil {
		return nil, EvaluationSummary{}, err
	}
	var of *joined
	if d.of != "" {
		w, err := query(ctx, d.of, at)
		if err == nil {
			of, err = join(w)
		}
		if err != nil {
			return nil, EvaluationSummary{}, fmt.Errorf("of: %w", err)
		}
	}
	if limit <= 0 || limit > d.o.seriesLimit {
		limit = d.o.seriesLimit
	}
	j := judgement{result: v, of: of, t: at.UnixMilli(), limit: limit, partial: partial()}
	if !j.partial { // else who is missing may be where nobody answered
		j.absences = d.absences(ctx, query, at.UnixMilli())
	}
	return d.judge(j, ev)
}

// judgement is what there is to judge in an evaluation.
type judgement struct {
	result   promql.Vector
	of       *joined // nil: none
	t        int64   // ms
	limit    int
	absences *absences // nil: missing series are not judged
	partial  bool      // the result is incomplete
}

// judge has the detector judge the series of a result, in the order of their
// labels, and those that are missing in it.
func (d *Detection) judge(j judgement, ev *Evaluation) (out promql.Vector, sum EvaluationSummary, err error) {
	v, t := j.result, j.t
	var now *series
	defer d.recovered(&now, &err)
	st := d.states
	added, refused, err := st.take(v, t, j.limit, d.shape())
	if err != nil {
		return nil, sum, err
	}
	ev.Refused = refused
	d.sayRefused(refused, j.limit)
	for _, s := range added {
		now = s
		if len(d.spec.By) > 0 && !d.spec.Detector.Absences && !d.spec.Detector.Groups {
			s.joining = true
			st.joining++
		}
		if h, ok := d.holds[s.key]; ok {
			st.hold(s, h)
		}
	}
	now = nil
	d.inherit(t)
	d.watchGroups(t)
	out = make(promql.Vector, 0, len(v)*d.outputs())
	readings := d.o.onEvaluation != nil
	if readings {
		ev.Readings = make([]Reading, 0, len(v))
	}
	together := d.together(t, j.of)
	for i, s := range st.sorted {
		now = s
		var verdict detectors.Verdict
		switch {
		case s.round == st.round && together != nil:
			s.seen = t
			verdict = together[i]
		case s.round == st.round:
			s.seen = t
			verdict = d.observe(s, t, j.of)
		case j.absences == nil:
			s.anomalous = false
			continue
		default:
			var ok bool
			if verdict, ok = j.absences.judge(s); !ok {
				s.anomalous, s.departing = false, false
				continue
			}
		}
		if s.inherited(t) {
			verdict.Doubts |= detectors.DoubtInherited
		}
		if j.partial {
			verdict.Doubts |= detectors.DoubtPartial
		}
		d.decide(s, t, verdict)
		sum.Series++
		if math.IsNaN(verdict.Value) {
			sum.NaN++
		}
		if s.anomalous {
			sum.Anomalies++
		}
		if !d.o.skipOutputs {
			out = d.write(out, s, t, verdict)
		}
		if readings {
			ev.Readings = append(ev.Readings, reading(s, t, verdict))
		}
	}
	now = nil
	st.forget(t, d.o.forgetAfter)
	return out, sum, nil
}

// sayRefused says it once when there are more series than the limit, and when it is over.
func (d *Detection) sayRefused(refused, limit int) {
	if d.refusing == (refused > 0) || d.o.logger == nil {
		return
	}
	if d.refusing = refused > 0; d.refusing {
		d.o.logger.Warn("more series than the rule's limit: known ones stay judged, the others are not; aggregate in the expression", "rule", d.spec.Name, "limit", limit, "not_judged", refused)
		return
	}
	d.o.logger.Info("the rule's series are within its limit again", "rule", d.spec.Name, "limit", limit)
}

// recovered turns a detector's panic into an error of the rule: one detector
// must not take the alerts of all others down.
func (d *Detection) recovered(now **series, err *error) {
	r := recover()
	if r == nil {
		return
	}
	of := ""
	if *now != nil {
		of = " on the series " + (*now).key
	}
	*err = fmt.Errorf("detector %s panicked%s: %v; this is a bug of the detector", d.spec.Detector.Name, of, r)
	d.o.logger.Error("detector panicked", "rule", d.spec.Name, "err", *err, "stack", string(debug.Stack()))
}

// lookback is how long a series may be missing from the results and still be
// the same departure: Prometheus's default lookback.
const lookback = 5 * time.Minute

// decide says whether the series is anomalous.
func (d *Detection) decide(s *series, t int64, v detectors.Verdict) {
	gap := t-s.told > max(lookback, 3*d.o.interval).Milliseconds()
	s.told = t
	s.anomalous = false
	if math.IsNaN(v.Score) {
		// Not known is neither anomalous nor normal again.
		s.departing = s.departing && !gap
		return
	}
	departs := v.Score >= 1 && d.spec.Direction.matches(v.Up) && d.spec.MinChange.Exceeded(v.Value, v.Expected) && !d.shared(s, v)
	if departs && (!s.departing || gap) {
		s.since = t
	}
	s.departing = departs
	s.anomalous = departs && t-s.since >= d.spec.For.Milliseconds()
}

func (dir Direction) matches(up bool) bool {
	return dir == Both || up == (dir == Up)
}

func (d *Detection) outputs() int {
	n := 0
	if d.o.skipOutputs {
		return 0
	}
	if d.spec.WriteScore {
		n++
	}
	if d.spec.WriteBand {
		n += 2
	}
	return n
}

// write appends the results of a series; what is not known is not written. The
// labels of a result are made when it is written first.
func (d *Detection) write(out promql.Vector, s *series, t int64, v detectors.Verdict) promql.Vector {
	if d.spec.WriteScore && !math.IsNaN(v.Score) {
		if s.score.IsEmpty() {
			s.score = d.shape().output(s, ScoreName)
		}
		out = append(out, promql.Sample{Metric: s.score, T: t, F: v.Score})
	}
	if !d.spec.WriteBand || math.IsNaN(v.Lower) && math.IsNaN(v.Upper) {
		return out
	}
	if s.band == nil {
		s.band = &bandLabels{lower: d.shape().output(s, LowerName), upper: d.shape().output(s, UpperName)}
	}
	if !math.IsNaN(v.Lower) {
		out = append(out, promql.Sample{Metric: s.band.lower, T: t, F: v.Lower})
	}
	if !math.IsNaN(v.Upper) {
		out = append(out, promql.Sample{Metric: s.band.upper, T: t, F: v.Upper})
	}
	return out
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func reading(s *series, t int64, v detectors.Verdict) Reading {
	r := Reading{Series: s.labels, Key: s.key, Time: timeOf(t), Verdict: v, Anomalous: s.anomalous}
	switch {
	case v.Onset != 0:
		r.Onset = time.UnixMilli(v.Onset).UTC()
	case s.departing:
		r.Onset = time.UnixMilli(s.since).UTC()
	}
	return r
}
