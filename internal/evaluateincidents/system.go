package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/app"
	"github.com/foreshock/foreshock/internal/backtest"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// identity names services in cases: they have one label for it.
var identity = topology.Identity{}

// system is a set: the cases of one system, or of several much alike.
type system struct {
	name, dir string
	config    string // path of foreshock.yml
	written   bool   // config was made from the metrics
	cases     []*labelledCase
}

// labelledCase is a case with its labels, and what only the baselines are told.
type labelledCase struct {
	*backtest.Case
	dir string
	// targets are the alerts that the baselines start from, by incident.
	targets map[string]target
}

// target is an alert: a service, and a part of the name of the metric; "" for any.
type target struct {
	Service string `yaml:"page_service"`
	Metric  string `yaml:"page_metric"`
}

// load reads the headers, labels and graphs of all cases.
func (s *system) load() error {
	var dirs []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "incidents.yml" {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return fmt.Errorf("%s: no folder has an incidents.yml", s.dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		c, err := backtest.LoadCase(dir, identity)
		if err != nil {
			return err
		}
		l := &labelledCase{Case: c, dir: dir, targets: map[string]target{}}
		if err := l.readTargets(); err != nil {
			return err
		}
		s.cases = append(s.cases, l)
	}
	return nil
}

// readTargets takes the alert of each incident from the labels.
func (c *labelledCase) readTargets() error {
	path := filepath.Join(c.dir, "incidents.yml")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return err
	}
	var file struct {
		Incidents []struct {
			Name   string `yaml:"name"`
			target `yaml:",inline"`
		} `yaml:"incidents"`
	}
	if err := root.Decode(&file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, i := range file.Incidents {
		c.targets[i.Name] = i.target
	}
	return nil
}

// interval is the longest distance of samples of the cases.
func (s *system) interval() time.Duration {
	longest := time.Duration(0)
	for _, c := range s.cases {
		longest = max(longest, c.Truth.Interval)
	}
	return longest
}

type replayOptions struct {
	cases, config string
	out           string // path of the files written, without what comes after the dot
	progress      io.Writer
}

// replay runs the backtest of the command line and reads its report.
func (s *system) replay(ctx context.Context, o replayOptions) (*backtest.Report, error) {
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err := app.Backtest(ctx, app.BacktestOptions{
		ConfigFile: o.config, Cases: []string{o.cases}, Summary: true, Stdout: &text, Out: o.progress,
		Pages: o.out + ".jsonl", Report: o.out + ".json", HTML: o.out + ".html",
		// A query has to see two samples; by default it looks back five minutes.
		Query: source.QueryOptions{LookbackDelta: max(5*time.Minute, 2*s.interval()), MaxSamples: 50_000_000},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(o.out+".txt", text.Bytes(), 0o644); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(o.out + ".json")
	if err != nil {
		return nil, err
	}
	var r backtest.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s.json: %w", o.out, err)
	}
	return &r, nil
}

// compareScorer compares our table with that of the data's own scorer, where
// the data have one and Python is there.
func (s *system) compareScorer(ctx context.Context, data, pages string, g *backtest.Grades, out io.Writer) error {
	script := filepath.Join(data, "score", "rca_score.py")
	if _, err := os.Stat(script); err != nil {
		return nil
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil
	}
	theirs, err := exec.CommandContext(ctx, python, script, pages, s.dir).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", script, err)
	}
	var ours strings.Builder
	if err := g.WriteTable(&ours); err != nil {
		return err
	}
	// It counts "1 cases".
	grammar := strings.NewReplacer(": 1 cases, ", ": 1 case, ", ", 1 false pages ", ", 1 false page ", "not counted: 1 pages ", "not counted: 1 page ")
	if ours.String() != grammar.Replace(string(theirs)) {
		return fmt.Errorf("our table differs from that of %s:\n%s\n%s", script, ours.String(), theirs)
	}
	fmt.Fprintf(out, "The table of grades is equal to that of the data's own scorer:\n\n%s\n", indented(ours.String()))
	return nil
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}
