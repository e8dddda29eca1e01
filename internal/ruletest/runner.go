package ruletest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/junitxml"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

// runner runs one test file.
type runner struct {
	Options
	path  string
	only  *regexp.Regexp
	suite *junitxml.TestSuite

	rules  []*rules.File // read when the first group runs, as promtool does
	loaded bool
}

func (r *runner) warn(text string) { fmt.Fprintf(r.Err, "  WARNING: %s\n", text) }

// run returns all that failed.
func (r *runner) run(ctx context.Context) []error {
	f, base, paths, err := r.read()
	if err != nil {
		r.suite.Abort(err)
		return distinct(split1(err))
	}
	var errs []error
	for _, g := range f.groups {
		if r.only != nil && !r.only.MatchString(g.Name) {
			continue
		}
		test := r.suite.Case(g.title())
		for _, err := range r.group(ctx, f, g, base, paths) {
			test.Fail(err.Error())
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errs
}

// split1 takes joined errors apart, so that each is reported by itself.
func split1(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, split1(e)...)
		}
		return out
	}
	return []error{err}
}

// distinct leaves out what was said already: an anchor's fault is one, however
// often it is used.
func distinct(errs []error) []error {
	seen := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		twice := seen[err.Error()]
		seen[err.Error()] = true
		return twice
	})
}

// read reads the test file and what it says beside the tests.
func (r *runner) read() (f *testFile, base engine.Config, paths []string, err error) {
	data, err := os.ReadFile(r.path)
	if err != nil {
		return nil, base, nil, fmt.Errorf("test file: %w", err)
	}
	if f, err = parseFile(r.path, data); err != nil {
		return nil, base, nil, err
	}
	paths, warnings, err := ruleFiles(f.RuleFiles, filepath.Dir(r.path))
	if err != nil {
		return nil, base, nil, err
	}
	for _, w := range warnings {
		r.warn(w)
	}
	if base, err = r.config(f); err != nil {
		return nil, base, nil, err
	}
	base.Declared, err = r.declared(f, base)
	errs := []error{err}
	if len(f.groups) == 0 {
		_, err := r.changes(&f.Changes, base.Identity, time.Unix(0, 0))
		errs = append(errs, err)
	}
	// Blocks of groups that do not run are checked all the same.
	for _, g := range f.groups {
		_, err := r.topology(&g.Topology, base.Identity)
		_, err2 := r.changesOf(f, g, base)
		errs = append(errs, err, err2)
	}
	return f, base, paths, errors.Join(errs...)
}

// group runs one test group.
func (r *runner) group(ctx context.Context, f *testFile, g *testGroup, base engine.Config, paths []string) []error {
	cfg, err := r.groupConfig(f, g, base, paths)
	if err != nil {
		return split1(err)
	}
	changes, err := r.changesOf(f, g, base)
	if err != nil {
		return split1(err)
	}
	input, warnings, err := g.inputs(r.path)
	if err != nil {
		return []error{err}
	}
	for _, w := range warnings {
		r.warn(w)
	}
	l := &life{
		path: r.path, test: g, start: g.start(), end: g.end(), every: cfg.EvaluationInterval,
		color: r.Color, fuzzy: f.FuzzyCompare, order: f.GroupEvalOrder,
		input: input, changes: changes, config: cfg,
	}
	if r.Debug {
		fmt.Fprintf(r.Err, "DEBUG: Starting test %s\n", g.title())
		l.debug = r.Err
	}
	return l.run(ctx)
}

// changesOf are the changes of the file and of the group, by time.
func (r *runner) changesOf(f *testFile, g *testGroup, base engine.Config) ([]change.Change, error) {
	all, err := r.changes(&f.Changes, base.Identity, g.start())
	own, err2 := r.changes(&g.Changes, base.Identity, g.start())
	all = append(all, own...)
	slices.SortStableFunc(all, func(a, b change.Change) int { return a.Time.Compare(b.Time) })
	return all, errors.Join(err, err2)
}

// groupConfig is what the engine is told for one group.
func (r *runner) groupConfig(f *testFile, g *testGroup, base engine.Config, paths []string) (engine.Config, error) {
	if !r.loaded {
		var err error
		if r.rules, err = loadRules(paths, r.IgnoreUnknownFields); err != nil {
			return base, err
		}
		r.loaded = true
	}
	cfg := base
	if f.Config == "" || len(f.RuleFiles) > 0 {
		cfg.Rules = r.rules
	}
	cfg.EvaluationInterval = time.Duration(f.EvaluationInterval)
	if g.ExternalLabels != nil || f.Config == "" {
		cfg.ExternalLabels = labels.FromMap(g.ExternalLabels)
	}
	own, err := r.topology(&g.Topology, base.Identity)
	cfg.Declared = base.Declared.Merge(own)
	return cfg, err
}

// declared is the topology of the configuration and of the file.
func (r *runner) declared(f *testFile, base engine.Config) (topology.Declared, error) {
	own, err := r.topology(&f.Topology, base.Identity)
	return base.Declared.Merge(own), err
}
