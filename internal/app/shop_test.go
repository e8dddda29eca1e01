//go:build e2e

package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/foreshock/foreshock/internal/demo"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
)

// simulated is the demo without its real time: the shop's past, and a story at
// the end of it with a sample a second, in a TSDB of its own.
type simulated struct {
	config  *Config
	input   *source.Local
	results *source.Local
	begin   time.Time // of the past
	tale    time.Time // of the story
	end     time.Time
	story   demo.Story
}

// appends lets the simulation write through an appender.
type appends struct {
	a   storage.Appendable
	app storage.Appender
}

func (s *appends) Append(ref uint64, l labels.Labels, t int64, v float64) (uint64, error) {
	if s.app == nil {
		s.app = s.a.Appender(context.Background())
	}
	r, err := s.app.Append(storage.SeriesRef(ref), l, t, v)
	return uint64(r), err
}

func (s *appends) Commit(int64) error {
	if s.app == nil {
		return nil
	}
	err := s.app.Commit()
	s.app = nil
	return err
}

func demoConfig(t *testing.T) *Config {
	t.Helper()
	dir, err := writeDemoConfig(DemoOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(filepath.Join(dir, "foreshock.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func simulate(t *testing.T, fault string, seed uint64, past time.Duration, tale time.Time) *simulated {
	t.Helper()
	return simulateStory(t, fault, seed, demo.StoryOptions{Quiet: time.Minute, Lasts: 2 * time.Minute}, past, tale, 12*time.Minute)
}

func simulateStory(t *testing.T, fault string, seed uint64, o demo.StoryOptions, past time.Duration, tale time.Time, lasts time.Duration) *simulated {
	t.Helper()
	s := &simulated{config: demoConfig(t), begin: tale.Add(-past), tale: tale, end: tale.Add(lasts)}
	var err error
	if s.story, err = demo.NewStory(fault, seed, o); err != nil {
		t.Fatal(err)
	}
	for _, db := range []**source.Local{&s.input, &s.results} {
		if *db, err = source.OpenTemporary(source.TemporaryOptions{Dir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*db).Close() })
	}
	h, err := s.input.WriteHistory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(o demo.SimulationOptions) {
		t.Helper()
		o.Spec, o.Seed = demo.NewSpec(), seed
		if _, err := demo.Simulate(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	run(demo.SimulationOptions{From: s.begin, To: tale.Add(-historyStep), Step: historyStep, Sink: h})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	run(demo.SimulationOptions{From: tale.Add(time.Second - historyStep), To: s.end, Step: time.Second, Events: s.story.From(tale), Sink: &appends{a: s.input.Store().Appendable}})
	return s
}

// told is what an incident came to, as a pager would know it.
type told struct {
	Severity, Service, Change string
	Effects                   []string
	After                     time.Duration // the first notification after the beginning of the story
	Resolved                  time.Duration
	Text                      string
}

// play replays the past and the story with the engine's step.
func (s *simulated) play(t *testing.T) []told {
	t.Helper()
	e, err := engine.New(engine.Options{Config: s.config.Engine})
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	var out []told
	for _, part := range []struct {
		from, to time.Time
		step     time.Duration
	}{{s.begin, s.tale.Add(-time.Minute), replayStep}, {s.tale.Add(-time.Minute + time.Second), s.end, 0}} {
		store := engine.ReplayStore(engine.ReplaySource{
			Input: s.input.Store(), Results: s.results, Config: s.config.Engine, From: part.from, To: part.to, MinStep: part.step,
		})
		if err := e.Attach(t.Context(), store, engine.Live{SkipOutputs: !engine.ReadsOutputs(s.config.Engine)}); err != nil {
			t.Fatal(err)
		}
		err := e.Replay(t.Context(), engine.Replay{From: part.from, To: part.to, MinStep: part.step, Step: func(now time.Time, is []*incident.Incident) {
			for _, i := range is {
				if len(i.Sent) == 0 {
					continue
				}
				k, ok := index[i.ID]
				if !ok {
					k = len(out)
					index[i.ID] = k
					out = append(out, s.tell(now, i))
				}
				out[k].Severity = string(i.Severity)
				if i.State == incident.Resolved {
					out[k].Resolved = now.Sub(s.tale)
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		store.Close()
	}
	return out
}

func (s *simulated) tell(now time.Time, i *incident.Incident) told {
	w := told{Service: i.Sent[0].Labels["service"], After: now.Sub(s.tale)}
	if !i.Known {
		w.Service = "not known (" + w.Service + ")"
	}
	if c := i.Suspect(); c != nil {
		w.Change = fmt.Sprintf("%s %s→%s", c.Service, c.From, c.To)
	}
	for _, e := range i.Effects {
		w.Effects = append(w.Effects, string(e.Service))
	}
	var b strings.Builder
	for _, k := range []string{"summary", "cause", "confidence", "effects", "changes"} {
		fmt.Fprintf(&b, "%s: %s\n", k, i.Annotations()[k])
	}
	w.Text = b.String()
	return w
}

// The demo's stories in simulated time: each is one page with the right cause,
// change and side effects, which is resolved after the repair; without a fault
// nobody is told anything. SHOP_SEEDS=n runs n seeds of each; two without it.
func TestShopStories(t *testing.T) {
	seeds := 2
	if n, err := strconv.Atoi(os.Getenv("SHOP_SEEDS")); err == nil {
		seeds = n
	}
	for k, fault := range demo.Faults() {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", fault, seed+1), func(t *testing.T) {
				t.Parallel()
				// Another hour for each, so that the rhythm of the day has its say.
				tale := time.Date(2026, 3, 6, (5*k+7*seed)%24, 30, 0, 0, time.UTC)
				s := simulate(t, fault, uint64(seed+1), 2*24*time.Hour, tale)
				s.check(t, s.play(t))
			})
		}
	}
}

func (s *simulated) check(t *testing.T, got []told) {
	t.Helper()
	if s.story.Fault == demo.NoFault {
		if len(got) > 0 {
			t.Errorf("want nobody told, got %+v", got)
		}
		return
	}
	var story []told
	for _, w := range got {
		if w.After >= 0 {
			story = append(story, w)
			continue
		}
		t.Errorf("sent in the quiet past: %+v", w)
	}
	if len(story) != 1 {
		t.Fatalf("want one incident, got %d: %+v", len(story), story)
	}
	w := story[0]
	change := ""
	if c := s.story.Change; c != nil {
		change = fmt.Sprintf("%s %s→%s", c.Service, c.From, c.To)
	}
	if w.Service != s.story.Cause || w.Change != change || w.Severity != "page" {
		t.Errorf("got %s of %s, change %q; want a page of %s, change %q\n%s", w.Severity, w.Service, w.Change, s.story.Cause, change, w.Text)
	}
	if late := w.After - s.story.Start; late < 0 || late > time.Minute {
		t.Errorf("sent %s after the fault, want within a minute", late)
	}
	if w.Resolved < s.story.Repair {
		t.Errorf("resolved at %s, want after the repair at %s", w.Resolved, s.story.Repair)
	}
	if len(w.Effects) < 2 {
		t.Errorf("effects %v, want at least two services", w.Effects)
	}
}
