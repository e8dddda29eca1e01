package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

func spoil(s spoiler) *spoilt {
	return &spoilt{spoiler: s, seed: 1, interval: time.Minute, keep: []string{"web"}, promql: parser.NewParser(parser.Options{}), lines: map[string]decision{}}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      spoiler
		series string
		drop   bool
	}{
		{"all edges", spoiler{edges: 1}, `x{client="a",server="b"}`, true},
		{"no edge", spoiler{edges: 1}, `x{service="a"}`, false},
		{"all services", spoiler{nodes: 1}, `x{service="a"}`, true},
		{"but the one that alerts", spoiler{nodes: 1}, `x{service="web"}`, false},
		{"the callee's view", spoiler{nodes: 1}, `x{client="a",server="web",reporter="destination"}`, false},
		{"the caller's view", spoiler{nodes: 1}, `x{client="a",server="web",reporter="source"}`, true},
		{"counts", spoiler{noCounts: true}, `http_requests_total{service="a"}`, true},
		{"no counts", spoiler{noCounts: true}, `http_request_duration_seconds{service="a"}`, false},
	} {
		got, err := spoil(c.s).decide(c.series)
		if err != nil || got.drop != c.drop {
			t.Errorf("%s: drop %v (%v), want %v", c.name, got.drop, err, c.drop)
		}
	}
}

// TestSpoilShares: what is drawn is a share of all, the same each time, and a
// clock is one for all series of a service.
func TestSpoilShares(t *testing.T) {
	lost, early, late := 0, 0, 0
	const n = 1000
	for i := range n {
		name := strings.Repeat("s", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()
		s := spoil(spoiler{edges: 0.2, skewed: true})
		if s.lostEdge("web", name) {
			lost++
		}
		one, err := s.decide(`x{service="` + name + `"}`)
		if err != nil {
			t.Fatal(err)
		}
		if two, _ := spoil(spoiler{skewed: true}).decide(`y{service="` + name + `"}`); two.shift != one.shift {
			t.Fatalf("%s: shifts %v and %v", name, one.shift, two.shift)
		}
		switch one.shift {
		case 60:
			late++
		case -60:
			early++
		case 0:
		default:
			t.Fatalf("%s: shift %v", name, one.shift)
		}
	}
	if lost < 150 || lost > 250 || early < 270 || early > 400 || late < 270 || late > 400 {
		t.Errorf("of %d: %d edges lost, %d clocks early, %d late; want about 200, 333, 333", n, lost, early, late)
	}
}

func TestCopyConfig(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "foreshock.yml"), "rule_files: [rules.yml]\n")
	writeFile(t, filepath.Join(dir, "rules.yml"), "groups:\n- name: a\n  rules:\n  - {detect: A, expr: up, signal: errors}\n  - {alert: B, expr: up}\n")
	writeFile(t, filepath.Join(dir, "topology.yml"), "services:\n- {name: a, calls: [b], entry: true}\n")
	got, err := spoil(spoiler{late: true, edges: 1}).copyConfig(filepath.Join(dir, "foreshock.yml"), filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][2]string{
		"rules.yml":    {"for: 1m0s", "alert: B, expr: up}"},
		"topology.yml": {"calls: []", "entry: true"},
	} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(got), file))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s: %q is not in\n%s", file, w, text)
			}
		}
	}
}
