package rules

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

const meanRule = `groups:
- name: g
  interval: 1m
  rules:
  - {detect: One, expr: requests, signal: traffic, detector: spike, false_alarms: 1 per 1d}
  - {detect: Other, expr: requests, signal: traffic, detector: {ewma: {level: 5m}}, false_alarms: 1 per 1d}
  - {detect: Both, expr: requests, signal: traffic, detector: [spike, {ewma: {level: 5m}}], false_alarms: 1 per 1d}
`

// TestMeanRule: a list of detectors judges by the mean of their scores, and
// keeps what it learnt over a reload that leaves the list alone.
func TestMeanRule(t *testing.T) {
	b := newBench(t, "load 1m\n  requests{service=\"a\"} 5 6 4 5 7 5x20 6 4 5 5 6 5x20 4 6 5 60x5 5x20\n", fmt.Sprintf(oneRule, ""))
	b.updateReal(meanRule)
	scores := map[string]float64{}
	anomalous := 0
	for i := range 75 {
		if i == 30 {
			b.updateReal(meanRule + "  - {record: more, expr: vector(1)}\n")
		}
		b.evaluations = nil
		b.eval(time.Duration(i) * time.Minute)
		for _, e := range b.evaluations {
			r := e.Readings[0]
			scores[e.Rule.Name()] = r.Verdict.Score
			if e.Rule.Name() == "Both" && r.Anomalous {
				anomalous++
				if r.Verdict.Kind != detectors.KindSpike || r.Onset.IsZero() {
					t.Errorf("minute %d: %+v", i, r)
				}
			}
		}
		if want := (scores["One"] + scores["Other"]) / 2; math.Abs(scores["Both"]-want) > 1e-12 {
			t.Fatalf("minute %d: score %g, want the mean of %g and %g", i, scores["Both"], scores["One"], scores["Other"])
		}
	}
	if anomalous == 0 {
		t.Error("twelve times the traffic is no anomaly")
	}
	d := b.evaluations[len(b.evaluations)-1].Rule
	if got := d.DetectorName(); got != "mean(spike, ewma)" {
		t.Errorf("detector %q, want mean(spike, ewma)", got)
	}
}
