package incident

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

var rewrite = flag.Bool("rewrite", false, "write what the scenarios give into their files; read the diff and only keep changes whose cause you understand")

// TestScenarios runs the files in testdata. A file tells a story in lines such as
//
//	options settle=45s hold=5m interval=15s mode=page
//	graph   frontend! -> checkout -> payments, inventory
//	node    payments critical
//	edge    payments -> database 10:05:00-11:00:00 rate=40
//	change  10:00:20 deploy payments 1.4.2 -> 1.5.0
//	anomaly payments latency 10:01:00-10:20:00 0.03 -> 0.9 score=4
//	normal  payments latency 0.03 rule=Latency series=payments-2 lives=10:00:00-11:00:00
//	alert   FrontendErrors frontend 10:02:00-10:18:00 severity=page for=1m
//	act     10:10:00 close
//	silent  payments 10:05:00-10:07:00
//	maintenance database,cache 10:00:00-11:00:00 title=upgrade
//	blind   Latency 10:05:00-10:07:00 many-to-many matching not allowed
//	restart 10:06:00
//	run     10:00:00-10:40:00
//
// and, below a line of four dashes, what follows from it: what is sent, what
// ends and why, and what is still open at the end of the run.
//
// A service marked with ! has people as users; a node may be critical or
// internal. An edge with a span exists only within it. "anomaly … unsure" marks
// readings of short history, or of what doubts= names, "weak" readings that stay below their budget. A
// rule has one series for a service (or for the calls from a to b, written a->b), unless series= tells several apart; a
// series has no readings outside of lives=, and with limit= one that trends says
// when it reaches its limit. An act is meant for the oldest
// incident, or for the one that involves the service named after it.
// Maintenance is declared, or "posted" for one service. Hours beyond 23 are
// those of the next days.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			story, want, ok := strings.Cut(string(data), "\n----\n")
			if !ok {
				t.Fatalf("%s: no line of four dashes", f)
			}
			got := parseScenario(t, f, story).play(t)
			if *rewrite {
				if err := os.WriteFile(f, []byte(story+"\n----\n"+got), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", f, diff)
			}
		})
	}
}

// graphAt is the graph with the edges that exist at the time.
func (s *scenario) graphAt(now time.Time) *topology.Graph {
	var nodes []topology.Node
	for _, n := range s.nodes {
		nodes = append(nodes, *n)
	}
	edges := slices.Clone(s.edges)
	there := ""
	for i, e := range s.passing {
		if e.holds(now) {
			edges = append(edges, e.Edge)
			there += fmt.Sprint(i, " ")
		}
	}
	if s.graphs[there] == nil {
		if s.graphs == nil {
			s.graphs = map[string]*topology.Graph{}
		}
		s.graphs[there] = topology.NewGraph(nodes, edges)
	}
	return s.graphs[there]
}

// restart exchanges the correlator for a fresh one that carries on what is open.
func (s *scenario) restart(t *testing.T, now time.Time, old *Correlator) *Correlator {
	c, err := New(s.o)
	if err != nil {
		t.Fatal(err)
	}
	var open []*Incident
	for _, th := range old.open {
		open = append(open, th.snapshot())
	}
	c.Restore(now, open)
	return c
}

// meant is the incident that an act is about; "" where there is none.
func (a scenarioAct) meant(open []*thread) string {
	for _, t := range open {
		if a.service == "" || t.services[a.service] {
			return t.ID
		}
	}
	return ""
}

// play steps through the story and writes down what is sent and what ends.
func (s *scenario) play(t *testing.T) string {
	s.o.Command = func(c change.Change) string {
		if c.Kind != change.DefaultKind || c.From == "" {
			return ""
		}
		return "deploy " + string(c.Service) + " " + c.From
	}
	c, err := New(s.o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	sent := map[string]int{}
	ended := map[string]bool{}
	subjects := map[string]string{} // by id, to tell stories and not hashes
	for now := s.run.from; !now.After(s.run.to); now = now.Add(s.o.Interval) {
		if slices.Contains(s.restarts, now) {
			c = s.restart(t, now, c)
		}
		in := s.input(now)
		in.Graph = s.graphAt(now)
		for _, a := range s.acts {
			if id := a.meant(c.open); a.Time.Equal(now) && id != "" {
				in.Acts = append(in.Acts, Act{Incident: id, Kind: a.Kind, Time: now})
			}
		}
		out := c.Step(now, in).Incidents
		for _, i := range out {
			if i.ID != "" {
				subjects[i.ID] = i.subjectOf()
			}
		}
		for _, i := range out {
			// An incident that begins again where another one ended may have its name.
			id := i.ID + i.Opened.String()
			for ; sent[id] < len(i.Sent); sent[id]++ {
				describeSent(&b, i, i.Sent[sent[id]])
			}
			if i.State == Resolved && !ended[id] {
				ended[id] = true
				why := i.Why
				if id, ok := strings.CutPrefix(why, "merged into "); ok {
					why = "merged into the incident of " + subjects[id]
				}
				fmt.Fprintf(&b, "%s resolved %s: %s\n", clockOf(now), i.subjectOf(), why)
			}
		}
	}
	for _, o := range c.open {
		if o.State == Open {
			fmt.Fprintf(&b, "%s %s still open: %s\n", clockOf(s.run.to), o.Severity, o.Headline())
		}
	}
	if b.Len() == 0 {
		return "nothing is sent\n"
	}
	return b.String()
}

// clockOf writes a time of the story, with its day if that is not the first.
func clockOf(t time.Time) string {
	if n := int(t.Sub(day) / (24 * time.Hour)); n > 0 {
		return fmt.Sprintf("%s (day %d)", t.Format("15:04:05"), n+1)
	}
	return t.Format("15:04:05")
}

// subjectOf is the service that the incident's newest alert is labelled with.
func (i *Incident) subjectOf() string {
	if n := len(i.Sent); n > 0 {
		return i.Sent[n-1].Labels["service"]
	}
	t := thread{Incident: *i}
	return string(t.subject())
}

func describeSent(b *strings.Builder, i *Incident, s Sent) {
	fmt.Fprintf(b, "%s %s service=%s: %s\n", clockOf(s.Time), s.Severity, s.Labels["service"], i.Headline())
	an := i.Annotations()
	for _, k := range []string{"cause", "confidence", "effects", "changes", "rollback", "harm", "not_paged", "blind"} {
		for n, line := range strings.Split(an[k], "\n") {
			if line == "" {
				continue
			}
			label := k
			if n > 0 {
				label = ""
			}
			fmt.Fprintf(b, "  %-10s %s\n", label, line)
		}
	}
}

// input is what a step at now sees: a reading of every series, unless its service is silent.
func (s *scenario) input(now time.Time) Input {
	var in Input
	type key struct {
		caller, service topology.Service
		rule, series    string
	}
	readings := map[key]Reading{}
	for _, a := range s.anomalies {
		if slices.ContainsFunc(s.silent, func(q span) bool { return q.service == a.service && q.holds(now) }) {
			continue
		}
		if !a.livesAt(now) {
			continue
		}
		k := key{a.caller, a.service, a.rule, a.series}
		r := Reading{
			Time: now, Rule: a.rule, Series: fmt.Sprintf(`{service="%s"}`, a.service), Service: a.service, Caller: a.caller, Signal: a.signal,
			Value: a.expected, Expected: a.expected, Unsure: a.unsure, Doubts: a.doubts, Unit: a.unit,
		}
		if a.caller != "" {
			r.Series = fmt.Sprintf(`{client="%s", server="%s"}`, a.caller, a.service)
		}
		if a.series != "" {
			r.Series = fmt.Sprintf(`{pod="%s", service="%s"}`, a.series, a.service)
		}
		switch {
		case a.unit != "":
		case a.signal == Latency:
			r.Unit = "seconds"
		case a.signal == Errors, a.signal == Saturation:
			r.Unit = "ratio"
		}
		switch old, ok := readings[k]; {
		case a.holds(now) && a.weak:
			r.Value, r.Score, r.Up = a.value, a.score, a.value > a.expected
		case a.holds(now):
			r.Limit = Forecast{Earliest: a.limit.from, Latest: a.limit.to}
			r.Value, r.Score, r.Up, r.Anomalous, r.Onset = a.value, a.score, a.value > a.expected, true, a.from
		case ok && old.Score != 0:
			continue
		}
		readings[k] = r
	}
	for _, r := range readings {
		in.Readings = append(in.Readings, r)
	}
	for _, q := range s.blind {
		if q.holds(now) {
			in.Blind = append(in.Blind, Blind{Rule: q.rule, Since: q.from, Reason: "failed", Error: q.reason})
		}
	}
	for _, a := range s.alerts {
		if a.holds(now) {
			in.Alerts = append(in.Alerts, a.Alert)
		}
	}
	for _, m := range s.announced {
		if !now.Before(m.From) && now.Before(m.To) {
			in.Maintenance = append(in.Maintenance, m)
		}
	}
	for _, ch := range s.changes {
		if !ch.Time.After(now) {
			in.Changes = append(in.Changes, ch)
		}
	}
	return in
}
