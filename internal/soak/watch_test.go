package main

import (
	"strings"
	"testing"
	"time"
)

// readings are those of a quiet run, changed by f.
func readings(f func(k int, v map[string]float64)) []reading {
	var out []reading
	for k := range 30 {
		v := map[string]float64{heap: 400 * mib, goroutines: 100, judged: 1000, missed: 1}
		f(k, v)
		out = append(out, reading{values: v})
	}
	return out
}

func TestVerdict(t *testing.T) {
	o := options{series: 1000, judged: 1000, interval: time.Second, duration: time.Hour}
	for _, c := range []struct {
		name, want string
		change     func(k int, v map[string]float64)
	}{
		{"quiet", "", func(int, map[string]float64) {}},
		{"heap that goes up and down", "", func(k int, v map[string]float64) { v[heap] += float64(k%4) * 100 * mib }},
		{"heap that grows", "the heap grew from 500 to 600 MiB", func(k int, v map[string]float64) { v[heap] += float64(k) * 10 * mib }},
		{"goroutines that grow", "goroutines grew from 138 to 158", func(k int, v map[string]float64) { v[goroutines] += float64(2 * k) }},
		{"a late evaluation", missed + " grew by 1", func(k int, v map[string]float64) {
			if k > 20 {
				v[missed]++
			}
		}},
		{"a late step", missedSteps + " grew by 2", func(k int, v map[string]float64) { v[missedSteps] = float64(k / 14) }},
		{"a failure", failures + " grew by 1", func(k int, v map[string]float64) { v[failures] = float64(k / 29) }},
		{"refused series", refused, func(_ int, v map[string]float64) { v[refused] = 5 }},
		{"too few series", "900 series are judged", func(_ int, v map[string]float64) { v[judged] = 900 }},
	} {
		w := watcher{o: o, readings: readings(c.change)}
		err := w.verdict()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestParseMetrics(t *testing.T) {
	r, err := parseMetrics(strings.NewReader("# HELP a b\na{x=\"1 2\"} 3\na{x=\"}\"} 4\nb 1e3\n"))
	if err != nil || r.values["a"] != 7 || r.values["b"] != 1000 {
		t.Errorf("%v, %v; want a 7 and b 1000", r.values, err)
	}
	if _, err := parseMetrics(strings.NewReader("a b\n")); err == nil {
		t.Error("no error for a value that is none")
	}
}
