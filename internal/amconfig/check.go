package amconfig

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Alerts are two of Foreshock's alerts as the Alertmanager sees them, after
// external labels and relabelling: the ticket and the page of one incident, the
// same but for the severity. Nil for one that is never sent.
type Alerts struct {
	Ticket, Page map[string]string
	// Varies are the labels that name a service: what is thought to be the cause
	// may be another one when the ticket becomes a page.
	Varies []string
}

// What to write, shown where a message says so.
const (
	writeRoute   = `write a route with matchers: [generator="foreshock"], group_by: [alertname, incident], group_wait: 0s, and below it one with matchers: [severity="page"] for your pager`
	writeInhibit = `write under inhibit_rules: {source_matchers: [severity="page", generator="foreshock"], target_matchers: [severity="ticket", generator="foreshock"], equal: [incident]}`
)

// mostWait is how long a notification may wait for others before that is said.
const mostWait = 5 * time.Second

// Check says what the configuration would do with Foreshock's alerts other than
// they need, sorted by place, each once. All alerts are tried: services may have routes of
// their own.
func (c *Config) Check(all []Alerts) []*yamlfile.Error {
	found := map[yamlfile.Error]bool{}
	say := func(e *yamlfile.Error) { found[*e] = true }
	for _, a := range all {
		c.checkRoutes(a, say)
		c.checkSeverities(a, say)
		c.checkInhibition(a, say)
	}
	out := make([]*yamlfile.Error, 0, len(found))
	for e := range maps.Keys(found) {
		out = append(out, &e)
	}
	slices.SortFunc(out, func(a, b *yamlfile.Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Msg, b.Msg))
	})
	return out
}

// fault is one thing that a route does with alerts of a kind.
type fault struct {
	node      *yaml.Node
	text, fix string
}

// checkRoutes looks at what the routes do that an alert ends in. One that was
// not made for Foreshock gets one message for all that is wrong with it, since other
// alerts may need what it does.
func (c *Config) checkRoutes(a Alerts, say func(*yamlfile.Error)) {
	for _, alert := range []map[string]string{a.Ticket, a.Page} {
		if alert == nil {
			continue
		}
		kind := alert["severity"] + "s"
		reached := c.root.reached(alert)
		if len(reached) == 0 {
			say(c.place(c.root.node, "%s reach no receiver, since the first route has matchers: remove them", kind))
			continue
		}
		silent := !slices.ContainsFunc(reached, c.tells)
		for _, r := range reached {
			faults := c.faults(r, silent)
			if alert["severity"] == "page" && r.intervals != nil {
				faults = append(faults, fault{r.intervals, "are not told at some times of the day or week", "move the time intervals to a route that pages do not reach"})
			}
			if r.own() {
				for _, f := range faults {
					say(c.place(cmp.Or(f.node, r.node), "%s %s: %s", kind, f.text, f.fix))
				}
				continue
			}
			var all []string
			for _, f := range faults {
				all = append(all, f.text)
			}
			if len(all) > 0 {
				say(c.place(r.node, "%s have no route of their own here: they %s: %s", kind, strings.Join(all, "; "), writeRoute))
			}
		}
	}
}

// tells reports whether the receiver of a route notifies anybody.
func (c *Config) tells(r *route) bool {
	rec := c.receivers[r.receiver.value]
	return rec != nil && len(rec.kinds) > 0
}

// own reports whether a route was made for Foreshock's alerts.
func (r *route) own() bool {
	for ; r != nil; r = r.parent {
		if slices.ContainsFunc(r.matchers, func(m *amlabels.Matcher) bool {
			return m.Name == "generator" || m.Name == "alertname" && m.Matches("ForeshockIncident") || m.Name == "incident"
		}) {
			return true
		}
	}
	return false
}

// faults are what a route does otherwise than one notification for each
// incident, at once and at its end. silent: nobody is told by any of the routes.
func (c *Config) faults(r *route, silent bool) (out []fault) {
	rec := c.receivers[r.receiver.value]
	switch {
	case rec == nil:
		out = append(out, fault{r.receiver.node, fmt.Sprintf("go to receiver %q, which is not there", r.receiver.value), "write it under receivers"})
	case silent:
		out = append(out, fault{r.receiver.node, fmt.Sprintf("go to receiver %q, which notifies nobody", r.receiver.value), "name one that does"})
	case len(rec.kinds) > 0 && !slices.ContainsFunc(rec.kinds, func(i integration) bool { return i.resolved }):
		out = append(out, fault{rec.kinds[0].node, fmt.Sprintf("go to receiver %q, which does not tell when an incident is over", r.receiver.value), "write send_resolved: true"})
	}
	if by := r.groupBy.value; !slices.Contains(by, "incident") && !slices.Contains(by, "...") {
		shown := "nothing"
		if len(by) > 0 {
			shown = "[" + strings.Join(by, ", ") + "]"
		}
		out = append(out, fault{r.groupBy.node, "are grouped by " + shown + ", so that several incidents are one notification", "write group_by: [alertname, incident]"})
	}
	if r.wait.value > mostWait {
		out = append(out, fault{r.wait.node, fmt.Sprintf("wait %s for others of their group, after Foreshock has waited already", r.wait.value), "write group_wait: 0s"})
	}
	return out
}

// checkSeverities wants a page to be told otherwise than a ticket, and at once
// when the ticket was told before.
func (c *Config) checkSeverities(a Alerts, say func(*yamlfile.Error)) {
	if a.Ticket == nil || a.Page == nil {
		return
	}
	page, ticket := c.root.reached(a.Page), c.root.reached(a.Ticket)
	if len(page) == 0 || !slices.ContainsFunc(page, (*route).own) {
		return // said already, with all that it takes
	}
	var shared *route
	for _, r := range page {
		if slices.Contains(ticket, r) {
			shared = r
		}
	}
	if shared != nil && !slices.Contains(shared.groupBy.value, "severity") && !slices.Contains(shared.groupBy.value, "...") && shared.interval.value > mostWait {
		say(c.place(shared.node, `a ticket that becomes a page is in the ticket's group and waits for group_interval, %s: write a route below it with matchers: [severity="page"], or group_by: [alertname, incident, severity]`, shared.interval.value))
	}
	if !slices.Equal(names(page), names(ticket)) {
		return
	}
	text := ""
	if known := c.severities(); len(known) > 0 {
		text = "; the routes here know severity " + strings.Join(known, ", ") + ", Foreshock's are page and ticket"
	}
	say(c.place(cmp.Or(page[0].receiver.node, page[0].node), `pages and tickets both go to %s, so that a page wakes nobody more than a ticket%s: write a route with matchers: [generator="foreshock", severity="page"] for your pager`,
		strings.Join(names(page), ", "), text))
}

func names(routes []*route) []string {
	var out []string
	for _, r := range routes {
		out = append(out, r.receiver.value)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// severities are the values by which routes tell severities apart.
func (c *Config) severities() []string {
	seen := map[string]bool{}
	var walk func(*route)
	walk = func(r *route) {
		for _, m := range r.matchers {
			if m.Name == "severity" {
				seen[m.Value] = true
			}
		}
		for _, child := range r.routes {
			walk(child)
		}
	}
	walk(c.root)
	delete(seen, "page")
	delete(seen, "ticket")
	return slices.Sorted(maps.Keys(seen))
}

// checkInhibition wants a page to keep the ticket of its own incident still,
// whatever service each names, and nothing of another one.
func (c *Config) checkInhibition(a Alerts, say func(*yamlfile.Error)) {
	if a.Ticket == nil || a.Page == nil {
		return
	}
	other := func(alert map[string]string) map[string]string {
		out := maps.Clone(alert)
		out["incident"] += "-other"
		return out
	}
	moved := maps.Clone(a.Ticket) // of the same incident, but of another service
	for _, name := range a.Varies {
		moved[name] += "-other"
	}
	own := false
	var at *yaml.Node
	for _, r := range c.inhibit {
		own = own || r.mutes(a.Page, a.Ticket) && r.mutes(a.Page, moved)
		if r.mutes(a.Page, other(a.Ticket)) {
			say(c.place(r.node, "the page of one incident silences the tickets of others, which are never told: add incident to equal"))
		}
		if r.mutes(a.Page, other(a.Page)) || r.mutes(a.Ticket, other(a.Page)) {
			say(c.place(r.node, "an incident silences the pages of others, which are never told: add incident to equal"))
		}
		if at == nil && r.source.match(a.Page) && r.target.match(a.Ticket) {
			at = r.node
		}
	}
	if !own {
		say(c.place(at, "the ticket of an incident goes on beside its page: %s", writeInhibit))
	}
}
