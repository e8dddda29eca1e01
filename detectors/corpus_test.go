package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A scenario is a text file in testdata:
//
//	step 1m                 distance of the samples
//	budget 1 per 7d
//	seed 3
//	load TERM…              samples, in promtool's notation of series:
//	    a+bxn   a, then n more, each b higher
//	    axn     a, then n more of the same
//	    _xn     n missing
//	  and of our own, for a duration instead of a count:
//	    noise(mean,sd)@d    Gaussian values
//	    wave(mean,amplitude,sd)@d  the same on a daily wave
//	expect DETECTOR fires FROM TO   at least one score ≥ 1 in [FROM, TO), durations from the start
//	expect DETECTOR quiet FROM TO   none
//
// Lines that begin with # are comments.
type scenario struct {
	step   time.Duration
	budget string
	points []point
	expect []expectation
}

type expectation struct {
	line     int
	detector string
	fires    bool
	from, to time.Duration
}

func readScenario(text string) (*scenario, error) {
	s := &scenario{step: minute, budget: DefaultBudgetText}
	r := rand.New(rand.NewPCG(0, 0))
	at := time.Duration(0)
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		var err error
		switch {
		case f[0] == "load":
			for _, term := range f[1:] {
				var values []float64
				values, err = expand(term, s.step, at, r)
				if err != nil {
					break
				}
				for _, v := range values {
					s.points = append(s.points, point{start + at.Milliseconds(), v})
					at += s.step
				}
			}
		default:
			err = s.common(i+1, f, r)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return s, nil
}

// common reads a line that scenarios of one series and of groups share.
func (s *scenario) common(number int, f []string, r *rand.Rand) (err error) {
	switch {
	case f[0] == "step" && len(f) == 2:
		s.step, err = parseDuration(f[1])
	case f[0] == "budget":
		s.budget = strings.Join(f[1:], " ")
	case f[0] == "seed" && len(f) == 2:
		var seed uint64
		seed, err = strconv.ParseUint(f[1], 10, 64)
		*r = *rand.New(rand.NewPCG(seed, 7))
	case f[0] == "expect" && len(f) == 5 && (f[2] == "fires" || f[2] == "quiet"):
		e := expectation{line: number, detector: f[1], fires: f[2] == "fires"}
		if f[3] != "0" {
			e.from, err = parseDuration(f[3])
		}
		if err == nil {
			e.to, err = parseDuration(f[4])
		}
		s.expect = append(s.expect, e)
	default:
		err = fmt.Errorf("unknown line %q", strings.Join(f, " "))
	}
	return err
}

// expand returns the values of one term; NaN is missing.
func expand(term string, step, at time.Duration, r *rand.Rand) ([]float64, error) {
	bad := fmt.Errorf("term %q: expected a+bxn, axn, _xn, noise(mean,sd)@d or wave(mean,amplitude,sd)@d", term)
	if name, rest, ok := strings.Cut(term, "("); ok {
		args, after, ok := strings.Cut(rest, ")@")
		d, err := parseDuration(after)
		if !ok || err != nil {
			return nil, bad
		}
		var a []float64
		for _, x := range strings.Split(args, ",") {
			v, err := strconv.ParseFloat(x, 64)
			if err != nil {
				return nil, bad
			}
			a = append(a, v)
		}
		if name == "noise" && len(a) == 2 {
			a = []float64{a[0], 0, a[1]}
		} else if name != "wave" || len(a) != 3 {
			return nil, bad
		}
		out := make([]float64, d/step)
		for i := range out {
			hours := (at + time.Duration(i)*step).Hours()
			out[i] = a[0] + a[1]*math.Sin(2*math.Pi*hours/24) + a[2]*r.NormFloat64()
		}
		return out, nil
	}
	values, count, ok := strings.Cut(term, "x")
	n, err := strconv.Atoi(count)
	if !ok || err != nil {
		return nil, bad
	}
	if values == "_" {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.NaN()
		}
		return out, nil
	}
	by := 0.0
	if i := strings.LastIndexAny(values, "+-"); i > 0 {
		if by, err = strconv.ParseFloat(values[i:], 64); err != nil {
			return nil, bad
		}
		values = values[:i]
	}
	a, err := strconv.ParseFloat(values, 64)
	if err != nil {
		return nil, bad
	}
	out := make([]float64, n+1)
	for i := range out {
		out[i] = a + float64(i)*by
	}
	return out, nil
}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scenarios in testdata, error %v; want at least 10", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := readScenario(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			verdicts := map[string][]Verdict{}
			for _, d := range All() {
				b := newBank(t, d, s.budget, s.step)
				verdicts[d.Name] = play(b, b.Add(), s.points)
			}
			for _, e := range s.expect {
				v, ok := verdicts[e.detector]
				if !ok {
					t.Fatalf("%s:%d: no detector %q", file, e.line, e.detector)
				}
				from, to := int(e.from/s.step), int(e.to/s.step)
				if from >= to || to > len(v) {
					t.Fatalf("%s:%d: samples %d to %d of %d", file, e.line, from, to, len(v))
				}
				if n := alarms(v[from:to]); (n > 0) != e.fires {
					t.Errorf("%s:%d: %s has %d scores of 1 or more from %v to %v, the highest %.2f", file, e.line, e.detector, n, e.from, e.to, highest(v[from:to]))
				}
			}
		})
	}
}

func highest(v []Verdict) float64 {
	top := math.Inf(-1)
	for _, x := range v {
		if x.Score > top {
			top = x.Score
		}
	}
	return top
}

func TestScenarioNotation(t *testing.T) {
	s, err := readScenario("step 1m\nload 1+2x3 5x1 _x2 4-1x2 -1e3x0")
	if err != nil {
		t.Fatal(err)
	}
	want := "[1 3 5 7 5 5 NaN NaN 4 3 2 -1000]"
	var got []float64
	for _, p := range s.points {
		got = append(got, p.v)
	}
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := readScenario("load 1y3"); err == nil {
		t.Error("a bad term is taken")
	}
}
