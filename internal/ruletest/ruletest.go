// Package ruletest runs unit tests of rules: promtool's format unchanged, and
// beside it expectations of what detection rules find and of the incidents that
// are sent.
//
// A test group is lived through from its beginning with the step that the server
// has. Where it expects nothing of detections or incidents, groups are evaluated
// exactly as `promtool test rules` does.
package ruletest

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/util/junitxml"

	"github.com/foreshock/foreshock/internal/engine"
)

// Config is what a configuration file says, in the engine's terms.
type Config = engine.Config

// Options say what is run and how it is told. The names are those of promtool's flags.
type Options struct {
	// Run are regular expressions: only test groups whose name one of them
	// matches run. None: all run.
	Run []string
	// Color marks what differs in color as well; promtool's --diff.
	Color bool
	// Debug dumps all series of each test group to Err.
	Debug bool
	// IgnoreUnknownFields takes rule files with fields that nobody knows.
	IgnoreUnknownFields bool
	// LoadConfig reads the configuration that a test file names by `config:`;
	// nil makes that field an error.
	LoadConfig func(path string) (Config, error)

	Out   io.Writer // a line for each file and its success
	Err   io.Writer // failures and warnings
	JUnit io.Writer // results as JUnit XML; nil: none
}

// FailedError says how many of the files failed. What failed has been written already.
type FailedError struct{ Failed, Files int }

func (e *FailedError) Error() string {
	if e.Files == 1 {
		return "the test file failed"
	}
	return fmt.Sprintf("%d of %d test files failed", e.Failed, e.Files)
}

// CheckRun says what is wrong with the expressions of [Options.Run].
func CheckRun(run []string) error {
	_, err := compileRun(run)
	return err
}

// compileRun joins the expressions as promtool does; nil lets all run.
func compileRun(run []string) (*regexp.Regexp, error) {
	if len(run) == 0 {
		return nil, nil
	}
	for _, r := range run {
		if _, err := regexp.Compile(r); err != nil {
			return nil, fmt.Errorf("%q is no regular expression: %w", r, err)
		}
	}
	return regexp.Compile(strings.Join(run, "|"))
}

// Run runs the test files in their order, each whether or not the ones before
// failed. The error is a *[FailedError] when a test failed or a file is wrong,
// and another one when the run itself could not go on.
func Run(ctx context.Context, files []string, o Options) error {
	only, err := compileRun(o.Run)
	if err != nil {
		return err
	}
	junit := &junitxml.JUnitXML{}
	failed := 0
	for _, path := range files {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped before %s: %w", path, context.Cause(ctx))
		}
		fmt.Fprintf(o.Out, "%s\n", path)
		r := &runner{Options: o, path: path, only: only, suite: junit.Suite(path)}
		if errs := r.run(ctx); len(errs) > 0 {
			fmt.Fprintf(o.Err, "  FAILED:\n")
			for _, err := range errs {
				fmt.Fprintf(o.Err, "%s\n\n", indent(err.Error(), "    "))
			}
			failed++
		} else {
			fmt.Fprintf(o.Out, "  SUCCESS\n")
		}
		fmt.Fprintln(o.Out)
	}
	if o.JUnit != nil {
		if err := junit.WriteXML(o.JUnit); err != nil {
			return fmt.Errorf("JUnit results: %w", err)
		}
	}
	if failed > 0 {
		return &FailedError{Failed: failed, Files: len(files)}
	}
	return nil
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(text, "\n", "\n"+by)
}
