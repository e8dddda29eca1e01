package main

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/foreshock/foreshock/detectors"
)

// method gives every row of a series a score; higher is rarer. Scores of the
// product's detectors are those of a budget plus scoreOffset, so that all are
// positive, as the data's scorer wants them.
type method struct {
	name     string
	detector bool
	// nominal is the threshold that the method's makers ship.
	nominal float64
	run     func(s *series, b detectors.Budget) ([]float64, error)
}

// scoreOffset lifts scores above zero; rows without a score are 0.
const scoreOffset = 10

// combinations are detectors whose calibrated scores are averaged.
var combinations = [][]string{{"spike", "level_shift"}, {"spike", "seasonality"}, {"spike", "ewma"}}

// notAlone are detectors of which a single series with their defaults is no test:
// threshold wants the user's limits, edge the two sides of a dependency, peers a group.
var notAlone = map[string]bool{"threshold": true, "edge": true, "peers": true}

func methods() ([]method, error) {
	var out []method
	for _, d := range detectors.All() {
		if notAlone[d.Name] {
			continue
		}
		out = append(out, ofDetector(d))
	}
	for _, names := range combinations {
		m, err := combination(names)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	baseline := func(name string, nominal float64, f func(*series) []float64) {
		out = append(out, method{name: name, nominal: nominal, run: func(s *series, _ detectors.Budget) ([]float64, error) { return f(s), nil }})
	}
	baseline("rolling 3-sigma 24 h", 3, threeSigma)
	baseline("Grafana adaptive", 1, grafanaAdaptive)
	baseline("Grafana robust", 1, grafanaRobust)
	baseline("EWMA 10 m + SPOT", 4, ewmaSpot)
	return out, nil
}

// combination is the product's mean of detectors with their defaults.
func combination(names []string) (method, error) {
	var parts []detectors.Part
	for _, n := range names {
		d, ok := detectors.Lookup(n)
		if !ok {
			return method{}, fmt.Errorf("combinations: there is no detector %q", n)
		}
		parts = append(parts, detectors.Part{Detector: d, Options: d.Options()})
	}
	d, err := detectors.Mean(parts...)
	if err != nil {
		return method{}, err
	}
	return ofDetector(d), nil
}

// ofDetector judges by a detector with its defaults.
func ofDetector(d detectors.Detector) method {
	return method{name: d.Name, detector: true, nominal: 1 + scoreOffset, run: func(s *series, b detectors.Budget) ([]float64, error) {
		return judge(d, s, b)
	}}
}

// judge plays a series through a detector with its defaults.
func judge(d detectors.Detector, s *series, b detectors.Budget) ([]float64, error) {
	opts := d.Options()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("detector %s needs options: %w", d.Name, err)
	}
	bank, err := d.New(opts, detectors.Conditions{Budget: b, Step: s.step})
	if err != nil {
		return nil, err
	}
	ref := bank.Add()
	out := make([]float64, len(s.at))
	for i, t := range s.at {
		if v := bank.Observe(ref, t, s.value[i]); !math.IsNaN(v.Score) {
			out[i] = max(0, v.Score+scoreOffset)
		}
	}
	return out, nil
}

// runAll scores every series by a method, on all processors.
func runAll(m method, all []*series, b detectors.Budget) ([][]float64, error) {
	out := make([][]float64, len(all))
	errs := make([]error, len(all))
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				out[i], errs[i] = m.run(all[i], b)
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s on %s/%s: %w", m.name, all[i].set, all[i].name, err)
		}
	}
	return out, nil
}
