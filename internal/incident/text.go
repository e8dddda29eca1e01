package incident

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

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
	if a := i.onlyTraffic(); a != nil && a.Up {
		fmt.Fprintf(&b, "%s is asked %.1f times as much as usual", name(a.Service), a.ratio())
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
	if s := i.Suspect(); s != nil {
		fmt.Fprintf(&b, ", after %s", s.short())
		if n := i.suspects() - 1; n > 0 && i.Known {
			fmt.Fprintf(&b, " and %d more", n)
		}
	}
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

// onlyTraffic returns the change in requests that is all the trouble of the
// cause; nil where there is more, or the cause is not known.
func (i *Incident) onlyTraffic() *Anomaly {
	if !i.Known {
		return nil
	}
	var found *Anomaly
	for k := range i.Anomalies {
		a := &i.Anomalies[k]
		switch {
		case a.Service != i.Causes[0].Service:
		case a.Signal != Traffic:
			return nil
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

// suspects is the number of changes that are suspected.
func (i *Incident) suspects() int {
	n := 0
	for k := range i.Changes {
		if i.Changes[k].Suspect {
			n++
		}
	}
	return n
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
	put("harm", strings.Join(i.Harm, "\n"))
	put("not_paged", strings.Join(i.NotPaged, "\n"))
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
	return fmt.Sprintf("%s (%s) %s %s, expected %s", what, a.Rule, verb, amount(a.Value, a.Unit), amount(a.Expected, a.Unit))
}

func (e *evidence) describe() string {
	var parts []string
	for _, a := range e.anomalies {
		dir := "down"
		if a.Up {
			dir = "up"
		}
		switch {
		case a.Caller == "":
			parts = append(parts, string(a.Signal)+" "+dir)
		case a.Caller == e.service:
			parts = append(parts, string(a.Signal)+" of calls to "+name(a.Service)+" "+dir)
		default:
			parts = append(parts, string(a.Signal)+" of calls from "+name(a.Caller)+" "+dir)
		}
	}
	for _, a := range e.alerts {
		parts = append(parts, "alert "+a.Name)
	}
	slices.Sort(parts)
	return list(slices.Compact(parts), 6)
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
	fmt.Fprintf(&b, ", from %s", e.onset.UTC().Format("15:04:05"))
	if ch := c.changedBefore(e); ch != nil {
		when := "just when"
		if d := e.onset.Sub(ch.Time); d >= time.Second {
			when = round(d) + " after"
		}
		fmt.Fprintf(&b, ", %s its %s", when, strings.TrimSuffix(ch.Kind+" "+ch.To, " "))
		if when == "just when" {
			b.WriteString(" came")
		}
	}
	callees, _ := c.callees(e, index)
	more := e.find(demand)
	lost := e.losses()
	switch {
	case len(lost) > 0:
		fmt.Fprintf(&b, "; it is lost between %s, not inside of them", list(slices.Compact(lost), 3))
	case more != nil && len(c.demanding(e, more, index)) > 0:
		b.WriteString("; its callers ask comparably more")
	case more != nil && len(c.graph.Callers(e.service)) == 0:
		b.WriteString("; it is asked more from outside")
	case e.find(lack) != nil && !ownTrouble(e) && len(c.graph.Callers(e.service)) == 0:
		b.WriteString("; it is asked less from outside")
	case c.amplifies(e, index):
		b.WriteString("; it asks more of its callees than it is asked itself")
	case edgeless(c.graph, e.service):
		b.WriteString("; no calls from it or to it are known")
	case len(callees) == 0:
		if dark := c.dark(e.service); len(dark) > 0 {
			fmt.Fprintf(&b, "; of %s, which it calls, nothing is known", list(dark, 3))
		} else {
			b.WriteString("; nothing that it calls is in trouble")
		}
	default:
		var names []string
		for _, j := range c.below(e.service, index) {
			if callees[j] > 0 {
				names = append(names, name(c.evidence[j].service))
			}
		}
		fmt.Fprintf(&b, "; it depends on %s", list(names, 3))
	}
	return b.String()
}

// dark are the callees of a service of which there is not one reading.
func (c Case) dark(s topology.Service) []string {
	var out []string
	for _, edge := range c.graph.Callees(s) {
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
	if more != nil && len(c.graph.Callers(e.service)) == 0 {
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

// sparkline draws the values of a trail in at most 16 characters.
func sparkline(trail []Point) string {
	const bars, width = "▁▂▃▄▅▆▇█", 16
	if len(trail) == 0 {
		return ""
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, p := range trail {
		for _, v := range []float64{p.Value, p.Expected} {
			if !math.IsNaN(v) {
				lo, hi = math.Min(lo, v), math.Max(hi, v)
			}
		}
	}
	if !(hi > lo) {
		return ""
	}
	runes := []rune(bars)
	var b strings.Builder
	n := min(width, len(trail))
	for i := range n {
		v := trail[i*len(trail)/n].Value
		if math.IsNaN(v) {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(runes[int((v-lo)/(hi-lo)*float64(len(runes)-1)+0.5)])
	}
	return b.String()
}

// amount writes a value in its unit for a person.
func amount(v float64, unit string) string {
	if math.IsNaN(v) {
		return "unknown"
	}
	switch unit {
	case "seconds":
		if math.Abs(v) < 1 {
			return trim(v*1000) + " ms"
		}
		return trim(v) + " s"
	case "ratio":
		return trim(v*100) + "%"
	case "":
		return trim(v)
	}
	return trim(v) + " " + unit
}

// trim writes a number with three significant digits.
func trim(v float64) string {
	if v != 0 && math.Abs(v) < 1e-4 {
		return "0"
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// name shows a service; evidence without identity has none.
func name(s topology.Service) string {
	if s == "" {
		return "(no service)"
	}
	return string(s)
}

func list(items []string, most int) string {
	if len(items) > most {
		return strings.Join(items[:most], ", ") + fmt.Sprintf(" and %d more", len(items)-most)
	}
	return strings.Join(items, ", ")
}

func round(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	return d.Round(time.Second).String()
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + " …"
}
