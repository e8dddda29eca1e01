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
	out := o.Stdout
	if o.Pages != "-" {
		f, err := os.Create(o.Pages)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	p := newProgress(o.Out, "backtest")
	for n, dir := range dirs {
		c, err := backtest.LoadCase(dir, cfg.Engine.Identity)
		if err != nil {
			return err
		}
		sent, err := backtest.Run(ctx, c, backtest.Options{
			Config: cfg.Engine, Query: o.Query, Logger: o.Logger,
			Progress: func(_ *backtest.Case, done float64) { p.set((float64(n) + done) / float64(len(dirs))) },
		})
		if werr := backtest.Write(out, sent); werr != nil {
			return errors.Join(err, fmt.Errorf("%s: %w", o.Pages, werr))
		}
		if err != nil {
			return fmt.Errorf("%w (what was written so far is partial)", err)
		}
	}
	p.set(1)
	if f, ok := out.(*os.File); ok && o.Pages != "-" {
		return f.Close()
	}
	return nil
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
			return nil, fmt.Errorf("case: %w", err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("case %s: neither it nor a folder below it has an incidents.yml", root)
		}
		slices.Sort(found)
		out = append(out, found...)
	}
	return out, nil
}
