// Evaluate measures the detectors on labelled series, next to what teams use
// today: event recall at one threshold for all sets, false alarms at nominal
// budgets, delay, and the figures of the data's own scorer.
//
//	go run ./internal/evaluate -data DIR [-out DIR] [-only NAME,…]
//
// DIR holds series/SET/data with CSV files of timestamp, value and label. With
// -out the scores are written as the data's scorers read them.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

// labelledSets have labels that serve as a target; referenceSets do not.
var (
	labelledSets  = []string{"aiops_kpi", "ms_cloud"}
	referenceSets = []string{"nab"}
)

// nominalBudgets are held against what is measured.
var nominalBudgets = []string{"1 per 1d", "1 per 3d", "1 per 7d", "1 per 30d"}

// headlineBudget is the one behind the tables of one threshold and the scores written.
const headlineBudget = "1 per 7d"

type options struct {
	data, out string
	only      []string
	progress  io.Writer
}

func main() {
	var o options
	var only string
	flag.StringVar(&o.data, "data", "", "folder with series/")
	flag.StringVar(&o.out, "out", "", "folder for the scores; none are written without it")
	flag.StringVar(&only, "only", "", "names of methods, separated by commas; all without it")
	flag.Parse()
	if only != "" {
		o.only = splitNames(only)
	}
	o.progress = os.Stderr
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "evaluate:", err)
		os.Exit(1)
	}
}

// splitNames splits at commas, but for those within parentheses.
func splitNames(list string) []string {
	depth := 0
	names := strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	})
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

func run(o options, out io.Writer) error {
	var sets [][]*series
	for _, set := range slices.Concat(labelledSets, referenceSets) {
		s, err := readSet(o.data, set)
		if err != nil {
			return err
		}
		sets = append(sets, s)
	}
	for i, set := range slices.Concat(labelledSets, referenceSets) {
		rows, events := 0, 0
		for _, s := range sets[i] {
			rows, events = rows+len(s.at), events+len(s.events)
		}
		fmt.Fprintf(out, "%s: %d series, %d rows, %d events scored.\n", set, len(sets[i]), rows, events)
	}
	var one, event, budget strings.Builder
	cells := []string{"method"}
	for _, per := range []string{"week", "month"} {
		cells = append(cells, "macro, 1 per "+per, "micro")
		for _, set := range labelledSets {
			cells = append(cells, set+": recall@false alarms a week, delay")
		}
	}
	header(&one, cells...)
	cells = []string{"method"}
	for _, set := range labelledSets {
		cells = append(cells, set+" kF1")
		for _, b := range eventBudgets {
			cells = append(cells, fmt.Sprintf("≤ %g", b))
		}
	}
	header(&event, cells...)
	header(&budget, slices.Concat([]string{"method", "budget"}, labelledSets, referenceSets)...)

	all, err := methods()
	if err != nil {
		return err
	}
	for _, m := range all {
		if len(o.only) > 0 && !slices.Contains(o.only, m.name) {
			continue
		}
		if err := o.measure(m, sets, &one, &event, &budget); err != nil {
			fmt.Fprintf(out, "%s: not measured: %v\n", m.name, err)
		}
	}
	fmt.Fprintf(out, "\n## One threshold for all sets\n\nMean false alarms per series over the sets: 1 a week, 1 in 30 days.\n\n%s", one.String())
	fmt.Fprintf(out, "\n## The data's own scorer\n\nOne threshold per set; event recall at false alarms per series and day.\n\n%s", event.String())
	fmt.Fprintf(out, "\n## Nominal budgets\n\nFalse alarms as a multiple of the budget in force (provisional while history is short) with its 95 %% interval,\nin brackets of the plain budget, then macro event recall. Baselines per day at the threshold they ship with.\n\n%s", budget.String())
	return nil
}

// write stores the scores of a method, if wished.
func (o options) write(m method, results []result) error {
	if o.out == "" {
		return nil
	}
	for _, r := range results {
		// The data's scorer of NAB reads plain files only.
		if err := writeScores(filepath.Join(o.out, folder(m.name), r.set), r.series, r.scores, r.set != "nab"); err != nil {
			return err
		}
	}
	return nil
}

// measure runs one method and adds its lines to the tables.
func (o options) measure(m method, sets [][]*series, one, event, budget io.Writer) error {
	begin := time.Now()
	var results []result
	for _, text := range nominalBudgets {
		b, err := detectors.ParseBudget(text)
		if err != nil {
			return err
		}
		if results == nil || m.detector { // a baseline knows no budget
			results = results[:0]
			for _, all := range sets {
				scores, err := runAll(m, all, b)
				if err != nil {
					return err
				}
				results = append(results, result{all[0].set, all, scores})
			}
		}
		if text == headlineBudget {
			labelled := results[:len(labelledSets)]
			headlineRow(one, m, labelled)
			eventRow(event, m, labelled)
			if err := o.write(m, results); err != nil {
				return err
			}
		}
		if m.detector || text == nominalBudgets[0] {
			budgetRow(budget, m, b, results)
		}
	}
	fmt.Fprintf(o.progress, "%s: %.1f s\n", m.name, time.Since(begin).Seconds())
	return nil
}
