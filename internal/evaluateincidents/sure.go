package main

import (
	"fmt"
	"io"

	"github.com/foreshock/foreshock/internal/backtest"
)

// stated is a confidence that was sent, and whether its cause was the right one.
type stated struct {
	confidence float64
	right      bool
}

// sureSteps are the lower ends of the bins of the reliability table.
var sureSteps = [...]float64{0, 0.4, 0.6, 0.8, 0.9}

// state remembers how sure what was sent first of an incident was.
func (a *answers) state(g backtest.IncidentGrade) {
	if g.Hit && len(g.Causes) > 0 {
		a.stated = append(a.stated, stated{g.First.Confidence, g.Rank == 1})
	}
}

// sureTable sets stated confidences against the share that is right.
func sureTable(title string, all []stated, out io.Writer) {
	if len(all) == 0 {
		return
	}
	header(out, title, "confidence of the first candidate", "sent", "mean confidence", "right")
	for k, from := range sureSteps {
		to, n, sum, right := 1.0, 0, 0.0, 0
		if k+1 < len(sureSteps) {
			to = sureSteps[k+1]
		}
		for _, s := range all {
			if s.confidence < from || s.confidence >= to && k+1 < len(sureSteps) {
				continue
			}
			n++
			sum += s.confidence
			if s.right {
				right++
			}
		}
		name := fmt.Sprintf("%g to %g", from, to)
		if k == 0 {
			name = fmt.Sprintf("below %g: not named", to)
		}
		row(out, name, fmt.Sprint(n), share(sum, n), share(float64(right), n))
	}
	fmt.Fprintln(out)
}
