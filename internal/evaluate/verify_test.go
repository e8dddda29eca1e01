package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck holds figures against a scorer, here a script that prints some.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "score"), 0o777); err != nil {
		t.Fatal(err)
	}
	script := `echo 'kF1 0.820 @9.4  paF1 0.9'
for b in 0.03 0.1 0.3 1; do echo "  <= $b false alarms/series/day: event recall 0.500  threshold 3"; done
`
	if err := os.WriteFile(filepath.Join(dir, "score", "event_score.py"), []byte(script), 0o666); err != nil {
		t.Fatal(err)
	}
	nab := `echo '{"profiles": {"standard": {"score": 41.5}, "reward_low_FP_rate": {"score": 30}, "reward_low_FN_rate": {"score": 50}}}'`
	if err := os.WriteFile(filepath.Join(dir, "score", "nab_score.py"), []byte(nab), 0o666); err != nil {
		t.Fatal(err)
	}
	p := scorers{python: "/bin/sh", data: dir}
	if err := p.check(dir, "made", eventFigures{kF1: 0.8203, recall: []float64{.5, .5, .5, .5}}); err != nil {
		t.Errorf("equal figures: %v", err)
	}
	for name, f := range map[string]eventFigures{
		"recall": {kF1: 0.8203, recall: []float64{.5, .5, .499, .5}},
		"F1":     {kF1: 0.8213, recall: []float64{.5, .5, .5, .5}},
	} {
		if err := p.check(dir, "made", f); err == nil || !strings.Contains(err.Error(), "set made") {
			t.Errorf("another %s: error %v, want one that names the set", name, err)
		}
	}
	if got, err := p.nab(dir); err != nil || got != (nabScores{41.5, 30, 50}) {
		t.Errorf("NAB: %v, error %v", got, err)
	}
	if found, err := findScorers(t.TempDir()); err != nil || found.python != "" {
		t.Errorf("a folder without scorers: %v, error %v", found, err)
	}
}
