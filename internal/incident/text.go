package incident

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// AlertName is the alertname of everything that is sent.
const AlertName = "ForeshockIncident"

// Generator is the value of the label that marks what Foreshock sends, so that
// it is never taken for evidence.
const Generator = "foreshock"

// maxText bounds an annotation, so that a large incident still fits a notification.
const maxText = 1500

// labels are the identity of an alert of the incident; they are frozen when it
// is first sent.
func (c *Correlator) labels(t *thread, s Severity) map[string]string {
	out := map[string]string{
		"alertname": AlertName, "incident": t.ID, "severity": string(s), "generator": Generator,
	}
	maps.Copy(out, c.o.Labels(t.subject()))
	return out
}

// subject is the service that an incident is named after: its cause, or the
// one that suffers when no cause is known.
func (t *thread) subject() topology.Service {
	switch {
	case t.Known:
		return t.Causes[0].Service
	case len(t.Effects) > 0:
		for _, e := range t.Effects {
			if slices.ContainsFunc(t.Harm, func(h string) bool { return strings.Contains(h, name(e.Service)) }) {
				return e.Service
			}
		}
		return t.Effects[0].Service
	}
	return ""
}

// Headline is the incident in one sentence: what fails first, what was changed
// just before, who suffers.
func (i *Incident) Headline() string {
	var b strings.Builder
	if i.State == Resolved && strings.HasPrefix(i.Why, whyMerged) {
		fmt.Fprintf(&b, "not over, but part of incident %s now: ", strings.TrimPrefix(i.Why, whyMerged))
	}
	if a := i.onlyTraffic(); a != nil && a.Up {
		fmt.Fprintf(&b, "%s is asked %s times as much as usual", name(a.Service), times(a.ratio()))
	} else if a != nil {
		fmt.Fprintf(&b, "%s is asked for %.0f%% of the usual only", name(a.Service), 100/a.ratio())
	} else if a := i.onlyBetween(); a != nil {
		fmt.Fprintf(&b, "trouble between %s and %s", name(a.Caller), name(a.Service))
	} else if i.Known && !i.Causes[0].Onset.After(i.Onset) {
		fmt.Fprintf(&b, "%s fails first", name(i.Causes[0].Service))
	} else if i.Known {
		fmt.Fprintf(&b, "%s is the cause", name(i.Causes[0].Service))
	} else {
		b.WriteString("cause not known")
	}
	b.WriteString(i.changedText())
	var suffer []string
	for _, e := range i.Effects {
		if e.Suffers {
			suffer = append(suffer, name(e.Service))
		}
	}
	if len(suffer) > 0 {
		fmt.Fprintf(&b, "; %s", list(suffer, 4))
		if len(suffer) == 1 {
			b.WriteString(" suffers")
		} else {
			b.WriteString(" suffer")
		}
	}
	return b.String()
}

// changedText names the change before the trouble; where the cause is not known
// and several are suspected it names no single one.
func (i *Incident) changedText() string {
	var all []string
	during := false
	for k := range i.Changes {
		if a := &i.Changes[k]; a.Suspect {
			during = during || len(all) == 0 && a.Until.After(i.Onset)
			all = append(all, a.short())
		}
	}
	switch {
	case len(all) == 0:
		return ""
	case during:
		return ", during " + all[0]
	case !i.Known:
		return ", after " + list(all, 3)
	case len(all) > 1:
		return fmt.Sprintf(", after %s and %d more", all[0], len(all)-1)
	}
	return ", after " + all[0]
}

// onlyTraffic returns the change in requests that the trouble of the cause
// comes to, or begins with where they come from outside; nil where there is
// more, or the cause is not known.
func (i *Incident) onlyTraffic() *Anomaly {
	if !i.Known {
		return nil
	}
	var found *Anomaly
	for k := range i.Anomalies {
		a := &i.Anomalies[k]
		switch {
		case a.Service != i.Causes[0].Service:
		case a.Signal != Traffic && !i.Demand:
			return nil
		case a.Signal != Traffic || i.Demand && !a.Up:
		case found == nil || a.Score > found.Score:
			found = a
		}
	}
	return found
}

// onlyBetween returns the one edge on which time or requests are lost when that
// is all the trouble of the cause; nil where there is more.
func (i *Incident) onlyBetween() *Anomaly {
	if !i.Known {
		return nil
	}
	var found *Anomaly
	for k := range i.Anomalies {
		a := &i.Anomalies[k]
		cause := i.Causes[0].Service
		switch {
		case a.Caller == "" && a.Service == cause:
			return nil
		case !between(a) || a.Caller != cause && a.Service != cause:
		case found == nil:
			found = a
		case found.Caller != a.Caller || found.Service != a.Service:
			return nil
		}
	}
	return found
}

// Suspect returns the change that is suspected most, or nil.
func (i *Incident) Suspect() *Attribution {
	for k := range i.Changes {
		if i.Changes[k].Suspect {
			return &i.Changes[k]
		}
	}
	return nil
}

func (a *Attribution) short() string {
	s := a.Kind
	if s == "" {
		s = "a change"
	}
	if a.Kind == "flag" && a.Title != "" {
		s += " " + a.Title
	}
	s += " of " + name(a.Service)
	switch {
	case a.From != "" && a.To != "":
		s += " " + a.From + " → " + a.To
	case a.To != "":
		s += " " + a.To
	case a.Title != "":
		s += " (" + a.Title + ")"
	}
	return s
}

// Annotations are the words of an alert of the incident. They may change from
// one sending to the next; an Alertmanager shows the first.
func (i *Incident) Annotations() map[string]string {
	out := map[string]string{"summary": i.Headline()}
	put := func(k, v string) {
		if v != "" {
			out[k] = clip(v)
		}
	}
	if i.Known {
		put("cause", i.Causes[0].Reason)
		put("confidence", fmt.Sprintf("%.0f%%", 100*i.Causes[0].Confidence))
	} else {
		var cs []string
		for _, c := range i.Causes[:min(3, len(i.Causes))] {
			cs = append(cs, fmt.Sprintf("%s (%.0f%%)", name(c.Service), 100*c.Confidence))
		}
		why := ""
		if i.Guess {
			why = ", since no calls between these services are known"
		}
		put("cause", "not known"+why+"; candidates: "+list(cs, 3))
	}
	var lines []string
	for _, e := range i.Effects {
		lines = append(lines, fmt.Sprintf("+%s %s: %s", round(e.Offset), name(e.Service), e.What))
	}
	put("effects", strings.Join(lines, "\n"))
	lines = nil
	for k := range i.Changes {
		a := &i.Changes[k]
		lines = append(lines, fmt.Sprintf("%s: %s", a.short(), a.Reason))
	}
	put("changes", strings.Join(lines, "\n"))
	if r := i.Rollback; r != nil && r.Command != "" {
		put("rollback", r.Text+": "+r.Command)
	} else if r != nil {
		put("rollback", r.Text)
	}
	put("harm", strings.Join(most(i.Harm, 8), "\n"))
	put("not_paged", strings.Join(most(i.NotPaged, 12), "\n"))
	if i.State == Resolved {
		put("resolved", i.ending())
	}
	put("evidence", i.evidenceText())
	if len(i.Blind) > 0 {
		put("blind", "rules that could not be evaluated: "+strings.Join(i.Blind, "; "))
	}
	var services []string
	for _, s := range i.Services {
		services = append(services, string(s))
	}
	put("services", strings.Join(services, ","))
	return out
}

// evidenceText shows the strongest anomaly of each of the first services, with a sparkline.
func (i *Incident) evidenceText() string {
	best := map[topology.Service]*Anomaly{}
	var order []topology.Service
	for k := range i.Anomalies {
		a := &i.Anomalies[k]
		if best[a.Service] == nil {
			order = append(order, a.Service)
		}
		if best[a.Service] == nil || a.Score > best[a.Service].Score {
			best[a.Service] = a
		}
	}
	var lines []string
	for _, s := range order[:min(6, len(order))] {
		a := best[s]
		lines = append(lines, fmt.Sprintf("%s %s %s", name(s), a.describe(), sparkline(a.Trail)))
	}
	return strings.Join(lines, "\n")
}

// ending says why the incident is over.
func (i *Incident) ending() string {
	at := i.Resolved.UTC().Format("15:04:05")
	switch {
	case i.Why == WhyQuiet:
		return "over at " + at + ": nobody has suffered for long enough"
	case i.Why == WhyNewLevel:
		return "closed at " + at + ": the present level is taken as the new normal; the trouble itself may go on"
	case strings.HasPrefix(i.Why, whyMerged):
		return "not over: it goes on as incident " + strings.TrimPrefix(i.Why, whyMerged)
	}
	return "ended at " + at + ": " + i.Why
}

// describe says of an anomaly what was seen and what was expected.
func (a *Anomaly) describe() string {
	verb := "fell to"
	if a.Up {
		verb = "rose to"
	}
	what := string(a.Signal)
	if a.Caller != "" {
		what += fmt.Sprintf(" of calls from %s to %s", name(a.Caller), name(a.Service))
	}
	text := fmt.Sprintf("%s (%s) %s %s, expected %s", what, a.Rule, verb, a.amount(a.Value), a.amount(a.Expected))
	if limit := a.Forecast(); limit != "" {
		text += ", " + limit
	}
	return text
}

// amount writes a value of the series; requests are counted per second.
func (a *Anomaly) amount(v float64) string {
	if a.Signal == Traffic && a.Unit == "" && !math.IsNaN(v) {
		return trim(v) + "/s"
	}
	return amount(v, a.Unit)
}

// reason says in one sentence why blame stays with a service.
func (c Case) reason(i int, index map[topology.Service]int) string {
	e := c.evidence[i]
	var b strings.Builder
	b.WriteString(name(e.service))
	if a := c.telling(e); a != nil {
		fmt.Fprintf(&b, ": %s", a.describe())
	} else if len(e.alerts) > 0 {
		fmt.Fprintf(&b, ": alert %s fires", e.alerts[0].Name)
	}
	fmt.Fprintf(&b, ", since %s", e.onset.UTC().Format("15:04:05"))
	if ch := c.changedBefore(e); ch != nil {
		b.WriteString(after(*ch, e.onset))
	}
	callees, _ := c.callees(e, index)
	more := e.find(demand)
	lost := e.losses()
	switch {
	case len(lost) > 0:
		fmt.Fprintf(&b, "; it is lost between %s, not inside of them", list(slices.Compact(lost), 3))
	case more != nil && len(c.demanding(e, more, index)) > 0:
		b.WriteString("; its callers ask comparably more")
	case more != nil && !c.graph.HasCallers(e.service):
		b.WriteString("; it is asked more from outside")
	case e.find(lack) != nil && !ownTrouble(e) && !c.graph.HasCallers(e.service):
		b.WriteString("; it is asked less from outside")
	case c.amplifies(e, index):
		b.WriteString("; it asks more of its callees than it is asked itself")
	case edgeless(c.graph, e.service):
		b.WriteString("; no calls from it or to it are known")
	case len(callees) == 0:
		if dark := c.dark(e.service); len(dark) > 0 {
			fmt.Fprintf(&b, "; nothing is known of %s, which it calls", list(dark, 3))
		} else if c.graph.HasCallees(e.service) {
			b.WriteString("; nothing that it calls is in trouble")
		} else {
			b.WriteString("; it calls nothing that is known")
		}
	default:
		var names []string
		for _, j := range c.below(e.service, index) {
			if slices.ContainsFunc(callees, func(s share) bool { return s.to == j && s.part > 0 }) {
				names = append(names, name(c.evidence[j].service))
			}
		}
		fmt.Fprintf(&b, "; %s, which it calls, has trouble as well", list(names, 3))
	}
	return b.String()
}

// after says how long after a change of the service its trouble began.
func after(ch change.Change, onset time.Time) string {
	its := "its " + strings.TrimSuffix(ch.Kind+" "+ch.To, " ")
	d := ch.Before(onset)
	switch {
	case ch.Until.IsZero() && d >= time.Second:
		return fmt.Sprintf(", %s after %s", round(d), its)
	case ch.Until.IsZero():
		return fmt.Sprintf(", just when %s came", its)
	case d >= time.Second:
		return fmt.Sprintf(", %s after the end of %s", round(d), its)
	}
	return ", during " + its
}

// dark are the callees of a service of which there is not one reading.
func (c Case) dark(s topology.Service) []string {
	var out []string
	for edge := range c.graph.EachCallee(s) {
		if c.watched != nil && !c.watched(edge.Callee) {
			out = append(out, name(edge.Callee))
		}
	}
	return out
}

// telling picks the anomaly that says most about a service as a cause: its own
// work first, then demand where it has no callers, then what its callers feel.
func (c Case) telling(e *evidence) *Anomaly {
	work, more := e.find(internal), e.find(demand)
	if work != nil && !explains(more, work) {
		return work
	}
	if more != nil && !c.graph.HasCallers(e.service) {
		return more
	}
	if a := e.find(repeats); a != nil {
		return a
	}
	if a := e.find(between); a != nil {
		return a
	}
	if a := e.find(symptom); a != nil {
		return a
	}
	return e.find(func(*Anomaly) bool { return true })
}
