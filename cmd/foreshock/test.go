package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/foreshock/foreshock/internal/app"
)

func runTest(ctx context.Context, args []string, std streams) (err error) {
	o := app.RuleTestOptions{Out: std.out, Err: std.err}
	var junit string
	f := flags("test", "[rules] FILE…", std)
	f.StringArrayVar(&o.Run, "run", nil, "run only the test groups whose names match this regular expression; may be repeated")
	f.BoolVar(&o.Color, "diff", false, "color what differs between expected and got")
	f.BoolVar(&o.Debug, "debug", false, "print all series after each test group")
	f.BoolVar(&o.IgnoreUnknownFields, "ignore-unknown-fields", false, "ignore unknown fields of rule files")
	f.StringVar(&junit, "junit", "", "file for the results as JUnit XML")
	if err := parse(f, args, len(args)); err != nil {
		return err
	}
	files := f.Args()
	if len(files) > 0 && files[0] == "rules" {
		files = files[1:] // as in `promtool test rules`
	}
	if len(files) == 0 {
		return usageError{errors.New("give at least one test file")}
	}
	if err := app.CheckRun(o.Run); err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	if junit != "" {
		out, err := os.Create(junit)
		if err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		o.JUnit = out
	}
	return app.RuleTests(ctx, files, o)
}
