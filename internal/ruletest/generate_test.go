package ruletest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
)

// generated returns n samples of a series, "_" for those left out.
func generated(t *testing.T, text string, every time.Duration, n int) []string {
	t.Helper()
	f, err := parseFile("f.yml", []byte(fmt.Sprintf(
		"tests: [{interval: %s, input_series: [{series: 's{a=\"b\"}', generate: {%s, for: %s}}]}]", every, text, every*time.Duration(n-1))))
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := f.groups[0].inputs("f.yml")
	if err != nil {
		t.Fatal(err)
	}
	if in[0].length != n {
		t.Fatalf("%d samples, want %d", in[0].length, n)
	}
	var out []string
	for i := range n {
		switch v := in[0].sample(i); {
		case v.Omitted:
			out = append(out, "_")
		case value.IsStaleNaN(v.Value):
			out = append(out, "stale")
		default:
			out = append(out, fmt.Sprint(v.Value))
		}
	}
	return out
}

func TestGenerate(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		every      time.Duration
		want       string
	}{
		{"nothing", "base: 0", time.Minute, "0 0 0"},
		{"base", "base: 2.5", time.Minute, "2.5 2.5"},
		{"daily", "base: 10, daily: {amplitude: 4, peak: 6h}", 6 * time.Hour, "10 14 10 6 10 14"},
		{"weekly", "weekly: {amplitude: 1, peak: 3d}", 84 * time.Hour, "1 -1 1"},
		{"step", "base: 1, steps: [{at: 2m, by: 5}]", time.Minute, "1 1 6 6"},
		{"step that ends", "steps: [{at: 1m, until: 3m, by: -5}, {at: 2m, by: 1}]", time.Minute, "0 -5 -4 1"},
		{"ramp", "base: 1, ramps: [{from: 1m, to: 5m, by: 8}]", time.Minute, "1 1 3 5 7 9 9"},
		{"spike of one sample", "spikes: [{at: 90s, by: 7}]", time.Minute, "0 0 7 0"},
		{"spike", "spikes: [{at: 1m, for: 2m, by: 7}]", time.Minute, "0 7 7 0"},
		{"gap", "base: 3, gaps: [{from: 1m, to: 3m}]", time.Minute, "3 _ _ 3"},
		{"target gone", "base: 3, gaps: [{from: 1m, to: 3m, stale: true}]", time.Minute, "3 stale _ 3"},
		{"nothing to end", "base: 3, gaps: [{from: 0s, to: 2m, stale: true}]", time.Minute, "_ _ 3"},
		{"bounds", "base: 3, steps: [{at: 1m, by: 5}, {at: 2m, by: -9}], min: 0, max: 6", time.Minute, "3 6 0"},
		{"counter", "base: 2, counter: true", time.Minute, "0 120 240"},
		{"counter does not fall", "base: -2, counter: true", time.Minute, "0 0 0"},
		{"counter goes on in a gap", "base: 1, counter: true, gaps: [{from: 1m, to: 2m}]", time.Minute, "0 _ 120"},
		{"counter is reset", "base: 1, counter: true, resets: [90s]", time.Minute, "0 60 0 60"},
		{"rounding", "base: 0.1, steps: [{at: 0s, by: 0.2}]", time.Minute, "0.3 0.3"},
		{"noise", "base: 100, noise: {stddev: 5, seed: 7}", time.Minute, "105.804994595 93.0670807605 101.956944025"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := strings.Fields(tc.want)
			if got := generated(t, tc.text, tc.every, len(want)); strings.Join(got, " ") != tc.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tc.want)
			}
		})
	}
}

func TestNoise(t *testing.T) {
	const n = 20_000
	draw := func(series string, seed uint64) []float64 {
		g := newGenerator(generate{Base: 10, Noise: &noise{Stddev: 2, Seed: seed}}, series, time.Unix(0, 0), time.Minute)
		out := make([]float64, n)
		for i := range out {
			out[i] = g.sample(i).Value
		}
		return out
	}
	a := draw("a", 1)
	var sum, squares float64
	for _, v := range a {
		sum += v
		squares += (v - 10) * (v - 10)
	}
	// Five standard errors.
	if mean := sum / n; math.Abs(mean-10) > 5*2/math.Sqrt(n) {
		t.Errorf("mean: got %g, want 10", mean)
	}
	if sd := math.Sqrt(squares / n); math.Abs(sd-2) > 5*2/math.Sqrt(2*n) {
		t.Errorf("standard deviation: got %g, want 2", sd)
	}
	equal := func(x, y []float64) int {
		k := 0
		for i := range x {
			if x[i] == y[i] {
				k++
			}
		}
		return k
	}
	if k := equal(a, draw("a", 1)); k != n {
		t.Errorf("same series, same seed: %d of %d samples are equal", k, n)
	}
	if k := equal(a, draw("a", 2)); k > 2 {
		t.Errorf("other seed: %d samples are equal", k)
	}
	if k := equal(a, draw("b", 1)); k > 2 {
		t.Errorf("other series: %d samples are equal", k)
	}
}

// A gap leaves samples out; those after it are what they would have been.
func TestGapKeepsTheRest(t *testing.T) {
	whole := generated(t, "noise: {stddev: 1, seed: 3}, counter: true, base: 5", time.Minute, 10)
	gap := generated(t, "noise: {stddev: 1, seed: 3}, counter: true, base: 5, gaps: [{from: 2m, to: 5m}]", time.Minute, 10)
	for i := range whole {
		if gap[i] != "_" && gap[i] != whole[i] {
			t.Errorf("sample %d: got %s, want %s", i, gap[i], whole[i])
		}
	}
}
