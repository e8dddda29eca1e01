package rules

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/detectors"
)

// The names of the series that detection rules write.
const (
	ScoreName = "anomaly_score"
	LowerName = "yhat_lower"
	UpperName = "yhat_upper"
)

// Evaluation is one evaluation of a detection rule, whether it found something,
// nothing, or failed.
type Evaluation struct {
	Rule  *Detection
	Group *Group
	// Time is the time of the evaluation. The samples are older by the query offset.
	Time time.Time
	// Readings are those of all series that were judged, in the order of their
	// labels; none when Err is set.
	Readings []Reading
	// Refused is the number of series that were not judged because of the limit.
	Refused int
	Err     error
	// Duration is 0 where the manager has no clock.
	Duration time.Duration
}

// OnlyNaN says whether there are series, and none has a number as value: 0/0, or
// nothing that the rule's `of` could be joined to.
func (e Evaluation) OnlyNaN() bool {
	for i := range e.Readings {
		if !math.IsNaN(e.Readings[i].Verdict.Value) {
			return false
		}
	}
	return len(e.Readings) > 0
}

// Reading is a verdict on one series, anomalous or not.
type Reading struct {
	Series  labels.Labels // the series' labels without __name__, and the rule's labels
	Key     string        // Series as text; a series of a rule keeps its key
	Time    time.Time     // of the sample
	Verdict detectors.Verdict
	// Anomalous: rarer than the budget allows, in the rule's direction, farther
	// from the expected value than min_change, for as long as the rule's `for`.
	Anomalous bool
	// Onset is the first sample of the running departure; zero when there is none.
	Onset time.Time
}

// EvaluationSummary is what is remembered of an evaluation.
type EvaluationSummary struct {
	Time      time.Time
	Duration  time.Duration
	Series    int // judged
	NaN       int // of these, without a number as value
	Anomalies int
	Err       error
}

// maxHistory is the number of evaluations that a rule remembers.
const maxHistory = 20

// history holds the last evaluations, oldest first.
type history []EvaluationSummary

func (h *history) add(e EvaluationSummary) {
	if len(*h) >= maxHistory {
		*h = append((*h)[:0], (*h)[len(*h)-maxHistory+1:]...)
	}
	*h = append(*h, e)
}
