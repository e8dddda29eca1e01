package incident

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

type scenario struct {
	o         Options
	nodes     map[topology.Service]*topology.Node
	edges     []topology.Edge
	passing   []passingEdge // exist for a while
	changes   []change.Change
	anomalies []scenarioAnomaly
	alerts    []scenarioAlert
	acts      []scenarioAct
	silent    []span
	blind     []scenarioBlind
	restarts  []time.Time
	announced []Maintenance
	graphs    map[string]*topology.Graph // by the passing edges that are there
	run       span
}

type span struct {
	service  topology.Service
	from, to time.Time
}

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

type scenarioAnomaly struct {
	span
	caller          topology.Service // where the calls between two are measured
	signal          Signal
	rule            string
	value, expected float64
	score           float64
	unsure, weak    bool
	doubts          []string
	series, unit    string
	lives           span // zero: always
	limit           span // when its trend reaches its limit; zero: it has none
}

// livesAt reports whether the series has readings at the time.
func (a scenarioAnomaly) livesAt(t time.Time) bool { return a.lives.from.IsZero() || a.lives.holds(t) }

type passingEdge struct {
	span
	topology.Edge
}

type scenarioAct struct {
	Act
	service topology.Service // of the incident that is meant; empty: the oldest
}

type scenarioBlind struct {
	span
	rule, reason string
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
		l := storyLine{settings: map[string]string{}, bad: func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s:%d: %s", file, n+1, fmt.Sprintf(format, args...))
		}}
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(w, "="); ok {
				l.settings[k] = v
			} else {
				l.plain = append(l.plain, w)
			}
		}
		if least := map[string]int{
			"node": 1, "edge": 3, "change": 3, "anomaly": 6, "normal": 3, "alert": 3, "act": 2, "silent": 2, "maintenance": 2, "blind": 2, "restart": 1, "run": 1,
		}[words[0]]; len(l.plain) < least {
			l.bad("%s: too few words", words[0])
		}
		switch words[0] {
		case "options":
			s.options(l)
		case "graph":
			s.graph(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "graph")))
		case "node":
			s.node(l)
		case "edge":
			s.edge(l)
		case "change":
			s.change(l)
		case "anomaly", "normal":
			s.series(l, words[0] == "normal")
		case "alert":
			a := scenarioAlert{span: l.between(l.plain[2]), Alert: Alert{Name: l.plain[0], Severity: l.settings["severity"], Labels: map[string]string{"alertname": l.plain[0]}}}
			a.Service, a.Since = l.service(1), a.from
			for k, v := range l.settings {
				switch k {
				case "severity":
				case "for":
					a.Since = a.from.Add(-l.duration(k))
				default:
					a.Labels[k] = v
				}
			}
			s.alerts = append(s.alerts, a)
		case "act":
			a := scenarioAct{Act: Act{Time: l.clock(0), Kind: l.plain[1]}}
			if len(l.plain) > 2 {
				a.service = l.service(2)
			}
			s.acts = append(s.acts, a)
		case "maintenance":
			s.maintenance(l)
		case "silent":
			q := l.between(l.plain[1])
			q.service = l.service(0)
			s.silent = append(s.silent, q)
		case "blind":
			s.blind = append(s.blind, scenarioBlind{l.between(l.plain[1]), l.plain[0], strings.Join(l.plain[2:], " ")})
		case "restart":
			s.restarts = append(s.restarts, l.clock(0))
		case "run":
			s.run = l.between(l.plain[0])
		default:
			l.bad("unknown word %q", words[0])
		}
	}
	return s
}

// storyLine is a line without its first word.
type storyLine struct {
	plain    []string
	settings map[string]string
	bad      func(format string, args ...any) // ends the test
}

func (l storyLine) service(i int) topology.Service { return topology.Service(l.plain[i]) }

func (l storyLine) clock(i int) time.Time { return l.time(l.plain[i]) }

func (l storyLine) time(word string) time.Time {
	var h, m, sec int
	if n, err := fmt.Sscanf(word, "%d:%d:%d", &h, &m, &sec); n != 3 || err != nil {
		l.bad("%q is no time: want hh:mm:ss", word)
	}
	return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second)
}

func (l storyLine) between(word string) span {
	a, b, ok := strings.Cut(word, "-")
	if !ok {
		l.bad("%q: want from-to", word)
	}
	return span{from: l.time(a), to: l.time(b)}
}

func (l storyLine) number(word string) float64 {
	v, err := strconv.ParseFloat(word, 64)
	if err != nil {
		l.bad("%q is no number", word)
	}
	return v
}

func (s *scenario) change(l storyLine) {
	c := change.Change{
		ID: fmt.Sprintf("c%d", len(s.changes)+1), Time: l.clock(0), Kind: l.plain[1],
		Service: l.service(2), Title: l.settings["title"],
	}
	if len(l.plain) == 6 {
		c.From, c.To = l.plain[3], l.plain[5]
	}
	s.changes = append(s.changes, c)
}

// maintenance is declared for services joined by commas, or posted for one.
func (s *scenario) maintenance(l storyLine) {
	when := l.between(l.plain[1])
	id := fmt.Sprintf("m%d", len(s.announced)+len(s.changes)+1)
	if slices.Contains(l.plain, "posted") {
		s.changes = append(s.changes, change.Change{
			ID: id, Time: when.from, Until: when.to, Kind: change.Maintenance, Service: l.service(0), Title: l.settings["title"],
		})
		return
	}
	services := strings.Split(l.plain[0], ",")
	s.announced = append(s.announced, Maintenance{
		ID: id, Title: l.settings["title"], From: when.from, To: when.to,
		Covers: func(s topology.Service) bool { return slices.Contains(services, string(s)) },
	})
}

func (l storyLine) duration(setting string) time.Duration {
	d, err := time.ParseDuration(l.settings[setting])
	if err != nil {
		l.bad("%s=%s is no duration", setting, l.settings[setting])
	}
	return d
}

func (s *scenario) options(l storyLine) {
	for k := range l.settings {
		if k == "mode" {
			s.o.Mode = Mode(l.settings[k])
			continue
		}
		d := l.duration(k)
		switch k {
		case "settle":
			s.o.Settle = d
		case "rollout":
			s.o.Rollout = d
		case "hold":
			s.o.Hold = d
		case "interval":
			s.o.Interval = d
		case "wait":
			s.o.Wait = d
		default:
			l.bad("unknown option %s", k)
		}
	}
}

func (s *scenario) node(l storyLine) {
	n := s.nodes[l.service(0)]
	if n == nil {
		n = &topology.Node{Service: l.service(0)}
		s.nodes[n.Service] = n
	}
	for _, w := range l.plain[1:] {
		switch w {
		case "entry":
			n.Entry = true
		case "critical":
			n.Critical = true
		case "internal":
			n.Internal = true
		default:
			l.bad("node %s: unknown word %q", n.Service, w)
		}
	}
}

func (s *scenario) edge(l storyLine) {
	if l.plain[1] != "->" {
		l.bad("want: edge caller -> callee, and if need be from-to and rate=")
	}
	e := topology.Edge{Caller: l.service(0), Callee: l.service(2), Rate: 10}
	if v, ok := l.settings["rate"]; ok {
		e.Rate = l.number(v)
	}
	if len(l.plain) > 3 {
		s.passing = append(s.passing, passingEdge{l.between(l.plain[3]), e})
		return
	}
	s.edges = append(s.edges, e)
}

// series reads what one series does: a departure, or that all is well.
func (s *scenario) series(l storyLine, normal bool) {
	a := scenarioAnomaly{signal: Signal(l.plain[1]), score: 3, series: l.settings["series"], unit: l.settings["unit"]}
	if normal {
		a.expected = l.number(l.plain[2])
	} else {
		a.span, a.expected, a.value = l.between(l.plain[2]), l.number(l.plain[3]), l.number(l.plain[5])
	}
	a.service = l.service(0)
	if caller, callee, ok := strings.Cut(l.plain[0], "->"); ok {
		a.caller, a.service = topology.Service(caller), topology.Service(callee)
	}
	a.rule = strings.ToUpper(l.plain[1][:1]) + l.plain[1][1:]
	a.unsure, a.weak = slices.Contains(l.plain, "unsure"), slices.Contains(l.plain, "weak")
	if v, ok := l.settings["doubts"]; ok {
		a.doubts = strings.Split(v, ",")
	}
	if v, ok := l.settings["score"]; ok {
		a.score = l.number(v)
	}
	if v, ok := l.settings["rule"]; ok {
		a.rule = v
	}
	if v, ok := l.settings["limit"]; ok {
		a.limit = l.between(v)
	}
	if v, ok := l.settings["lives"]; ok {
		a.lives = l.between(v)
	}
	s.anomalies = append(s.anomalies, a)
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
