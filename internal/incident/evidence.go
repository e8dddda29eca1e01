package incident

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// maxTrail bounds the verdicts kept per anomaly; a longer one is thinned to every second point.
const maxTrail = 240

// seriesKey names one series of one rule.
type seriesKey struct{ rule, series string }

// track is what the correlator knows of a series. Only series that belong to a
// service with evidence, or that depart, need one of their own: the others are
// remembered by their newest reading alone.
type track struct {
	key      seriesKey
	last     Reading
	anomaly  *Anomaly    // running, or ended and still part of an open incident; nil when normal
	accepted *acceptance // a departure that still ran and was taken as the new level
}

// acceptance is a departure that an operator, or its age, or its doing no harm any
// more ended while it ran. The detector takes the level over at once, but knows
// little of its noise yet.
type acceptance struct {
	at         time.Time
	up         bool
	from, last float64 // the former level, and the value when it was accepted
	worst      float64 // as far from the former level as it went
}

// further is how many times as far from the former level as it went an accepted
// departure has to go to be news.
const further = 1.25

// covers reports whether a departure is the accepted one, or its noise.
func (a *acceptance) covers(r Reading) bool {
	if a == nil {
		return false
	}
	return !r.Onset.After(a.at) || r.Up == a.up && r.Time.Sub(a.at) < longest &&
		math.Abs(r.Value-a.from) <= further*math.Abs(a.worst-a.from)
}

// over reports whether the series went back to its former level by more than half
// of the way: what departs from there on is another departure.
func (a *acceptance) over(r Reading) bool {
	return a != nil && r.Time.After(a.at) && math.Abs(r.Value-a.from) < math.Abs(a.last-a.from)/2
}

// observe takes a reading into the track. A reading without a score (warming
// up, gap) neither starts nor ends anything.
func (t *track) observe(r Reading) {
	t.last = r
	if t.accepted.over(r) {
		t.accepted = nil
	}
	if r.Anomalous && t.accepted.covers(r) {
		return
	}
	switch {
	case r.Anomalous:
		onset := r.Onset
		if onset.IsZero() || onset.After(r.Time) {
			onset = r.Time
		}
		if t.anomaly == nil {
			t.anomaly = &Anomaly{
				Rule: r.Rule, Series: r.Series, Service: r.Service, Caller: r.Caller, Signal: r.Signal,
				Kind: r.Kind, Up: r.Up, Onset: onset, Unit: r.Unit,
				Value: r.Value, Expected: r.Expected, Score: r.Score,
			}
		}
		a := t.anomaly
		a.End, a.Limit = time.Time{}, r.Limit
		a.Unsure, a.Doubts = r.Unsure, r.Doubts
		if worse(r, a) {
			a.Value, a.Expected, a.Up = r.Value, r.Expected, r.Up
		}
		a.Score = math.Max(a.Score, r.Score)
		if r.Kind != "" {
			a.Kind = r.Kind
		}
	case t.anomaly != nil && t.anomaly.End.IsZero() && !math.IsNaN(r.Score):
		t.anomaly.End, t.anomaly.Limit = r.Time, Forecast{}
	}
	if t.anomaly != nil {
		t.anomaly.Trail = appendPoint(t.anomaly.Trail, Point{
			Time: r.Time, Value: r.Value, Expected: r.Expected, Lower: r.Lower, Upper: r.Upper, Score: r.Score,
		})
	}
}

// worse reports whether the reading departs further than the anomaly's worst so far.
func worse(r Reading, a *Anomaly) bool {
	return math.Abs(r.Value-r.Expected) > math.Abs(a.Value-a.Expected)
}

// appendPoint adds a point and thins a full trail into new memory, since
// readers of earlier outputs may still hold the old one.
func appendPoint(trail []Point, p Point) []Point {
	if len(trail) < maxTrail {
		return append(trail, p)
	}
	thin := make([]Point, 0, maxTrail)
	for i := 0; i < len(trail); i += 2 {
		thin = append(thin, trail[i])
	}
	return append(thin, p)
}

func (t *track) running() bool { return t.anomaly != nil && t.anomaly.End.IsZero() }

// ratio is how many times larger (or smaller) than expected the worst value
// is, bounded to [1, 1000]; a value where nothing was expected counts as 1000.
func (a *Anomaly) ratio() float64 {
	v, e := math.Abs(a.Value), math.Abs(a.Expected)
	if !a.Up {
		v, e = e, v
	}
	switch {
	case math.IsNaN(v) || math.IsNaN(e):
		return 1
	case e <= 0 || v/e > 1000:
		return 1000
	}
	return math.Max(1, v/e)
}

// evidence is all that speaks of trouble at one service in one incident.
type evidence struct {
	service   topology.Service
	anomalies []*Anomaly // running or ended, in order of onset
	alerts    []Alert
	onset     time.Time       // earliest of all
	score     float64         // largest score of an anomaly; an alert of the team's own counts as certain
	bests     [kinds]*Anomaly // of the first known anomalies; the rest is looked at when asked
	known     int
}

// alertScore is the score that a firing alert of the team's own stands for.
const alertScore = 4

func (e *evidence) add(a *Anomaly) {
	e.anomalies = append(e.anomalies, a)
	e.score = math.Max(e.score, a.Score)
	e.began(a.Onset)
}

func (e *evidence) addAlert(a Alert) {
	e.alerts = append(e.alerts, a)
	e.score = math.Max(e.score, alertScore)
	if len(e.anomalies) == 0 {
		// An alert's clock starts after its range and its `for`; an anomaly's
		// onset is nearer to the truth where there is one.
		e.began(a.Since)
	}
}

func (e *evidence) began(t time.Time) {
	if e.onset.IsZero() || t.Before(e.onset) {
		e.onset = t
	}
}

// departed is when the first of it departed: the onset, or earlier where
// something filled up long before users suffered, see [Correlator.remember].
func (e *evidence) departed() time.Time {
	first := e.onset
	for _, a := range e.anomalies {
		if a.Onset.Before(first) {
			first = a.Onset
		}
	}
	return first
}

// kind is what an anomaly says of a service. A ranking asks for the strongest of
// a kind again and again.
type kind int

const (
	aSymptom kind = iota
	aSlowness
	aFailure
	aDemand
	aLack
	aInternal
	aBetween
	aRepeats
	kinds
)

// is reports whether an anomaly is of the kind.
func (k kind) is(a *Anomaly) bool {
	switch k {
	case aSymptom:
		return symptom(a)
	case aSlowness:
		return symptom(a) && a.Signal == Latency
	case aFailure:
		return symptom(a) && a.Signal == Errors
	case aDemand:
		return demand(a)
	case aLack:
		return lack(a)
	case aInternal:
		return internal(a)
	case aBetween:
		return between(a)
	}
	return repeats(a)
}

// best returns the strongest anomaly of a kind; nil when there is none.
func (e *evidence) best(k kind) *Anomaly {
	for ; e.known < len(e.anomalies); e.known++ {
		a := e.anomalies[e.known]
		for k := range kinds {
			if k.is(a) && (e.bests[k] == nil || a.Score > e.bests[k].Score) {
				e.bests[k] = a
			}
		}
	}
	return e.bests[k]
}

// find returns the strongest anomaly that satisfies the test.
func (e *evidence) find(test func(*Anomaly) bool) *Anomaly {
	var best *Anomaly
	for _, a := range e.anomalies {
		if test(a) && (best == nil || a.Score > best.Score) {
			best = a
		}
	}
	return best
}

// lack: fewer requests than usual.
func lack(a *Anomaly) bool { return a.Caller == "" && a.Signal == Traffic && !a.Up }

// symptom: what a caller of the service feels.
func symptom(a *Anomaly) bool {
	return a.Caller == "" && (a.Signal == Latency || a.Signal == Errors) && a.Up
}

// demand: more is asked of the service than usual.
func demand(a *Anomaly) bool { return a.Caller == "" && a.Signal == Traffic && a.Up }

// internal: the use of a resource or the work that the service itself does.
func internal(a *Anomaly) bool { return a.Caller == "" && a.Signal == Saturation && a.Up }

// between: time or requests are lost on the way from a caller to a callee.
func between(a *Anomaly) bool {
	return a.Caller != "" && (a.Signal == Traffic) != a.Up
}

// repeats: a caller makes more calls for each that it gets.
func repeats(a *Anomaly) bool { return a.Caller != "" && a.Signal == Traffic && a.Up }

// partial: what fell is a sum over fewer targets than usual.
func (a *Anomaly) partial() bool { return !a.Up && slices.Contains(a.Doubts, "partial") }

// describe says what a service has, what users feel first: of each signal the
// strongest departure, from what is expected to its worst.
func (e *evidence) describe() string {
	var parts []string
	for _, signal := range []Signal{Errors, Latency, Saturation, Traffic} {
		var its []strongest
		for _, a := range e.anomalies {
			if a.Signal != signal {
				continue
			}
			of := e.part(a)
			i, known := slices.BinarySearchFunc(its, of, func(s strongest, of string) int { return cmp.Compare(s.of, of) })
			switch {
			case !known:
				its = slices.Insert(its, i, strongest{of, a})
			case a.Score > its[i].Score:
				its[i].Anomaly = a
			}
		}
		for _, s := range its {
			part := string(signal) + s.of + " " + s.amount(s.Expected) + " → " + s.amount(s.Value)
			if s.partial() {
				part += fewerTargets
			}
			parts = append(parts, part)
		}
	}
	var alerts []string
	for _, a := range e.alerts {
		alerts = append(alerts, "alert "+a.Name)
	}
	slices.Sort(alerts)
	return list(append(parts, slices.Compact(alerts)...), 6)
}

// fewerTargets says how far to trust a fall.
const fewerTargets = " (fewer targets are scraped)"

// strongest is the strongest departure of one part of a service's work.
type strongest struct {
	of string
	*Anomaly
}

// part says whether an anomaly is of the service itself, or of its calls to or
// from which other one.
func (e *evidence) part(a *Anomaly) string {
	switch a.Caller {
	case "":
		return ""
	case e.service:
		return " of calls to " + name(a.Service)
	}
	return " of calls from " + name(a.Caller)
}
