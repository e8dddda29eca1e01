package incident

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
//	change  10:00:20 deploy payments 1.4.2 -> 1.5.0
//	anomaly payments latency 10:01:00-10:20:00 0.03 -> 0.9 score=4
//	alert   FrontendErrors frontend 10:02:00-10:18:00 severity=page
//	act     10:10:00 close
//	silent  payments 10:05:00-10:07:00
//	run     10:00:00-10:40:00
//
// and, below a line of four dashes, what follows from it. A service marked
// with ! has people as users. "anomaly … unsure" marks readings of short history.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
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

type scenario struct {
	o         Options
	nodes     map[topology.Service]*topology.Node
	edges     []topology.Edge
	changes   []change.Change
	anomalies []scenarioAnomaly
	alerts    []scenarioAlert
	acts      []Act
	silent    []span
	run       span
}

type span struct {
	service  topology.Service
	from, to time.Time
}

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

type scenarioAnomaly struct {
	span
	signal          Signal
	rule            string
	value, expected float64
	score           float64
	unsure          bool
}

type scenarioAlert struct {
	span
	Alert
}

var day = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func parseScenario(t *testing.T, file, text string) *scenario {
	s := &scenario{
		o:     Options{Mode: ModePage, Interval: 15 * time.Second, Settle: 45 * time.Second, Hold: 5 * time.Minute},
		nodes: map[topology.Service]*topology.Node{},
	}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		bad := func(format string, args ...any) {
			t.Fatalf("%s:%d: %s", file, n+1, fmt.Sprintf(format, args...))
		}
		clock := func(w string) time.Time {
			d, err := time.Parse("15:04:05", w)
			if err != nil {
				bad("%q is no time: %v", w, err)
			}
			return day.Add(time.Duration(d.Hour())*time.Hour + time.Duration(d.Minute())*time.Minute + time.Duration(d.Second())*time.Second)
		}
		between := func(w string) span {
			a, b, ok := strings.Cut(w, "-")
			if !ok {
				bad("%q: want from-to", w)
			}
			return span{from: clock(a), to: clock(b)}
		}
		number := func(w string) float64 {
			v, err := strconv.ParseFloat(w, 64)
			if err != nil {
				bad("%q is no number", w)
			}
			return v
		}
		settings := map[string]string{}
		var plain []string
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(w, "="); ok {
				settings[k] = v
			} else {
				plain = append(plain, w)
			}
		}
		switch words[0] {
		case "options":
			for k, v := range settings {
				d, _ := time.ParseDuration(v)
				switch k {
				case "settle":
					s.o.Settle = d
				case "hold":
					s.o.Hold = d
				case "interval":
					s.o.Interval = d
				case "wait":
					s.o.Wait = d
				case "mode":
					s.o.Mode = Mode(v)
				default:
					bad("unknown option %s", k)
				}
			}
		case "graph":
			s.graph(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "graph")))
		case "change":
			c := change.Change{ID: fmt.Sprintf("c%d", len(s.changes)+1), Time: clock(plain[0]), Kind: plain[1], Service: topology.Service(plain[2])}
			if len(plain) == 6 {
				c.From, c.To = plain[3], plain[5]
			}
			s.changes = append(s.changes, c)
		case "anomaly":
			a := scenarioAnomaly{signal: Signal(plain[1]), span: between(plain[2]), expected: number(plain[3]), value: number(plain[5]), score: 3}
			a.service = topology.Service(plain[0])
			a.rule = strings.ToUpper(plain[1][:1]) + plain[1][1:]
			a.unsure = slices.Contains(plain, "unsure")
			if v, ok := settings["score"]; ok {
				a.score = number(v)
			}
			if v, ok := settings["rule"]; ok {
				a.rule = v
			}
			s.anomalies = append(s.anomalies, a)
		case "alert":
			a := scenarioAlert{span: between(plain[2]), Alert: Alert{Name: plain[0], Service: topology.Service(plain[1]), Severity: settings["severity"], Labels: map[string]string{"alertname": plain[0]}}}
			a.Since = a.from
			s.alerts = append(s.alerts, a)
		case "act":
			s.acts = append(s.acts, Act{Time: clock(plain[0]), Kind: plain[1]})
		case "silent":
			q := between(plain[1])
			q.service = topology.Service(plain[0])
			s.silent = append(s.silent, q)
		case "run":
			s.run = between(plain[0])
		default:
			bad("unknown word %q", words[0])
		}
	}
	return s
}

func (s *scenario) graph(text string) {
	var last []topology.Service
	for _, part := range strings.Split(text, "->") {
		var here []topology.Service
		for _, w := range strings.Split(part, ",") {
			w = strings.TrimSpace(w)
			svc := topology.Service(strings.TrimSuffix(w, "!"))
			if s.nodes[svc] == nil {
				s.nodes[svc] = &topology.Node{Service: svc}
			}
			if strings.HasSuffix(w, "!") {
				s.nodes[svc].Entry = true
			}
			here = append(here, svc)
		}
		for _, a := range last {
			for _, b := range here {
				s.edges = append(s.edges, topology.Edge{Caller: a, Callee: b, Rate: 10})
			}
		}
		last = here
	}
}

// play steps through the story and writes down what is sent and what ends.
func (s *scenario) play(t *testing.T) string {
	c, err := New(s.o)
	if err != nil {
		t.Fatal(err)
	}
	var nodes []topology.Node
	for _, n := range s.nodes {
		nodes = append(nodes, *n)
	}
	g := topology.NewGraph(nodes, s.edges)
	var b strings.Builder
	sent := map[string]int{}
	ended := map[string]bool{}
	for now := s.run.from; !now.After(s.run.to); now = now.Add(s.o.Interval) {
		in := s.input(now)
		in.Graph = g
		for _, a := range s.acts {
			if a.Time.Equal(now) && len(c.open) > 0 {
				in.Acts = append(in.Acts, Act{Incident: c.open[0].ID, Kind: a.Kind, Time: now})
			}
		}
		for _, i := range c.Step(now, in).Incidents {
			for ; sent[i.ID] < len(i.Sent); sent[i.ID]++ {
				describeSent(&b, i, i.Sent[sent[i.ID]])
			}
			if i.State == Resolved && !ended[i.ID] {
				ended[i.ID] = true
				fmt.Fprintf(&b, "%s resolved %s: %s\n", now.Format("15:04:05"), i.subjectOf(), i.Why)
			}
		}
	}
	if b.Len() == 0 {
		return "nothing is sent\n"
	}
	return b.String()
}

func (i *Incident) subjectOf() string {
	t := thread{Incident: *i}
	return string(t.subject())
}

func describeSent(b *strings.Builder, i *Incident, s Sent) {
	fmt.Fprintf(b, "%s %s service=%s: %s\n", s.Time.Format("15:04:05"), s.Severity, s.Labels["service"], i.Headline())
	an := i.Annotations()
	for _, k := range []string{"cause", "confidence", "effects", "changes", "harm", "not_paged"} {
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
		service topology.Service
		rule    string
	}
	readings := map[key]Reading{}
	for _, a := range s.anomalies {
		if slices.ContainsFunc(s.silent, func(q span) bool { return q.service == a.service && q.holds(now) }) {
			continue
		}
		k := key{a.service, a.rule}
		r := Reading{
			Time: now, Rule: a.rule, Series: fmt.Sprintf(`{service="%s"}`, a.service), Service: a.service, Signal: a.signal,
			Value: a.expected, Expected: a.expected, Unsure: a.unsure,
		}
		switch a.signal {
		case Latency:
			r.Unit = "seconds"
		case Errors, Saturation:
			r.Unit = "ratio"
		}
		if a.holds(now) {
			r.Value, r.Score, r.Up, r.Anomalous, r.Onset = a.value, a.score, a.value > a.expected, true, a.from
		} else if old, ok := readings[k]; ok && old.Anomalous {
			continue
		}
		readings[k] = r
	}
	for _, r := range readings {
		in.Readings = append(in.Readings, r)
	}
	for _, a := range s.alerts {
		if a.holds(now) {
			in.Alerts = append(in.Alerts, a.Alert)
		}
	}
	for _, ch := range s.changes {
		if !ch.Time.After(now) {
			in.Changes = append(in.Changes, ch)
		}
	}
	return in
}
