// Command soak runs the built foreshock for a while under a steady load and
// says whether it kept up: memory and goroutines that do not grow, evaluations
// and incident steps that were all on time, and no failures. At the end it
// prints a row of the sizing table in docs/operations.md. `make soak` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// options say what load there is.
type options struct {
	binary   string
	series   int // scraped
	judged   int // of them, each by a detection rule
	perPage  int // series of a target
	cores    int // GOMAXPROCS of foreshock
	interval time.Duration
	duration time.Duration
	dir      string // of the data; removed afterwards when it is empty before
	lenient  bool   // what grew or was late is said, and is no failure
	out      io.Writer
}

func main() {
	o := options{out: os.Stdout}
	flag.StringVar(&o.binary, "binary", "bin/foreshock", "the built foreshock")
	flag.IntVar(&o.series, "series", 100_000, "active series that are scraped")
	flag.IntVar(&o.judged, "judged", 100_000, "of them, how many detection rules judge one by one")
	flag.IntVar(&o.perPage, "per-target", 1000, "series of a target")
	flag.IntVar(&o.cores, "cores", 2, "cores that foreshock may use")
	flag.DurationVar(&o.interval, "interval", 15*time.Second, "of scrapes and evaluations")
	flag.DurationVar(&o.duration, "duration", 30*time.Minute, "how long")
	flag.StringVar(&o.dir, "dir", "", "where the data go; empty: a temporary directory")
	flag.BoolVar(&o.lenient, "lenient", false, "say what grew or was late without failing, for a machine that is busy with other things")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (o options) check() error {
	switch {
	case o.series < 1 || o.judged < 0 || o.judged > o.series || o.perPage < 1 || o.cores < 1:
		return fmt.Errorf("series %d, judged %d, per target %d, cores %d: want at least one of each, and no more judged than scraped", o.series, o.judged, o.perPage, o.cores)
	case o.interval < time.Second || o.duration < 6*o.interval:
		return fmt.Errorf("interval %s and duration %s: want at least a second and six intervals", o.interval, o.duration)
	}
	return nil
}

// run starts targets and foreshock, watches over them, and starts foreshock
// once more to see how long it takes to know what it knew.
func run(ctx context.Context, o options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "foreshock-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	load := newLoad(o)
	defer load.Close()
	if err := load.configure(dir); err != nil {
		return err
	}
	p, err := start(ctx, o, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%d series (%d judged) every %s for %s; foreshock on %d of %d cores, process %d at %s; %s\n",
		o.series, o.judged, o.interval, o.duration, o.cores, runtime.NumCPU(), p.cmd.Process.Pid, p.url, machineLoad())
	w := watcher{o: o, url: p.url, data: filepath.Join(dir, "data")}
	err = w.watch(ctx, p)
	if stopErr := p.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return fmt.Errorf("%w\nthe end of foreshock's log:\n%s", err, p.log.String())
	}
	again, err := start(ctx, o, dir)
	if err != nil {
		return err
	}
	took, err := again.restored(ctx)
	if stopErr := again.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return fmt.Errorf("after a restart: %w\n%s", err, again.log.String())
	}
	return w.report(took)
}

func machineLoad() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "the machine's load is not known"
	}
	return fmt.Sprintf("the machine's load is %s", firstFields(string(b), 3))
}
