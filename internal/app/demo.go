package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foreshock/foreshock/internal/demo"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
)

// DemoOptions say what the demo shows.
type DemoOptions struct {
	Fault           string
	Seed            uint64
	Duration        time.Duration // 0: until the context ends
	Past            time.Duration // how much of a past the shop lives through first
	AlertmanagerURL string
	ListenAddress   string
	Dir             string // "": a temporary one, removed at the end
	Out             io.Writer
	Logger          *slog.Logger
}

// DemoFaults returns the names of the faults.
func DemoFaults() []string { return demo.Faults() }

// leastPast is what the detectors need to know a day's rhythm from noise.
const leastPast = 24 * time.Hour

// Validate says what is wrong with the options.
func (o DemoOptions) Validate() error {
	if !slices.Contains(demo.Faults(), o.Fault) {
		return fmt.Errorf("--fault %q: use one of %s", o.Fault, strings.Join(demo.Faults(), ", "))
	}
	if o.Past < leastPast {
		return fmt.Errorf("--past %s: the detectors need at least %s", o.Past, leastPast)
	}
	return nil
}

// historyStep is the distance of samples in the simulated past.
const historyStep = 15 * time.Second

// Demo starts the shop, lets it live through its past, and tells its story.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Duration)
		defer cancel()
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "foreshock-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	story, err := demo.NewStory(o.Fault, o.Seed, demo.StoryOptions{})
	if err != nil {
		return err
	}
	dir, err := writeDemoConfig(o)
	if err != nil {
		return err
	}
	d := &demoScreen{o: o, out: o.Out, seen: map[string]int{}, over: map[string]bool{}}
	ready := make(chan struct{})
	var once sync.Once
	server := Options{
		ConfigFile: filepath.Join(dir, "foreshock.yml"), ListenAddress: o.ListenAddress, StoragePath: filepath.Join(o.Dir, "data"),
		Retention: o.Past + 24*time.Hour, ColdStart: o.Past, Replicas: 1, Out: o.Out, Logger: o.Logger,
		History:           func(ctx context.Context, db *source.Local) error { return d.past(ctx, db) },
		DiscoveryInterval: 500 * time.Millisecond,
		Started:           func(url string) { d.url = url; d.say("Pages: %s", url) },
		Step: func(now time.Time, e *engine.Engine) {
			once.Do(func() { close(ready) })
			d.show(now, e)
		},
	}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { ended <- Run(ctx, server) }()
	select {
	case err := <-ended:
		return ignoreEnd(err)
	case <-ready:
	}
	err = d.tell(ctx, story, dir)
	if err != nil {
		stop()
	}
	return errors.Join(ignoreEnd(err), ignoreEnd(<-ended))
}

// tell opens the shop, plays the story and waits for the end. The shop opens
// only now, since learning its past keeps the machine busy, and a shop that is
// slow for that reason would be a fault of its own.
func (d *demoScreen) tell(ctx context.Context, story demo.Story, dir string) (err error) {
	if err := d.life.takeOver(ctx); err != nil {
		return err
	}
	shop, err := demo.Start(ctx, demo.ShopOptions{Spec: demo.NewSpec(), Seed: d.o.Seed, Log: d.o.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	targets, err := demo.TargetsFile(shop.Targets())
	if err != nil {
		return err
	}
	// Renamed into place: the file is being watched.
	path := filepath.Join(dir, demo.TargetsName)
	if err := os.WriteFile(path+".new", targets, 0o666); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d.say("The shop is open at %s: frontend → checkout → payments, inventory → database.", shop.URL())
	d.say("Foreshock watches. The story of %q begins.", d.o.Fault)
	if err := shop.Play(ctx, story, func(e demo.Event) { d.say("shop: %s", e.Text) }); err != nil {
		return err
	}
	d.say("The story is told; the pages stay open until Ctrl-C.")
	<-ctx.Done()
	return nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// writeDemoConfig writes the configuration and returns its folder.
func writeDemoConfig(o DemoOptions) (string, error) {
	files, err := demo.Config(demo.ConfigOptions{AlertmanagerURL: o.AlertmanagerURL})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(o.Dir, "config")
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// demoScreen prints what happens.
type demoScreen struct {
	o    DemoOptions
	out  io.Writer
	url  string
	life *life
	seen map[string]int
	over map[string]bool
}

func (d *demoScreen) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%s  %s\n", time.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// past lets the shop live through simulated days and writes them into the TSDB.
// The simulation then goes on in real time until the live shop takes over.
func (d *demoScreen) past(ctx context.Context, db *source.Local) error {
	to := time.Now().Truncate(historyStep)
	from := to.Add(-d.o.Past)
	p := newProgress(d.out, fmt.Sprintf("the shop lives through %s (simulated)", d.o.Past))
	h, err := db.WriteHistory(ctx)
	if err != nil {
		return err
	}
	d.life = newLife(ctx, h, db.Store().Appendable, to)
	go func() {
		_, err := demo.Simulate(ctx, demo.SimulationOptions{
			Spec: demo.NewSpec(), From: from, To: to.Add(time.Hour), Step: historyStep, Seed: d.o.Seed, Sink: d.life,
			Progress: func(now time.Time) { p.set(min(1, float64(now.Sub(from))/float64(to.Sub(from)))) },
		})
		if errors.Is(err, errTakenOver) {
			err = nil
		}
		d.life.ended <- err
	}()
	select {
	case <-d.life.caught:
		p.set(1)
		return nil
	case err := <-d.life.ended:
		return fmt.Errorf("the shop's past: %w", errors.Join(err, h.Close()))
	}
}

// show prints what the pager would get.
func (d *demoScreen) show(now time.Time, e *engine.Engine) {
	for _, i := range e.Incidents() {
		for ; d.seen[i.ID] < len(i.Sent); d.seen[i.ID]++ {
			d.page(i, i.Sent[d.seen[i.ID]])
		}
		if i.State == incident.Resolved && !d.over[i.ID] {
			d.over[i.ID] = true
			fmt.Fprintf(d.out, "\n%s  RESOLVED  %s (%s, after %s)\n\n", now.UTC().Format("15:04:05"), i.Sent[0].Labels["service"], i.Why, i.Resolved.Sub(i.Opened).Round(time.Second))
		}
	}
}

func (d *demoScreen) page(i *incident.Incident, s incident.Sent) {
	fmt.Fprintf(d.out, "\n%s  %s  %s\n", s.Time.UTC().Format("15:04:05"), strings.ToUpper(string(s.Severity)), i.Headline())
	writeAnnotations(d.out, "          ", i.Annotations())
	fmt.Fprintf(d.out, "          %-11s %s/incidents/%s\n\n", "more", strings.TrimSuffix(d.url, "/"), i.ID)
}
