package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/backtest"
)

// figures are those of a replay, means over the seeds. Shares of nothing count as 0.
type figures struct {
	sent, one, oneSent, three, repeated, falsePages, falseTickets, right, innocent float64
	changes                                                                        int
}

func (f *figures) add(r *backtest.Report, runs float64) {
	g := r.Grades.Sets[len(r.Grades.Sets)-1]
	v := func(x *float64) float64 {
		if x == nil {
			return 0
		}
		return *x / runs
	}
	f.sent += v(g.All.Recall)
	f.one += v(g.All.Top1)
	f.oneSent += v(g.All.Top1Hit)
	f.three += v(g.All.Top3)
	f.repeated += v(g.All.SentPerHit)
	if g.QuietDays > 0 {
		f.falsePages += float64(g.FalsePages) / g.QuietDays / runs
		f.falseTickets += float64(g.FalseTickets) / g.QuietDays / runs
	}
	f.changes = g.All.Changes
	f.right += float64(g.All.ChangeRight) / runs
	f.innocent += float64(g.All.InnocentBlamed) / runs
}

// robust replays a set as it is and spoilt in each way, and prints one table.
func (o options) robust(ctx context.Context, s *system, out io.Writer) error {
	header(out, s.name, "input", "sent", "AC@1 of all", "AC@3 of all", "AC@1 of sent", "sent per incident", "false pages a day", "false tickets a day", "change right", "innocent blamed")
	for _, sp := range append([]spoiler{{name: "as it is"}}, spoilers()...) {
		seeds := 1
		if sp.chance {
			seeds = o.seeds
		}
		var f figures
		for seed := range seeds {
			r, err := o.replaySpoilt(ctx, s, sp, uint64(seed+1))
			if err != nil {
				return fmt.Errorf("%s, seed %d: %w", sp.name, seed+1, err)
			}
			f.add(r, float64(seeds))
		}
		right, innocent := "-", "-"
		if f.changes > 0 {
			right, innocent = fmt.Sprintf("%.1f of %d", f.right, f.changes), fmt.Sprintf("%.1f", f.innocent)
		}
		row(out, sp.name, short(f.sent), short(f.one), short(f.three), short(f.oneSent), short(f.repeated),
			fmt.Sprintf("%.2f", f.falsePages), fmt.Sprintf("%.2f", f.falseTickets), right, innocent)
	}
	fmt.Fprintln(out)
	return nil
}

// replaySpoilt makes a spoilt copy, replays it and takes it away again.
func (o options) replaySpoilt(ctx context.Context, s *system, sp spoiler, seed uint64) (*backtest.Report, error) {
	dir, err := os.MkdirTemp("", "foreshock-spoilt-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	x := &spoilt{spoiler: sp, seed: seed, interval: s.interval(), promql: parser.NewParser(parser.Options{}), lines: map[string]decision{}}
	for _, c := range s.cases {
		for _, t := range c.targets {
			x.keep = append(x.keep, t.Service)
		}
	}
	if err := x.copySet(s.dir, filepath.Join(dir, "set")); err != nil {
		return nil, err
	}
	config, err := x.copyConfig(s.config, filepath.Join(dir, "config"))
	if err != nil {
		return nil, err
	}
	return s.replay(ctx, replayOptions{
		cases: filepath.Join(dir, "set"), config: config, out: filepath.Join(o.out, fmt.Sprintf("%s, %s %d", s.name, sp.name, seed)), progress: o.progress,
	})
}
