package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

const (
	// ticketScore is the sum of scores over distinct signals from which on a
	// ticket is asked for. Two signals that just reach their budgets sum to 2
	// and are a coincidence that happens; at 3 it is ten times rarer. One signal
	// alone has to be a hundred times rarer than its budget.
	ticketScore = 3
	// unsureTicketScore is the same where every reading has a doubt.
	unsureTicketScore = 5
)

// judge decides what the evidence of an incident asks for now, opens it when
// that has lasted for settle, and brings its ranking up to date.
func (c *Correlator) judge(now time.Time, t *thread, in Input) {
	if t.State == Resolved {
		return
	}
	if t.State == Forming {
		c.prune(now, t)
	}
	// Only what lasts decides: a single bad sample must not outlive itself.
	current := c.evidenceOf(t, func(a *Anomaly) bool { return a.End.IsZero() }, c.alerts)
	asks := c.severity(now, current, in.Graph)
	t.Harm = asks.harm
	t.leads(c.o.ChangeWindow)
	t.wants = c.affordable(now, t, asks)
	c.last(now, t, t.wants != None || asks.excused)
	if t.wants != Page {
		t.sincePg = time.Time{}
	} else if t.sincePg.IsZero() {
		t.sincePg = now
	}

	if t.wants == Page || t.wants == Ticket && t.Severity != Page || asks.muted {
		t.asked = now // what was silenced when it was open goes on all the same
	}

	patience := c.patience(now, t, asks, current, in.Graph)
	if t.State == Forming && !c.due(now, t, patience) {
		return
	}
	c.second(now, t, in)
	c.rank(now, t, in)
	switch {
	case t.State == Forming && t.wants == Ticket && c.explained(now, t, in.Graph):
	case t.State == Forming:
		c.openThread(now, t, in)
	case t.Severity == Ticket && t.wants == Page && now.Sub(t.sincePg) >= patience && c.o.Mode != ModeTicket:
		t.note(now, "users suffer: the ticket becomes a page")
		c.send(now, t, Page)
	}
}

// claim is what evidence asks for.
type claim struct {
	severity Severity
	harm     []string
	score    float64 // sum over distinct signals of services, of the largest each
	known    bool    // an alert of the team's own says so
	lone     bool    // one signal of one service is all there is
	muted    bool    // a muted alert would ask for a page
	excused  bool    // it would ask for something but for maintenance or a rollout
}

// affordable is what of a claim the budgets let through. What the team's own
// alerts say bypasses them, and so does what was sent already.
func (c *Correlator) affordable(now time.Time, t *thread, asks claim) Severity {
	if asks.severity == None {
		return None
	}
	if !asks.known {
		t.peaks[asks.severity] = max(t.peaks[asks.severity], asks.score)
	}
	if asks.known || t.State == Open && (t.Severity == Page || asks.severity == Ticket) {
		return asks.severity
	}
	if asks.severity == Page && asks.score >= c.pages.least(now, c.began) {
		return Page
	}
	if t.State == Open || asks.score >= c.tickets.least(now, c.began) {
		return Ticket
	}
	return None
}

// severity: harm asks for a page, corroboration for a ticket. Harm that only a
// reading with a doubt shows needs a second signal or service beside it. What
// maintenance or a rollout excuses is no harm, and corroborates harm only.
func (c *Correlator) severity(now time.Time, ev []*evidence, g *topology.Graph) claim {
	var harm, others []string // what people feel, and what else the team's alerts say
	sure, known, excused, silent, muted := false, false, false, false, false
	// Of all, and of what nothing excuses.
	signals, plain := make(scores, 0, 2*len(ev)), make(scores, 0, 2*len(ev))
	allUnsure := true
	morning := mornings(ev, g)
	for _, e := range ev {
		node, _ := g.Node(e.service)
		suffers := g.IsEntry(e.service) || node.Critical
		for _, a := range e.alerts {
			muted = muted || a.Muted != NotMuted && a.wakes()
			if !a.harmful() || c.maintained(now, e.service, a.Since) {
				continue
			}
			text := fmt.Sprintf("alert %s fires on %s", a.Name, name(e.service))
			if suffers {
				harm = append(harm, text)
			} else {
				others = append(others, text)
			}
			sure, known = true, true
		}
		if morning[e.service] {
			continue
		}
		for _, a := range e.anomalies {
			k := scoreKey{e.service, a.Signal, a.Caller != ""}
			signals.add(k, a.Score)
			if c.excused(now, a, suffers) {
				excused = true
				continue
			}
			if a.partial() {
				continue // fewer targets, not fewer requests
			}
			plain.add(k, a.Score)
			allUnsure = allUnsure && a.Unsure
			silent = silent || c.stopped(now, a)
			if suffers && (symptom(a) || staysAway(a)) {
				harm = append(harm, fmt.Sprintf("%s: %s", name(e.service), a.describe()))
				sure = sure || !a.Unsure
			}
		}
	}
	harm = append(harm, others...)
	all := signals
	if len(harm) == 0 {
		signals = plain
	}
	sum := signals.total()
	out := claim{harm: harm, score: sum, known: known, lone: len(signals) == 1, muted: muted}
	switch {
	case known, len(harm) > 0 && (sure && sum >= ticketScore || len(signals) > 1 && sum >= unsureTicketScore):
		out.severity = Page
		if c.o.Mode == ModeTicket {
			out.severity = Ticket
		}
	case sum >= ticketScore && !allUnsure, sum >= unsureTicketScore && len(signals) > 1:
		out.severity = Ticket
	case silent:
		out.severity, out.score = Ticket, max(sum, ticketScore)
	}
	out.excused = excused && out.severity == None && all.total() >= ticketScore
	return out
}

// staysAway: users do not reach the service any more. Its traffic is less than
// half of what is expected, and that is a hundred times rarer than its budget.
func staysAway(a *Anomaly) bool {
	return a.Signal == Traffic && !a.Up && !a.Unsure && a.ratio() >= 2 && a.Score >= ticketScore
}

// harmful reports whether the alert asks for waking somebody: it would, and
// nobody muted it.
func (a Alert) harmful() bool { return a.Muted == NotMuted && a.wakes() }

// wakes reports whether the team itself says that the alert is worth waking
// somebody: every severity but the ones that by convention only inform.
func (a Alert) wakes() bool {
	switch strings.ToLower(a.Severity) {
	case "warning", "warn", "ticket", "info", "none", "notice", "low":
		return false
	}
	return true
}

// informs reports whether the team says that the alert is no trouble at all.
func (a Alert) informs() bool {
	switch strings.ToLower(a.Severity) {
	case "info", "none", "notice":
		return true
	}
	return false
}

// openThread opens an incident: it gets its name, or the one under which
// another replica keeps it open already.
func (c *Correlator) openThread(now time.Time, t *thread, in Input) {
	t.State, t.Opened = Open, now
	for _, f := range in.Foreign {
		if !slices.ContainsFunc(f.Services, func(s topology.Service) bool { return t.services[s] }) {
			continue
		}
		t.ID, t.Opened, t.Severity = f.ID, f.StartsAt, f.Severity
		t.Sent = append(t.Sent, Sent{Severity: f.Severity, Time: f.StartsAt, Labels: maps.Clone(f.Labels)})
		t.note(now, "taken over from another replica")
		if f.Severity == Page || t.wants != Page {
			return
		}
		c.send(now, t, Page)
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(t.services)))
	t.ID = identify(t.Onset, first)
	for slices.ContainsFunc(c.open, func(o *thread) bool { return o != t && o.ID == t.ID }) || !c.used[t.ID].IsZero() {
		t.ID += "x"
	}
	if len(t.Causes) > 0 {
		t.hold = c.holdOf(now, t.Causes[0].Service)
	}
	c.send(now, t, t.wants)
}

// send freezes the labels of a further alert of the incident.
func (c *Correlator) send(now time.Time, t *thread, s Severity) {
	t.Severity = s
	t.tell(now)
	t.Sent = append(t.Sent, Sent{Severity: s, Time: now, Labels: c.labels(t, s)})
	t.note(now, fmt.Sprintf("%s: %s", s, t.Headline()))
}
