// Evaluateincidents replays labelled incidents through the production step and
// prints how well they were told, beside what is published: per set and per
// fault, pages and tickets together and pages alone, on faults and on normal
// windows.
//
//	go run ./internal/evaluateincidents -data DIR [-out DIR] [-only SET,…] [-starter] [-robustness]
//
// DIR holds incidents/SET with cases. A set whose name begins with that of a
// folder of -cases is replayed with the configuration there; for any other one a
// configuration is written from the names and labels of its metrics. -starter
// writes one for all sets, -robustness spoils the input in seven ways.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

type options struct {
	data, out, cases string
	only             []string
	starter          bool
	robustness       bool
	seeds            int
	progress         io.Writer
}

func main() {
	o := options{progress: os.Stderr}
	var only string
	flag.StringVar(&o.data, "data", "", "folder with incidents/")
	flag.StringVar(&o.out, "out", "", "folder for what was sent, reports and configurations; a temporary one without it")
	flag.StringVar(&o.cases, "cases", "examples/cases", "folder with a configuration for each system that is known")
	flag.StringVar(&only, "only", "", "names of sets, separated by commas; all without it")
	flag.BoolVar(&o.starter, "starter", false, "write a configuration also where there is one")
	flag.BoolVar(&o.robustness, "robustness", false, "replay with spoilt input and say what is lost")
	flag.IntVar(&o.seeds, "seeds", 3, "with -robustness: runs of what is spoilt by chance, at least 1")
	flag.Parse()
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "evaluateincidents:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.seeds < 1 {
		return fmt.Errorf("-seeds %d: want at least 1", o.seeds)
	}
	if o.out == "" {
		dir, err := os.MkdirTemp("", "foreshock-evaluate-")
		if err != nil {
			return err
		}
		o.out = dir
	}
	systems, err := o.systems()
	if err != nil {
		return err
	}
	var sure []stated
	for _, s := range systems {
		var err error
		if o.robustness {
			err = o.robust(ctx, s, out)
		} else {
			var a *answers
			if a, err = o.evaluate(ctx, s, out); err == nil {
				sure = append(sure, a.stated...)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	sureTable("How sure, of all sets", sure, out)
	fmt.Fprintf(out, "What was sent, reports and HTML pages are in %s.\n", o.out)
	return nil
}

// systems finds the sets below the data, and a configuration for each.
func (o options) systems() ([]*system, error) {
	root := filepath.Join(o.data, "incidents")
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("-data: %w: want a folder with incidents/", err)
	}
	known, err := os.ReadDir(o.cases)
	if err != nil {
		return nil, fmt.Errorf("-cases: %w", err)
	}
	var out []*system
	for _, e := range entries {
		if !e.IsDir() || len(o.only) > 0 && !slices.Contains(o.only, e.Name()) {
			continue
		}
		s := &system{name: e.Name(), dir: filepath.Join(root, e.Name())}
		for _, k := range known {
			if k.IsDir() && strings.HasPrefix(s.name, k.Name()) && !o.starter {
				s.config = filepath.Join(o.cases, k.Name(), "foreshock.yml")
			}
		}
		if err := s.load(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if s.config == "" {
			if s.config, err = s.start(filepath.Join(o.out, s.name)); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			s.written = true
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no set is below %s", root)
	}
	return out, nil
}

// evaluate replays one set and prints its tables.
func (o options) evaluate(ctx context.Context, s *system, out io.Writer) (*answers, error) {
	fmt.Fprintf(out, "# %s\n\n", s.name)
	if s.written {
		fmt.Fprintf(out, "The configuration was written from the metrics: %s.\n\n", s.config)
	}
	r, err := s.replay(ctx, replayOptions{cases: s.dir, config: s.config, out: filepath.Join(o.out, s.name), progress: o.progress})
	if err != nil {
		return nil, err
	}
	if err := s.compareScorer(ctx, o.data, filepath.Join(o.out, s.name+".jsonl"), r.Grades, out); err != nil {
		return nil, err
	}
	pages := s.pagesOnly(r)
	s.toldTable(r, pages, out)
	s.delayTable(r.Grades, out)
	answers, err := s.ask(r, pages)
	if err != nil {
		return nil, err
	}
	answers.usersTable(out)
	answers.methodTable(out)
	answers.faultTable(out)
	answers.changeTable(out)
	sureTable("How sure", answers.stated, out)
	return answers, nil
}
