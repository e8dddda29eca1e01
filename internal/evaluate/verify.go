package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nabScores are NAB's normalised scores, each at the best threshold there is.
type nabScores struct{ Standard, LowFP, LowFN float64 }

// scorers are the data's own programs; python is empty where they cannot run.
type scorers struct {
	python, data string
}

// findScorers looks for Python 3 and for the programs in DATA/score.
func findScorers(data string) (scorers, error) {
	python, err := exec.LookPath("python3")
	if errors.Is(err, exec.ErrNotFound) {
		return scorers{}, nil
	}
	if err != nil {
		return scorers{}, err
	}
	if _, err := os.Stat(filepath.Join(data, "score", "event_score.py")); errors.Is(err, fs.ErrNotExist) {
		return scorers{}, nil
	} else if err != nil {
		return scorers{}, err
	}
	return scorers{python: python, data: data}, nil
}

func (p scorers) run(program string, args ...string) (string, error) {
	cmd := exec.Command(p.python, append([]string{filepath.Join(p.data, "score", program)}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// check holds the figures of a set against those of the data's event scorer on
// the same scores, to the three digits that it prints.
func (p scorers) check(scores, set string, got eventFigures) error {
	budgets := make([]string, len(eventBudgets))
	for i, b := range eventBudgets {
		budgets[i] = fmt.Sprintf("%g", b)
	}
	out, err := p.run("event_score.py", filepath.Join(scores, set), "--data", filepath.Join(p.data, "series", set, "data"),
		"--from", fmt.Sprint(historyShare), "--budgets", strings.Join(budgets, ","))
	if err != nil {
		return err
	}
	want := []string{fmt.Sprintf("kF1 %.3f", got.kF1)}
	for i, b := range budgets {
		want = append(want, fmt.Sprintf("<= %s false alarms/series/day: event recall %.3f", b, got.recall[i]))
	}
	for _, w := range want {
		if !strings.Contains(out, w+" ") && !strings.Contains(out, w+"\n") {
			return fmt.Errorf("set %s: our %q is not what event_score.py says of the same scores:\n%s", set, w, out)
		}
	}
	return nil
}

// nab returns NAB's scores of three profiles.
func (p scorers) nab(scores string) (nabScores, error) {
	out, err := p.run("nab_score.py", filepath.Join(scores, "nab"), "--nab", filepath.Join(p.data, "series", "nab"), "--json")
	if err != nil {
		return nabScores{}, err
	}
	var report struct {
		Profiles map[string]struct{ Score float64 }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return nabScores{}, fmt.Errorf("nab_score.py: %w", err)
	}
	var s nabScores
	for name, to := range map[string]*float64{"standard": &s.Standard, "reward_low_FP_rate": &s.LowFP, "reward_low_FN_rate": &s.LowFN} {
		profile, ok := report.Profiles[name]
		if !ok {
			return nabScores{}, fmt.Errorf("nab_score.py: no profile %s in its report", name)
		}
		*to = profile.Score
	}
	return s, nil
}
