package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/foreshock/foreshock/internal/backtest"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// BacktestOptions say what to replay.
type BacktestOptions struct {
	Cases      []string // case folders, or folders below which they are
	ConfigFile string
	Pages      string // file for the JSON lines; "-" is Stdout
	Query      source.QueryOptions
	Stdout     io.Writer
	Out        io.Writer // progress
	Logger     *slog.Logger
}

// Backtest replays the cases and writes one JSON object per incident sent.
func Backtest(ctx context.Context, o BacktestOptions) error {
	cfg, err := LoadConfig(o.ConfigFile)
	if err != nil {
		return err
	}
	dirs, err := caseDirs(o.Cases)
	if err != nil {
		return err
	}
	// All headers first: a broken one must not cost hours, nor the pages of an earlier run.
	var cases []*backtest.Case
	var errs []error
	for _, dir := range dirs {
		c, err := loadCase(dir, cfg.Engine.Identity)
		errs = append(errs, err)
		cases = append(cases, c)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	out := o.Stdout
	if o.Pages != "-" {
		f, err := os.Create(o.Pages)
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		defer f.Close()
		out = f
	}
	p := newProgress(o.Out, "backtest")
	written := 0
	for n, c := range cases {
		sent, err := backtest.Run(ctx, c, backtest.Options{
			Config: cfg.Engine, Query: o.Query, Logger: o.Logger,
			Progress: func(_ *backtest.Case, done float64) { p.set((float64(n) + done) / float64(len(cases))) },
		})
		if werr := backtest.Write(out, sent); werr != nil {
			return errors.Join(err, fmt.Errorf("%s: %w", o.Pages, werr))
		}
		if written += len(sent); err != nil && written > 0 {
			return fmt.Errorf("%w; the %d incidents written so far are not all", err, written)
		}
		if err != nil {
			return err
		}
	}
	p.set(1)
	if f, ok := out.(*os.File); ok && o.Pages != "-" {
		return f.Close()
	}
	return nil
}

// loadCase reads a case's header, and sees to it that its files are there.
func loadCase(dir string, id topology.Identity) (*backtest.Case, error) {
	c, err := backtest.LoadCase(dir, id)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, f := range c.Files {
		if _, err := os.Stat(f); err != nil {
			errs = append(errs, fmt.Errorf("%s: files: %s: %w", filepath.Join(dir, "incidents.yml"), f, reason(err)))
		}
	}
	return c, errors.Join(errs...)
}

// reason is what is wrong with a file, where its path has been said already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// caseDirs finds the case folders at or below the given ones, in order.
func caseDirs(roots []string) ([]string, error) {
	var out []string
	for _, root := range roots {
		var found []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "incidents.yml" {
				found = append(found, filepath.Dir(path))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("case %s: %w: want a folder with incidents.yml in it or below it", root, reason(err))
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("case %s: neither it nor a folder below it has an incidents.yml", root)
		}
		slices.Sort(found)
		out = append(out, found...)
	}
	return out, nil
}
