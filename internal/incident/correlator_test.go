package incident

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foreshock/foreshock/internal/topology"
)

func testOptions() Options {
	return Options{Mode: ModePage, Interval: 15 * time.Second, Settle: 45 * time.Second, Hold: 5 * time.Minute}
}

func mustNew(t *testing.T, o Options) *Correlator {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cascade is a small story: b fails and its caller a suffers.
func cascade() *scenario {
	s := &scenario{o: testOptions(), nodes: map[topology.Service]*topology.Node{}}
	s.graph("a! -> b -> c")
	at := func(sec int) time.Time { return day.Add(10*time.Hour + time.Duration(sec)*time.Second) }
	for _, x := range []struct {
		service topology.Service
		signal  Signal
		from    int
	}{{"b", Latency, 60}, {"b", Errors, 75}, {"a", Errors, 75}, {"a", Latency, 90}} {
		s.anomalies = append(s.anomalies, scenarioAnomaly{
			span: span{x.service, at(x.from), at(600)}, signal: x.signal, rule: string(x.signal), value: 1, expected: .1, score: 3,
		})
	}
	s.run = span{from: at(0), to: at(1500)}
	return s
}

func (s *scenario) testGraph() *topology.Graph {
	var nodes []topology.Node
	for _, n := range s.nodes {
		nodes = append(nodes, *n)
	}
	return topology.NewGraph(nodes, s.edges)
}

// The order in which readings, alerts and changes arrive does not matter.
func TestOrderOfInputDoesNotMatter(t *testing.T) {
	s := cascade()
	run := func(seed uint64) string {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := mustNew(t, s.o)
		var out []any
		for now := s.run.from; !now.After(s.run.to); now = now.Add(s.o.Interval) {
			in := s.input(now)
			in.Graph = s.testGraph()
			if seed > 0 {
				rng.Shuffle(len(in.Readings), func(i, j int) { in.Readings[i], in.Readings[j] = in.Readings[j], in.Readings[i] })
			}
			out = append(out, c.Step(now, in))
		}
		b, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := run(0)
	for seed := range uint64(20) {
		if got := run(seed + 1); got != want {
			t.Fatalf("seed %d: another order of input gave another output", seed+1)
		}
	}
}

// A restart in the middle neither repeats nor ends what was sent.
func TestRestartCarriesOn(t *testing.T) {
	s := cascade()
	first := mustNew(t, s.o)
	var open *Incident
	now := s.run.from
	for ; open == nil; now = now.Add(s.o.Interval) {
		in := s.input(now)
		in.Graph = s.testGraph()
		for _, i := range first.Step(now, in).Incidents {
			if i.State == Open {
				open = i
			}
		}
	}
	b, err := json.Marshal(open)
	if err != nil {
		t.Fatal(err)
	}
	var stored Incident
	if err := json.Unmarshal(b, &stored); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Minute)
	second := mustNew(t, s.o)
	second.Restore(now, []*Incident{&stored})
	var ended *Incident
	for ; !now.After(s.run.to); now = now.Add(s.o.Interval) {
		in := s.input(now)
		in.Graph = s.testGraph()
		for _, i := range second.Step(now, in).Incidents {
			if i.ID != open.ID {
				t.Errorf("%s: another incident %s beside %s", now, i.ID, open.ID)
			}
			if diff := cmp.Diff(open.Sent, i.Sent); diff != "" {
				t.Fatalf("what was sent changed (-before +after):\n%s", diff)
			}
			if i.State == Resolved {
				ended = i
			}
		}
	}
	if ended == nil || ended.Why != WhyQuiet {
		t.Errorf("the incident did not end by quiet after the restart: %+v", ended)
	}
}

// Series of the services in a sent incident do not learn; afterwards they do.
func TestHolds(t *testing.T) {
	s := cascade()
	c := mustNew(t, s.o)
	var held, after int
	for now := s.run.from; !now.After(s.run.to); now = now.Add(s.o.Interval) {
		in := s.input(now)
		in.Graph = s.testGraph()
		out := c.Step(now, in)
		open := false
		for _, i := range out.Incidents {
			open = open || i.State == Open
		}
		switch {
		case open && len(out.Holds) == 4:
			held++
			for _, h := range out.Holds {
				if !h.Since.Equal(day.Add(10*time.Hour + time.Minute)) {
					t.Fatalf("hold since %s, want the onset", h.Since)
				}
			}
		case open:
			t.Fatalf("%s: %d holds, want all four series", now, len(out.Holds))
		case len(out.Holds) > 0:
			after++
		}
	}
	if held == 0 || after > 0 {
		t.Errorf("held in %d steps, still held in %d steps after", held, after)
	}
}

func TestForeignIncidentIsAdopted(t *testing.T) {
	s := cascade()
	c := mustNew(t, s.o)
	foreign := Foreign{
		ID: "fs-other", Severity: Page, StartsAt: day, Services: []topology.Service{"b", "a"},
		Labels: map[string]string{"incident": "fs-other", "severity": "page", "service": "b"},
	}
	for now := s.run.from; !now.After(s.run.from.Add(5 * time.Minute)); now = now.Add(s.o.Interval) {
		in := s.input(now)
		in.Graph = s.testGraph()
		if c.Opening(now, in.Alerts) {
			in.Foreign = []Foreign{foreign}
		}
		for _, i := range c.Step(now, in).Incidents {
			if i.State == Open && (i.ID != "fs-other" || len(i.Sent) != 1 || i.Sent[0].Labels["incident"] != "fs-other") {
				t.Fatalf("incident %s with %v, want the other replica's", i.ID, i.Sent)
			}
		}
	}
	if len(c.open) != 1 || c.open[0].State != Open {
		t.Errorf("nothing open at the end")
	}
}

func TestOperatorsActs(t *testing.T) {
	f := func(act, why string) {
		t.Helper()
		s := cascade()
		c := mustNew(t, s.o)
		got := ""
		for now := s.run.from; !now.After(s.run.from.Add(5 * time.Minute)); now = now.Add(s.o.Interval) {
			in := s.input(now)
			in.Graph = s.testGraph()
			if len(c.open) > 0 && c.open[0].State == Open {
				in.Acts = []Act{{Incident: c.open[0].ID, Kind: act, Time: now}}
			}
			for _, i := range c.Step(now, in).Incidents {
				if i.State == Resolved && got == "" {
					got = i.Why
				}
			}
		}
		if got != why {
			t.Errorf("%s: resolved as %q, want %q", act, got, why)
		}
	}
	f("accept", WhyNewLevel)
	f("false", WhyFalse)
	f("close", WhyClosed)
}

func TestBounds(t *testing.T) {
	o := testOptions()
	o.MaxOpen = 3
	c := mustNew(t, o)
	var in Input
	for i := range 10 {
		in.Readings = append(in.Readings, Reading{
			Time: day, Rule: "r", Series: fmt.Sprint(i), Service: topology.Service(fmt.Sprint("s", i)), Signal: Errors,
			Value: 1, Score: 1, Up: true, Anomalous: true, Onset: day,
		})
	}
	c.Step(day, in)
	if len(c.open) != 3 || c.Refused() != 7 {
		t.Errorf("%d incidents, %d refused; want 3 and 7", len(c.open), c.Refused())
	}
	var trail []Point
	for i := range 10000 {
		trail = appendPoint(trail, Point{Value: float64(i)})
	}
	if len(trail) > maxTrail || trail[0].Value != 0 || trail[len(trail)-1].Value != 9999 {
		t.Errorf("trail of %d points from %v to %v", len(trail), trail[0].Value, trail[len(trail)-1].Value)
	}
}

func TestOptionsErrors(t *testing.T) {
	f := func(change func(*Options), want string) {
		t.Helper()
		o := testOptions()
		change(&o)
		if _, err := New(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(func(o *Options) { o.Mode = "loud" }, `incidents: mode "loud": want shadow, ticket or page`)
	f(func(o *Options) { o.Settle = 0 }, "incidents: settle is 0s: it must be more than zero")
}

// Unknown numbers survive the journal.
func TestJSONKeepsUnknownNumbers(t *testing.T) {
	i := Incident{ID: "x", Anomalies: []Anomaly{{Value: 1, Expected: math.NaN(), Score: math.Inf(1), Trail: []Point{{Value: math.NaN()}}}},
		Effects: []Effect{{Offset: 90 * time.Second}}}
	b, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	var got Incident
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	a := got.Anomalies[0]
	if a.Value != 1 || !math.IsNaN(a.Expected) || !math.IsNaN(a.Score) || !math.IsNaN(a.Trail[0].Value) || got.Effects[0].Offset != 90*time.Second {
		t.Errorf("got %+v from %s", got, b)
	}
}
