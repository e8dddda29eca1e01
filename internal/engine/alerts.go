package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

// alerts returns the team's own alerts that fire: of own rules, of the source
// and of the Alertmanagers; and what could not be read of them.
func (e *Engine) alerts(ctx context.Context, now time.Time, g *topology.Graph) ([]incident.Alert, []incident.Blind) {
	var out []incident.Alert
	add := func(ls labels.Labels, since time.Time, summary string) {
		s := e.config.Identity.OfLabels(ls)
		if s == "" || e.noEvidence(ls) {
			return
		}
		out = append(out, incident.Alert{
			Name: ls.Get(labels.AlertName), Service: s, Severity: ls.Get("severity"),
			Since: since, Labels: ls.Map(), Summary: summary,
		})
	}
	for _, a := range e.rules.Load().ActiveAlerts() {
		if a.State == promrules.StateFiring {
			add(a.Labels, a.ActiveAt, a.Annotations.Get("summary"))
		}
	}
	if e.config.ReadAlerts {
		e.readAlerts(ctx, now, add)
	}
	paged, unread := e.paged(now, g)
	out = joined(out, paged)
	slices.SortFunc(out, func(a, b incident.Alert) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name), cmp.Compare(fmt.Sprint(a.Labels), fmt.Sprint(b.Labels)))
	})
	return out, unread
}

// firingAlerts are the alerts that a Prometheus has firing.
const firingAlerts = `ALERTS{alertstate="firing"}`

// readAlerts takes the alerts that Prometheus itself has firing from its
// ALERTS series. Their start is when they were first seen here.
func (e *Engine) readAlerts(ctx context.Context, now time.Time, add func(labels.Labels, time.Time, string)) {
	const expr = firingAlerts
	v, err := e.store.Query(ctx, expr, now)
	if err != nil {
		if !e.warned[expr] && !errors.Is(ctx.Err(), context.Canceled) {
			e.warned[expr] = true
			e.log.Warn("the team's own alerts cannot be read; those that fired last are taken to fire on", "query", expr, "err", err)
		}
		// Not to know is not to be well: an incident must not end because the source is down.
		for _, ls := range e.lastFiring {
			add(ls, e.firing[ls.String()], "")
		}
		return
	}
	delete(e.warned, expr)
	seen := map[string]bool{}
	e.lastFiring = e.lastFiring[:0]
	for _, s := range v {
		ls := labels.NewBuilder(s.Metric).Del(model.MetricNameLabel, "alertstate").Labels()
		k := ls.String()
		seen[k] = true
		if _, ok := e.firing[k]; !ok {
			e.firing[k] = now
		}
		e.lastFiring = append(e.lastFiring, ls)
		add(ls, e.firing[k], "")
	}
	maps.DeleteFunc(e.firing, func(k string, _ time.Time) bool { return !seen[k] })
}

// noEvidence reports whether an alert is our own, or one that the configuration ignores.
func (e *Engine) noEvidence(ls labels.Labels) bool {
	return ls.Get("generator") == incident.Generator || e.ignored(ls)
}

func (e *Engine) ignored(ls labels.Labels) bool {
	for _, ms := range e.config.IgnoreAlerts {
		all := true
		for _, m := range ms {
			all = all && m.Matches(ls.Get(m.Name))
		}
		if all {
			return true
		}
	}
	return false
}

// unreadAfter is how old the last answer of the Alertmanagers may be before
// incidents say that it is old.
const unreadAfter = time.Minute

// namelessFor is how long alerts of the Alertmanagers wait for a first service.
const namelessFor = time.Minute

// paged returns the alerts that the Alertmanagers have active, of their last
// answer: a step never waits for them. While they do not answer that one goes on,
// since missing data resolve nothing, and is said to be old.
func (e *Engine) paged(now time.Time, g *topology.Graph) (out []incident.Alert, unread []incident.Blind) {
	if !e.live || e.o.Paged == nil || !e.config.ReadAlertmanager {
		return nil, nil
	}
	answer := e.o.Paged()
	if answer.Err != nil && now.Sub(answer.Read) > unreadAfter {
		text := "alerts were never read: " + answer.Err.Error()
		if !answer.Read.IsZero() {
			text = fmt.Sprintf("alerts were last read at %s: %v", answer.Read.UTC().Format("15:04:05"), answer.Err)
		}
		unread = append(unread, incident.Blind{Rule: "Alertmanager", Since: answer.Read, Reason: "failed", Error: text})
	}
	if len(answer.Alerts) == 0 {
		return nil, unread
	}
	service := e.serviceOfPaged(now, g)
	if service == nil {
		return nil, unread
	}
	for _, a := range answer.Alerts {
		s := service(a.Labels)
		if s == "" || e.noEvidence(a.Labels) {
			continue
		}
		since := a.StartsAt
		if since.IsZero() || since.After(now) {
			since = now
		}
		out = append(out, incident.Alert{
			Name: a.Labels.Get(labels.AlertName), Service: s, Severity: a.Labels.Get("severity"),
			Since: since, Labels: a.Labels.Map(), Summary: a.Annotations.Get("summary"), Muted: muted(a),
		})
	}
	return out, unread
}

func muted(a alertmanager.Alert) incident.Muting {
	switch {
	case a.Silenced:
		return incident.Silenced
	case a.Inhibited:
		return incident.Inhibited
	}
	return incident.NotMuted
}

// serviceOfPaged names the service of an alert that was read from an
// Alertmanager. On its way there it was given the sender's external labels, such
// as cluster, which the series here need not have: an identity label that no
// service here has names none. It returns nil while no service is known here, but
// detection rules are about to name some: at a start the alerts are there first.
func (e *Engine) serviceOfPaged(now time.Time, g *topology.Graph) func(labels.Labels) topology.Service {
	id := e.config.Identity
	used := map[string]bool{}
	for _, s := range append(e.correlator.Services(), g.Services()...) {
		for name := range id.Labels(s) {
			used[name] = true
		}
	}
	if len(used) == 0 && e.judges() {
		if e.nameless.IsZero() {
			e.nameless = now
		}
		if now.Sub(e.nameless) < namelessFor {
			return nil
		}
	}
	return func(ls labels.Labels) topology.Service {
		return id.Of(func(name string) string {
			if len(used) > 0 && !used[name] {
				return ""
			}
			return ls.Get(name)
		})
	}
}

// judges reports whether there are detection rules.
func (e *Engine) judges() bool {
	for _, f := range e.config.Rules {
		for _, g := range f.Groups {
			if slices.ContainsFunc(g.Rules, func(r rules.RuleSpec) bool { return r.Detection != nil }) {
				return true
			}
		}
	}
	return false
}

// joined puts the alerts that the Alertmanagers have to those that are known
// already. One of the same name and service which differs in no label that both
// have is the same alert: it counts once, since the earlier beginning, and is
// muted when all that the Alertmanagers have of it is.
func joined(known, paged []incident.Alert) []incident.Alert {
	type place struct {
		name    string
		service topology.Service
	}
	at := map[place][]int{}
	for i, a := range known {
		p := place{a.Name, a.Service}
		at[p] = append(at[p], i)
	}
	met := map[int]bool{} // of known: an Alertmanager has it
	out := known
	for _, a := range paged {
		same := false
		for _, i := range at[place{a.Name, a.Service}] {
			k := &out[i]
			if !agree(k.Labels, a.Labels) {
				continue
			}
			same = true
			if a.Since.Before(k.Since) {
				k.Since = a.Since
			}
			if !met[i] || a.Muted == incident.NotMuted {
				k.Muted = a.Muted
			}
			met[i] = true
		}
		if !same {
			out = append(out, a)
		}
	}
	return out
}

// agree reports whether two label sets differ in no label that both have.
func agree(a, b map[string]string) bool {
	for name, v := range a {
		if w, ok := b[name]; ok && v != w {
			return false
		}
	}
	return true
}
