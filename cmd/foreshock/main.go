// Foreshock watches the metrics of a team that runs Prometheus, works out along
// the service dependencies what fails first, and hands Alertmanager one alert
// that says so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"syscall"
	_ "time/tzdata" // zones of detectors, where the system has none

	"github.com/spf13/pflag"

	"github.com/foreshock/foreshock/internal/app"
)

// command is one word after `foreshock`.
type command struct {
	summary string
	run     func(ctx context.Context, args []string, std streams) error
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func commands() map[string]command {
	return map[string]command{
		"run":       {"the server (the default)", runServer},
		"demo":      {"a small shop that fails, watched by Foreshock", runDemo},
		"check":     {"say what is wrong with a configuration before it runs", runCheck},
		"backtest":  {"replay the past: what would have been sent, and was it right", runBacktest},
		"detect":    {"one CSV series in, scores out", runDetect},
		"incidents": {"incidents of a running server: what was sent, or would have been", runIncidents},
		"init":      {"look at a Prometheus and write a first configuration", runInit},
		"test":      {"unit tests of rules, in promtool's format and beyond", runTest},
		"version":   {"print the version", runVersion},
	}
}

// usageError is a wrong call: exit status 2.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(foreshock(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// foreshock runs one command and returns the exit status: 0, 1 for an error, 2
// for a wrong call, 3 for a backtest that does not meet its conditions.
func foreshock(ctx context.Context, args []string, std streams) int {
	name := "run"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
		name = "help"
	} else if len(args) > 0 && args[0] == "--version" {
		name, args = "version", nil
	}
	if name == "help" {
		help(std.out)
		return 0
	}
	cmd, ok := commands()[name]
	if !ok {
		fmt.Fprintf(std.err, "foreshock: unknown command %q\n", name)
		help(std.err)
		return 2
	}
	err := cmd.run(ctx, args, std)
	var wrong usageError
	var call app.UsageError
	var unmet *app.UnmetError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return 0
	case errors.As(err, &wrong), errors.As(err, &call):
		fmt.Fprintf(std.err, "foreshock %s: %v\nSee foreshock %s --help.\n", name, err, name)
		return 2
	case errors.As(err, &unmet):
		fmt.Fprintf(std.err, "foreshock: %v\n", err)
		return 3
	}
	fmt.Fprintf(std.err, "foreshock: %v\n", err)
	return 1
}

func help(w io.Writer) {
	fmt.Fprint(w, "Usage: foreshock [command] [flags]\n\nCommands:\n")
	all := commands()
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(w, "  %-10s %s\n", n, all[n].summary)
	}
	fmt.Fprint(w, "\nforeshock COMMAND --help tells the flags of a command.\n")
}

// flags makes a set of flags whose errors and help go where the command's do.
func flags(name, args string, std streams) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(std.out)
	f.SortFlags = false
	f.Usage = func() {
		fmt.Fprintf(std.out, "Usage: foreshock %s %s\n\n%s\n\nFlags:\n%s", name, args, commands()[name].summary, f.FlagUsages())
	}
	return f
}

// parse reads the flags of a command that takes at most the given number of arguments.
func parse(f *pflag.FlagSet, args []string, most int) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if f.NArg() > most {
		return usageError{fmt.Errorf("unexpected argument %q", f.Arg(most))}
	}
	return nil
}
