package incident

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

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
	} else if a != nil && a.Value == 0 {
		fmt.Fprintf(&b, "%s is not asked any more", name(a.Service))
	} else if a != nil {
		fmt.Fprintf(&b, "%s is asked for %.0f%% of the usual only", name(a.Service), 100/a.ratio())
	} else if a := i.onlyBetween(); a != nil {
		fmt.Fprintf(&b, "trouble between %s and %s", name(a.Caller), name(a.Service))
	} else if lone := i.lone(); lone != "" {
		fmt.Fprintf(&b, "%s: %s", name(i.Causes[0].Service), lone)
	} else if i.Known && !i.Causes[0].Onset.After(i.Onset) {
		fmt.Fprintf(&b, "%s fails first", name(i.Causes[0].Service))
	} else if i.Known {
		fmt.Fprintf(&b, "%s is the cause", name(i.Causes[0].Service))
	} else {
		b.WriteString("cause not known")
	}
	b.WriteString(i.changedText())
	if suffer := i.suffering(); len(suffer) > 0 {
		fmt.Fprintf(&b, "; %s", list(suffer, 4))
		if len(suffer) == 1 {
			b.WriteString(" suffers")
		} else {
			b.WriteString(" suffer")
		}
	}
	return b.String()
}

// suffering names the services that have it from the cause.
func (i *Incident) suffering() []string {
	var out []string
	for _, e := range i.Effects {
		if e.Suffers {
			out = append(out, name(e.Service))
		}
	}
	return out
}

// lone says what is wrong where nobody suffers but the cause itself: then nothing
// fails first, and what departs most is the news. It is "" where others suffer, or
// only an alert of the team's own says it.
func (i *Incident) lone() string {
	if !i.Known || len(i.suffering()) > 0 {
		return ""
	}
	order := []Signal{Errors, Latency, Saturation, Traffic}
	var worst *Anomaly
	for k := range i.Anomalies {
		a := &i.Anomalies[k]
		switch {
		case a.Caller != "" || a.Service != i.Causes[0].Service:
		case worst == nil || a.Score > worst.Score ||
			a.Score == worst.Score && slices.Index(order, a.Signal) < slices.Index(order, worst.Signal):
			worst = a
		}
	}
	if worst == nil {
		return ""
	}
	return worst.describe()
}

// changedText names the change before the trouble; where the cause is not known
// and several are suspected it names no single one.
func (i *Incident) changedText() string {
	var all []string
	during := false
	for k := range i.Changes {
		if a := &i.Changes[k]; a.Suspect {
			during = during || len(all) == 0 && a.Until.After(i.Onset)
			all = append(all, a.Text())
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

// Text names the change: its kind, of which service, from what to what, and in
// brackets what it is about.
func (a *Attribution) Text() string { return wording(a.Change, " of "+name(a.Service)) }

// maxTitle bounds what a headline says of a change's title, in bytes.
const maxTitle = 80

func wording(ch change.Change, of string) string {
	s := ch.Kind
	if s == "" {
		s = "change"
	}
	flag := ch.Kind == "flag" && ch.Title != ""
	if flag {
		s += " " + cut(ch.Title, maxTitle)
	}
	s += of
	switch {
	case ch.From != "" && ch.To != "":
		s += " " + ch.From + " → " + ch.To
	case ch.To != "":
		s += " " + ch.To
	}
	if ch.Title != "" && !flag {
		s += " (" + cut(ch.Title, maxTitle) + ")"
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
		lines = append(lines, fmt.Sprintf("%s: %s", a.Text(), a.Reason))
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
		put("blind", "what could not be seen: "+strings.Join(i.Blind, "; "))
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
	if a.partial() {
		text += fewerTargets
	}
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
