package incident

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stories are the scenario files that a test can live through in short time: all
// but those of many hours, and those that have a restart of their own.
func stories(t *testing.T) map[string]*scenario {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*scenario{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		story, _, _ := strings.Cut(string(data), "\n----\n")
		if s := parseScenario(t, f, story); s.run.to.Sub(s.run.from) <= time.Hour && len(s.restarts) == 0 {
			out[strings.TrimSuffix(filepath.Base(f), ".txt")] = s
		}
	}
	return out
}

// random is a source of its own for each story, so that one more story changes no other.
func random(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// step is one step of a story; acts are those of the operator.
func (s *scenario) step(c *Correlator, now time.Time, change func(*Input)) Output {
	in := s.input(now)
	in.Graph = s.graphAt(now)
	for _, a := range s.acts {
		if id := a.meant(c.open); a.Time.Equal(now) && id != "" {
			in.Acts = append(in.Acts, Act{Incident: id, Kind: a.Kind, Time: now})
		}
	}
	if change != nil {
		change(&in)
	}
	return c.Step(now, in)
}

// record is each alert that a run sent.
type record struct {
	lines []string
	seen  map[string]int
}

func (r *record) note(list []*Incident) {
	if r.seen == nil {
		r.seen = map[string]int{}
	}
	for _, i := range list {
		key := i.ID + i.Opened.String()
		for ; r.seen[key] < len(i.Sent); r.seen[key]++ {
			a := i.Sent[r.seen[key]]
			r.lines = append(r.lines, fmt.Sprintf("%s %s %v %s", clockOf(a.Time), a.Severity, a.Labels, i.Headline()))
		}
	}
}

// The order in which readings, alerts, changes and maintenance arrive does not
// matter to any story, down to the last byte of its output.
func TestOrderDoesNotMatterToAnyStory(t *testing.T) {
	for name, s := range stories(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(change func(*Input)) [][]byte {
				c := mustNew(t, s.o)
				var out [][]byte
				for i, now := 0, s.run.from; !now.After(s.run.to); i, now = i+1, now.Add(s.o.Interval) {
					step := s.step(c, now, change)
					if i%10 != 0 {
						continue // writing it down takes longer than the step
					}
					b, err := json.Marshal(step)
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, b)
				}
				return out
			}
			byName := func(in *Input) {
				slices.SortFunc(in.Readings, func(a, b Reading) int { return strings.Compare(a.Rule+a.Series, b.Rule+b.Series) })
			}
			rng := random(name)
			shuffled := func(in *Input) {
				rng.Shuffle(len(in.Readings), func(i, j int) { in.Readings[i], in.Readings[j] = in.Readings[j], in.Readings[i] })
				rng.Shuffle(len(in.Alerts), func(i, j int) { in.Alerts[i], in.Alerts[j] = in.Alerts[j], in.Alerts[i] })
				rng.Shuffle(len(in.Changes), func(i, j int) { in.Changes[i], in.Changes[j] = in.Changes[j], in.Changes[i] })
				rng.Shuffle(len(in.Maintenance), func(i, j int) {
					in.Maintenance[i], in.Maintenance[j] = in.Maintenance[j], in.Maintenance[i]
				})
			}
			want, got := run(byName), run(shuffled)
			for i := range want {
				if string(got[i]) != string(want[i]) {
					t.Fatalf("step %d: another order of input gave another output:\ngot  %s\nwant %s", i, got[i], want[i])
				}
			}
		})
	}
}

// A restart at any moment does not matter: as at start, the past is replayed,
// and what was open is carried on from its journal. What people are told, and
// when, is as if nothing had happened. Its end may come up to a hold later: the
// time in which nobody watched resolves nothing.
func TestRestartDoesNotMatterToAnyStory(t *testing.T) {
	for name, s := range stories(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := random(name)
			steps := int(s.run.to.Sub(s.run.from)/s.o.Interval) + 1
			run := func(restart int) (sent []string) {
				c := mustNew(t, s.o)
				var r record
				for i := range steps {
					now := s.run.from.Add(time.Duration(i) * s.o.Interval)
					if i == restart {
						c = s.coldStart(t, c, now)
					}
					r.note(s.step(c, now, nil).Incidents)
				}
				return r.lines
			}
			sent := run(-1)
			at := rng.IntN(steps)
			got := run(at)
			if diff := cmp.Diff(sent, got); diff != "" {
				t.Errorf("a restart at %s changes what is sent (-without +with):\n%s", clockOf(s.run.from.Add(time.Duration(at)*s.o.Interval)), diff)
			}
		})
	}
}

// coldStart is a correlator that has lived through the past again, and carries
// on what the journal had open.
func (s *scenario) coldStart(t *testing.T, old *Correlator, now time.Time) *Correlator {
	t.Helper()
	var journal []*Incident
	for _, th := range old.open {
		b, err := json.Marshal(th.snapshot())
		if err != nil {
			t.Fatal(err)
		}
		i := &Incident{}
		if err := json.Unmarshal(b, i); err != nil {
			t.Fatal(err)
		}
		journal = append(journal, i)
	}
	c := mustNew(t, s.o)
	for past := s.run.from; past.Before(now); past = past.Add(s.o.Interval) {
		s.step(c, past, nil)
	}
	c.Restore(now, journal)
	return c
}

// Missing data neither loses nor resolves an incident: where from some moment
// on nothing arrives any more, what is open stays open, and nothing is sent anew.
func TestSilenceResolvesNoStory(t *testing.T) {
	for name, s := range stories(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := int(s.run.to.Sub(s.run.from) / s.o.Interval)
			rng := random(name)
			c := mustNew(t, s.o)
			dark := rng.IntN(steps)
			departing := map[string]bool{} // open incidents with something that departs
			for i := range steps + int(4*s.o.Hold/s.o.Interval) {
				now := s.run.from.Add(time.Duration(i) * s.o.Interval)
				out := s.step(c, now, func(in *Input) {
					if i > dark {
						in.Readings, in.Alerts, in.Acts = nil, nil, nil
					}
				})
				if i == dark {
					for _, th := range c.open {
						if th.State == Open && (th.wants == Page || th.wants == th.Severity) && len(th.alerts) == 0 {
							departing[th.ID] = true
						}
					}
				}
				for _, inc := range out.Incidents {
					if i > dark && inc.State == Resolved && departing[inc.ID] && !strings.HasPrefix(inc.Why, whyMerged) {
						t.Fatalf("dark since %s: %s: incident %s was resolved: %s", clockOf(s.run.from.Add(time.Duration(dark)*s.o.Interval)), clockOf(now), inc.ID, inc.Why)
					}
				}
			}
		})
	}
}
