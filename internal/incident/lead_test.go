package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// leadStory is the cascade with alerts of the team's own from some second on;
// it returns the state of the incidents after each step by second.
func leadStory(t *testing.T, alerts map[int]Alert) map[int][]*Incident {
	t.Helper()
	s := cascade()
	c := mustNew(t, s.o)
	out := map[int][]*Incident{}
	for now := s.run.from; !now.After(s.run.to); now = now.Add(s.o.Interval) {
		in := s.input(now)
		in.Graph = s.testGraph()
		second := int(now.Sub(s.run.from).Seconds())
		for from := range 1500 {
			if a, ok := alerts[from]; ok && second >= from {
				a.Since = s.run.from.Add(time.Duration(from) * time.Second)
				a.Labels = map[string]string{"alertname": a.Name, "service": string(a.Service)}
				in.Alerts = append(in.Alerts, a)
			}
		}
		out[second] = c.Step(now, in).Incidents
	}
	return out
}

func TestLead(t *testing.T) {
	f := func(alerts map[int]Alert, want string, notPaged string) {
		t.Helper()
		got := "none"
		i := leadStory(t, alerts)[600][0]
		if lead, ok := i.Lead(); ok {
			got = lead.String()
		}
		if got != want || fmt.Sprint(i.NotPaged) != notPaged {
			t.Errorf("lead %s, not paged %v; want %s, %s", got, i.NotPaged, want, notPaged)
		}
	}
	opened := 0
	for sec := 0; opened == 0; sec += 15 {
		for _, i := range leadStory(t, nil)[sec] {
			if i.State == Open {
				opened = sec
			}
		}
	}
	f(nil, "none", "[]")
	f(map[int]Alert{opened + 90: {Name: "Slow", Service: "a"}}, "1m30s", "[Slow on a]")
	f(map[int]Alert{opened + 90: {Name: "Slow", Service: "a", Severity: "warning"}, opened + 120: {Name: "Down", Service: "a"}}, "1m30s", "[Down on a Slow on a]")
	f(map[int]Alert{opened - 5: {Name: "Slow", Service: "b"}}, "-5s", "[]") // of the cause
	// What nobody was told by itself is no alert to be earlier than.
	f(map[int]Alert{opened + 30: {Name: "Slow", Service: "a", Muted: Inhibited}, opened + 60: {Name: "Down", Service: "a"}}, "1m0s", "[Down on a Slow on a (inhibited)]")
	f(map[int]Alert{opened + 30: {Name: "Slow", Service: "a", Muted: Silenced}}, "none", "[Slow on a (silenced)]")
}

// A muted alert asks for nothing, but silencing one does not end what it opened.
func TestMutedAlerts(t *testing.T) {
	o := testOptions()
	g := topology.NewGraph([]topology.Node{{Service: "a"}}, nil)
	begin := day.Add(10 * time.Hour)
	f := func(what string, muting func(at time.Duration) Muting, want string) {
		t.Helper()
		c := mustNew(t, o)
		got := ""
		for at := time.Duration(0); at <= 30*time.Minute; at += o.Interval {
			a := Alert{Name: "Down", Service: "a", Severity: "critical", Since: begin, Labels: map[string]string{"alertname": "Down"}, Muted: muting(at)}
			out := c.Step(begin.Add(at), Input{Graph: g, Alerts: []Alert{a}})
			got = ""
			for _, i := range out.Incidents {
				got += fmt.Sprintf("%s %s ", i.State, i.Severity)
			}
		}
		if got != want {
			t.Errorf("%s: after half an hour %q, want %q", what, got, want)
		}
	}
	always := func(m Muting) func(time.Duration) Muting { return func(time.Duration) Muting { return m } }
	f("loud", always(NotMuted), "open page ")
	f("silenced", always(Silenced), "forming  ")
	f("inhibited", always(Inhibited), "forming  ")
	f("silenced when it was open", func(at time.Duration) Muting {
		if at > 5*time.Minute {
			return Silenced
		}
		return NotMuted
	}, "open page ")
	f("loud again", func(at time.Duration) Muting {
		if at < 5*time.Minute {
			return Silenced
		}
		return NotMuted
	}, "open page ")
}
