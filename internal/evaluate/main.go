// Evaluate measures the detectors on labelled series, next to what teams use
// today: event recall at one threshold for all sets, false alarms at nominal
// budgets, delay, and the figures of the data's own scorer.
//
//	go run ./internal/evaluate -data DIR [-out DIR] [-only NAME,…] [-docs FILE]
//	go run ./internal/evaluate -data DIR -pictures docs/detectors
//
// DIR holds series/SET/data with CSV files of timestamp, value and label. With
// -out the scores are written as the data's scorers read them. Where the scorers
// are in DIR/score and Python 3 is there, they score the same scores, and the run
// fails when their figures are not the same. With -docs the report is
// written to FILE too. The second form only draws the pictures of the
// detectors' pages.
package main

import (
	"errors"
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
	data, out, docs string
	only            []string
	progress        io.Writer
}

func main() {
	var o options
	var only, pictures string
	flag.StringVar(&o.data, "data", "", "folder with series/")
	flag.StringVar(&o.out, "out", "", "folder for the scores; none are written without it")
	flag.StringVar(&o.docs, "docs", "", "file for the report as a page of documentation")
	flag.StringVar(&only, "only", "", "names of methods, separated by commas; all without it")
	flag.StringVar(&pictures, "pictures", "", "folder for the pictures of the detectors' pages; nothing is measured then")
	flag.Parse()
	if pictures != "" {
		if err := draw(o.data, pictures); err != nil {
			fmt.Fprintln(os.Stderr, "evaluate:", err)
			os.Exit(1)
		}
		return
	}
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

// page is the report: the table, and what else was measured.
type page struct {
	sets, one, event, budget strings.Builder
	verified                 int // figures equal to those of the data's scorer
}

func run(o options, out io.Writer) (err error) {
	var sets [][]*series
	var p page
	for _, set := range slices.Concat(labelledSets, referenceSets) {
		all, err := readSet(o.data, set)
		if err != nil {
			return err
		}
		sets = append(sets, all)
		rows, events := 0, 0
		for _, s := range all {
			rows, events = rows+len(s.at), events+len(s.events)
		}
		fmt.Fprintf(&p.sets, "- %s: %d series, %d rows, %d events scored.\n", set, len(all), rows, events)
	}
	scorers, err := findScorers(o.data)
	if err != nil {
		return err
	}
	if o.out == "" && scorers.python != "" {
		if o.out, err = os.MkdirTemp("", "evaluate"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.out)) }()
	}
	p.headers()
	all, err := methods()
	if err != nil {
		return err
	}
	for _, m := range all {
		if len(o.only) > 0 && !slices.Contains(o.only, m.name) {
			continue
		}
		if err := o.measure(m, sets, scorers, &p); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	text := p.text()
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if o.docs == "" {
		return nil
	}
	return os.WriteFile(o.docs, []byte(text), 0o666)
}

func (p *page) headers() {
	cells := []string{"method"}
	for _, per := range []string{"week", "month"} {
		cells = append(cells, "macro, 1 per "+per, "micro")
		for _, set := range labelledSets {
			cells = append(cells, set+": recall@false alarms a week, median delay")
		}
	}
	cells = append(cells, labelledSets[0]+": F1, delay 7", "NAB standard / low FP / low FN", "budgets held, plain", "in force")
	header(&p.one, cells...)
	cells = []string{"method"}
	for _, set := range labelledSets {
		cells = append(cells, set+" kF1")
		for _, b := range eventBudgets {
			cells = append(cells, fmt.Sprintf("≤ %g", b))
		}
	}
	header(&p.event, cells...)
	header(&p.budget, slices.Concat([]string{"method", "budget"}, labelledSets, referenceSets)...)
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
func (o options) measure(m method, sets [][]*series, scorers scorers, p *page) error {
	begin := time.Now()
	var results []result
	var cells []string
	plainHeld, held := 0, 0
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
			if cells, err = o.headline(m, results, scorers, p); err != nil {
				return err
			}
		}
		if m.detector || text == nominalBudgets[0] {
			plain, inForce := budgetRow(&p.budget, m, b, results)
			if plain {
				plainHeld++
			}
			if inForce {
				held++
			}
		}
	}
	of := func(n int) string {
		if !m.detector {
			return "-"
		}
		return fmt.Sprintf("%d of %d", n, len(nominalBudgets))
	}
	row(&p.one, append(cells, of(plainHeld), of(held))...)
	fmt.Fprintf(o.progress, "%s: %.1f s\n", m.name, time.Since(begin).Seconds())
	return nil
}

// headline measures what needs one budget only, and holds it against the data's scorers.
func (o options) headline(m method, results []result, scorers scorers, p *page) (cells []string, err error) {
	labelled := results[:len(labelledSets)]
	figures := make([]eventFigures, len(labelled))
	for i, r := range labelled {
		figures[i] = scoreEvents(r.series, r.scores)
	}
	eventRow(&p.event, m, figures)
	cells = append(headlineRow(m, labelled), fmt.Sprintf("%.3f", figures[0].kF1))
	if err := o.write(m, results); err != nil {
		return nil, err
	}
	nab := "-"
	if scorers.python != "" {
		scores := filepath.Join(o.out, folder(m.name))
		for i, r := range labelled {
			if err := scorers.check(scores, r.set, figures[i]); err != nil {
				return nil, err
			}
			p.verified += 1 + len(eventBudgets)
		}
		s, err := scorers.nab(scores)
		if err != nil {
			return nil, err
		}
		nab = fmt.Sprintf("%.1f / %.1f / %.1f", s.Standard, s.LowFP, s.LowFN)
	}
	return append(cells, nab), nil
}
