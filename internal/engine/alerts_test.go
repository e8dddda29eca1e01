package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

var pagedAt = time.Date(2026, 6, 18, 22, 0, 0, 0, time.UTC)

func pagedEngine(t *testing.T, answer *alertmanager.Answer) *Engine {
	t.Helper()
	e, err := New(Options{
		Config: Config{
			Mode: incident.ModePage, Interval: 15 * time.Second, Settle: time.Minute, Hold: time.Minute, ReadAlertmanager: true,
			IgnoreAlerts: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "alertname", "Watchdog")}},
		},
		Paged: func() alertmanager.Answer { return *answer },
	})
	if err != nil {
		t.Fatal(err)
	}
	e.live = true
	return e
}

func active(pairs ...string) alertmanager.Alert {
	return alertmanager.Alert{Labels: labels.FromStrings(pairs...), StartsAt: pagedAt.Add(-time.Minute)}
}

// What is read from the Alertmanagers names services as the series here do, and
// what is ours or ignored is no evidence.
func TestPaged(t *testing.T) {
	shop := topology.NewGraph([]topology.Node{{Service: "shop/cart"}}, nil)
	f := func(g *topology.Graph, a alertmanager.Alert, want string) {
		t.Helper()
		e := pagedEngine(t, &alertmanager.Answer{Alerts: []alertmanager.Alert{a}, Read: pagedAt})
		got := ""
		out, unread := e.paged(pagedAt, g)
		for _, a := range out {
			got += fmt.Sprintf("%s on %s%s %s since %s", a.Name, a.Service, a.Muted, a.Severity, pagedAt.Sub(a.Since))
		}
		if got != want || unread != nil {
			t.Errorf("%v: got %q, unread %v; want %q", a.Labels, got, unread, want)
		}
	}
	plain := active("alertname", "Slow", "namespace", "shop", "service", "cart", "severity", "page")
	f(shop, plain, "Slow on shop/cart page since 1m0s")
	// The series here have no cluster, so it is an external label of the sender.
	f(shop, active("alertname", "Slow", "cluster", "eu", "namespace", "shop", "service", "cart"), "Slow on shop/cart  since 1m0s")
	f(topology.NewGraph([]topology.Node{{Service: "eu/shop/cart"}}, nil), active("alertname", "Slow", "cluster", "eu", "namespace", "shop", "service", "cart"), "Slow on eu/shop/cart  since 1m0s")
	f(nil, active("alertname", "Slow", "cluster", "eu", "namespace", "shop", "service", "cart"), "Slow on eu/shop/cart  since 1m0s")
	f(shop, active("alertname", "NodeFull", "instance", "a:9100"), "")
	f(shop, active("alertname", "Watchdog", "namespace", "shop", "service", "cart"), "")
	f(shop, active("alertname", "ForeshockIncident", "namespace", "shop", "service", "cart", "generator", "foreshock"), "")
	late := plain
	late.StartsAt = pagedAt.Add(time.Hour)
	f(shop, late, "Slow on shop/cart page since 0s")
	silenced := plain
	silenced.Silenced, silenced.Inhibited = true, true
	f(shop, silenced, "Slow on shop/cartsilenced page since 1m0s")
	inhibited := plain
	inhibited.Inhibited = true
	f(shop, inhibited, "Slow on shop/cartinhibited page since 1m0s")
}

// An Alertmanager that does not answer: its last answer goes on, and is said to be old.
func TestPagedIsOld(t *testing.T) {
	answer := &alertmanager.Answer{Alerts: []alertmanager.Alert{active("alertname", "Slow", "service", "cart")}, Read: pagedAt}
	e := pagedEngine(t, answer)
	f := func(after time.Duration, want string) {
		t.Helper()
		out, unread := e.paged(pagedAt.Add(after), nil)
		got := fmt.Sprint(len(out))
		for _, b := range unread {
			got += " " + b.Error
		}
		if !strings.HasPrefix(got, want) || want == "1" && got != want {
			t.Errorf("%s after the reading: %q, want %q", after, got, want)
		}
	}
	f(time.Hour, "1") // it just takes long
	answer.Err = errors.New("refused")
	f(30*time.Second, "1")
	f(2*time.Minute, "1 alerts were last read at 22:00:00: refused")
	*answer = alertmanager.Answer{Err: errors.New("refused")}
	f(time.Minute, "0 alerts were never read: refused")
	e.config.ReadAlertmanager = false
	f(time.Minute, "0")
	e.config.ReadAlertmanager, e.live = true, false
	f(time.Minute, "0")
}

// An alert that is known from a rule and from an Alertmanager is one.
func TestJoined(t *testing.T) {
	at := func(minute int) time.Time { return pagedAt.Add(time.Duration(minute) * time.Minute) }
	known := func(minute int, pod string) incident.Alert {
		return incident.Alert{Name: "Slow", Service: "cart", Since: at(minute), Labels: map[string]string{"alertname": "Slow", "service": "cart", "pod": pod}}
	}
	told := func(minute int, m incident.Muting, pairs ...string) incident.Alert {
		return incident.Alert{Name: "Slow", Service: "cart", Since: at(minute), Muted: m, Labels: labels.FromStrings(append(pairs, "alertname", "Slow", "service", "cart")...).Map()}
	}
	f := func(known, paged []incident.Alert, want ...string) {
		t.Helper()
		var got []string
		for _, a := range joined(known, paged) {
			got = append(got, fmt.Sprintf("%s %d %s", a.Labels["pod"], int(a.Since.Sub(pagedAt).Minutes()), a.Muted))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("joined: %q, want %q", got, want)
		}
	}
	type list = []incident.Alert
	f(nil, nil)
	f(list{known(5, "a")}, nil, "a 5 ")
	f(nil, list{told(3, incident.NotMuted, "pod", "a")}, "a 3 ")
	// With the sender's external labels, and without one that relabelling drops.
	f(list{known(5, "a")}, list{told(3, incident.NotMuted, "pod", "a", "cluster", "eu")}, "a 3 ")
	f(list{known(5, "a"), known(6, "b")}, list{told(7, incident.Silenced)}, "a 5 silenced", "b 6 silenced")
	// Another pod's is another alert.
	f(list{known(5, "a")}, list{told(3, incident.Silenced, "pod", "b")}, "a 5 ", "b 3 silenced")
	// Two senders of which one is silenced.
	f(list{known(5, "a")}, list{told(6, incident.Silenced, "cluster", "eu"), told(7, incident.NotMuted, "cluster", "us")}, "a 5 ")
	f(list{known(5, "a")}, list{told(6, incident.NotMuted, "cluster", "eu"), told(7, incident.Inhibited, "cluster", "us")}, "a 5 ")
}

// At a start the team's alerts are there before the series that tell which labels
// name services here: they wait for the first service, for a minute.
func TestPagedWaitsForServices(t *testing.T) {
	e := pagedEngine(t, &alertmanager.Answer{Alerts: []alertmanager.Alert{active("alertname", "Slow", "cluster", "eu", "service", "cart")}, Read: pagedAt})
	file, err := rules.ParseFile("rules.yml", []byte("groups: [{name: a, rules: [{detect: Queue, expr: queue_depth, signal: saturation}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	e.config.Rules = []*rules.File{file}
	f := func(after time.Duration, g *topology.Graph, want ...topology.Service) {
		t.Helper()
		var got []topology.Service
		out, _ := e.paged(pagedAt.Add(after), g)
		for _, a := range out {
			got = append(got, a.Service)
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %s: alerts of %q, want %q", after, got, want)
		}
	}
	f(0, nil)
	f(30*time.Second, nil)
	f(45*time.Second, topology.NewGraph([]topology.Node{{Service: "cart"}}, nil), "cart")
	f(time.Minute, nil, "eu//cart")
}
