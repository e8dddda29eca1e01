package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/foreshock/foreshock/detectors"
)

// result is what one method did on one set.
type result struct {
	set    string
	series []*series
	scores [][]float64
}

// headlineRates are mean false alarms per series and week: one a week, one a month.
var headlineRates = [...]float64{1, 7.0 / 30}

// oneThreshold finds the lowest threshold at which the mean over the sets of
// false alarms per series and week is at most rate.
func oneThreshold(results []result, rate float64) (float64, []alarmFigures) {
	var tops []float64
	for _, r := range results {
		for k, s := range r.series {
			tops = append(tops, highest(r.scores[k][s.first:], 0.05)...)
		}
	}
	slices.Sort(tops)
	tops = slices.Compact(tops)
	if len(tops) == 0 {
		return math.Inf(1), make([]alarmFigures, len(results))
	}
	sets := make([][]hot, len(results))
	for i, r := range results {
		for k, s := range r.series {
			sets[i] = append(sets[i], hotRows(s, r.scores[k], tops[0]))
		}
	}
	at := func(i int) ([]alarmFigures, float64) {
		var out []alarmFigures
		mean := 0.0
		for _, h := range sets {
			a := countAlarms(h, tops[i])
			out = append(out, a)
			mean += a.perWeek() / float64(len(sets))
		}
		return out, mean
	}
	// The mean falls with the threshold but for the merging of alarms.
	low, high := 0, len(tops)-1
	for low < high {
		mid := (low + high) / 2
		if _, mean := at(mid); mean <= rate {
			high = mid
		} else {
			low = mid + 1
		}
	}
	figures, mean := at(low)
	if mean > rate {
		return math.Inf(1), make([]alarmFigures, len(results))
	}
	return tops[low], figures
}

// highest returns the given share of the highest values, those above zero.
func highest(x []float64, share float64) []float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	x = x[len(x)-max(1, int(share*float64(len(x)))):]
	i, _ := slices.BinarySearch(x, math.SmallestNonzeroFloat64)
	return x[i:]
}

// interval is Garwood's exact 95 % interval of a Poisson rate.
func interval(n int, exposure float64) (low, high float64) {
	if n > 0 {
		low = distuv.ChiSquared{K: 2 * float64(n)}.Quantile(0.025) / 2
	}
	high = distuv.ChiSquared{K: 2 * float64(n+1)}.Quantile(0.975) / 2
	return low / exposure, high / exposure
}

func row(out io.Writer, cells ...string) { fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |") }

func header(out io.Writer, cells ...string) {
	row(out, cells...)
	fmt.Fprintln(out, strings.Repeat("|---", len(cells))+"|")
}

// short writes a share without its leading zero.
func short(x float64) string { return strings.TrimPrefix(fmt.Sprintf("%.2f", x), "0") }

func seconds(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return time.Duration(x * float64(time.Second)).String()
}

// headlineRow are a method's first cells of the table.
func headlineRow(m method, results []result) []string {
	cells := []string{m.name}
	for _, rate := range headlineRates {
		_, figures := oneThreshold(results, rate)
		micro, macro := 0.0, 0.0
		var sets []string
		for _, f := range figures {
			micro += float64(f.found) / float64(max(1, f.events)) / float64(len(figures))
			macro += f.macro / float64(len(figures))
			if f.weeks == 0 { // no threshold is that quiet
				sets = append(sets, "-")
				continue
			}
			sets = append(sets, fmt.Sprintf("%s@%.2f, %s", short(f.macro), f.perWeek(), seconds(f.medianDelay())))
		}
		cells = append(cells, short(macro), short(micro))
		cells = append(cells, sets...)
	}
	return cells
}

// eventRow is a method's line of the table of the data's own scorer.
func eventRow(out io.Writer, m method, figures []eventFigures) {
	cells := []string{m.name}
	for _, f := range figures {
		cells = append(cells, fmt.Sprintf("%.3f", f.kF1))
		for i := range eventBudgets {
			cells = append(cells, fmt.Sprintf("%.3f", f.recall[i]))
		}
	}
	row(out, cells...)
}

// mostOver is how many times the budget the false alarms may be.
const mostOver = 2

// budgetRow is a detector's line of the table of nominal budgets: the multiple
// of the plain budget with its interval, then that of the budget in force: one
// false alarm per period, or, while the history is shorter, one per history (at
// least a day), as the detectors promise. It returns whether the former, and the
// latter, is at most mostOver within its interval on every set.
func budgetRow(out io.Writer, m method, b detectors.Budget, results []result) (plainHolds, holds bool) {
	cells := []string{m.name, b.String()}
	plainHolds, holds = true, true
	for _, r := range results {
		var all []hot
		plain, inForce := 0.0, 0.0
		for k, s := range r.series {
			all = append(all, hotRows(s, r.scores[k], m.nominal))
			plain += s.days() * 24 / b.Period().Hours()
			inForce += s.provisional(b.Period())
		}
		f := countAlarms(all, m.nominal)
		multiple := func(expected float64, holds *bool) string {
			low, high := interval(f.falseAlarms, expected)
			verdict := ""
			if low > mostOver {
				verdict, *holds = " **over**", false
			}
			return fmt.Sprintf("%.2f [%.2f to %.2f]%s", float64(f.falseAlarms)/expected, low, high, verdict)
		}
		cell := multiple(plain, &plainHolds)
		if m.detector {
			cell += "; " + multiple(inForce, &holds)
		}
		cells = append(cells, cell+", "+short(f.macro))
	}
	row(out, cells...)
	return plainHolds, holds
}

// provisional is how many false alarms are allowed in the scored part.
func (s *series) provisional(period time.Duration) float64 {
	sum := 0.0
	for i := s.first + 1; i < len(s.at); i++ {
		span := time.Duration(s.at[i]-s.at[0]) * time.Millisecond
		sum += float64(s.at[i]-s.at[i-1]) / 1000 / min(period, max(span, 24*time.Hour)).Seconds()
	}
	return sum
}
