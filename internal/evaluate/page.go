package main

import "fmt"

// text is the whole report, as a page of documentation.
func (p *page) text() string {
	verified := "Python 3 or the data's scorers were not there: the figures of this run were not held against them.\n"
	if p.verified > 0 {
		verified = fmt.Sprintf("%d figures of this run (F1 and recall of the event scorer) are equal to those of the data's own scorer on the same scores.\n", p.verified)
	}
	return `# Detectors, measured

    make evaluate-detectors DATA=… DOCS=docs/detection.md

writes this page. Every detector that can judge a single series runs over each series once, in order of time, with one set of defaults;
the first ` + fmt.Sprintf("%.0f %%", 100*historyShare) + ` of a series are history. Not here, because a single series with defaults is no test of them:
threshold (wants the user's limits), edge (wants the two sides of a dependency) and peers (wants a group).

` + p.sets.String() + "\n" + verified + `
**What was tuned on what.** Prior of the tail, masking, habit, clips and time constants of spike, level_shift, ewma and seasonality were chosen on
aiops_kpi and ms_cloud as they are here, so their figures flatter; trend and silence were built on simulated series. How much the contrast of weekends
counts was chosen there too, of five weightings. The rule of habit was found by reading the false alarms on NAB, and its factor was chosen by all three sets. NAB's labels are disputed and its scores use the best threshold there is:
for reference only. The baselines have their makers' parameters.

## One threshold for all sets

The one threshold at which the mean over the labelled sets is one false alarm per series and week, and in 30 days. Macro: mean over series, then
sets; micro: of all events of a set, then the mean over sets. F1 with a delay of at most seven rows, at its best threshold. Budgets held: in how
many of the nominal budgets below false alarms are at most twice the budget, within the 95 % interval, on every set.

` + p.one.String() + `
## The data's own scorer

One threshold per set; event recall at false alarms per series and day.

` + p.event.String() + `
## Nominal budgets

Nothing fitted: false alarms at a score of 1, pooled per set, as a multiple of the plain budget with Garwood's exact 95 % interval; then of the
budget in force, which is one per observed history (at least a day) while that is shorter than the period; then macro event recall.
Over: more than twice the budget even at the lower end. Baselines: per day, at the threshold they ship with.

` + p.budget.String()
}
