package ruletest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// incidentTest says which incidents have been sent and are open at a time:
// these and no others. Since widens that to all that were open at some time
// from then on.
type incidentTest struct {
	EvalTime     model.Duration     `yaml:"eval_time"`
	Since        *model.Duration    `yaml:"since"`
	ExpIncidents []expectedIncident `yaml:"exp_incidents"`
}

// expectedIncident is an incident. What is left out is not compared.
type expectedIncident struct {
	Severity  string          `yaml:"severity"` // page, ticket; none: evidence that nobody was told of
	Cause     *string         `yaml:"cause"`
	Known     *bool           `yaml:"known"`
	Effects   *[]string       `yaml:"effects"`
	Suspect   *string         `yaml:"suspect"`
	Acquitted *[]string       `yaml:"acquitted"`
	NotPaged  *[]string       `yaml:"not_paged"`
	Summary   *string         `yaml:"summary"`
	Onset     *model.Duration `yaml:"onset"`
	Resolved  *bool           `yaml:"resolved"`
}

const severityNone = "none"

func (t *incidentTest) check(d *listDecoder, n *yaml.Node) {
	if t.Since != nil && *t.Since > t.EvalTime {
		d.fail(yamlfile.Field(n, "since"), "since: %s is after the eval_time, %s", t.Since, t.EvalTime)
	}
	list := yamlfile.Field(n, "exp_incidents")
	for i := range t.ExpIncidents {
		e := &t.ExpIncidents[i]
		var at *yaml.Node
		if i < len(list.Content) {
			at = yamlfile.Resolve(list.Content[i])
			if v := yamlfile.Field(at, "severity"); v != nil {
				at = v
			}
		}
		oneOf(d, at, "severity", e.Severity, string(incident.Page), string(incident.Ticket), severityNone)
		if e.Severity == severityNone && (e.Cause != nil || e.Known != nil || e.Effects != nil || e.Suspect != nil ||
			e.Acquitted != nil || e.NotPaged != nil || e.Summary != nil || e.Resolved != nil) {
			d.fail(at, "severity none: nothing was decided of such an incident yet, so only its onset can be expected")
		}
	}
}

// incidentsAt checks one item of incident_test against the last incident step.
func (l *life) incidentsAt(t placed[incidentTest]) error {
	var c comparison
	unsent := false
	for _, e := range t.v.ExpIncidents {
		c.expected = append(c.expected, e.item())
		unsent = unsent || e.Severity == severityNone
	}
	for _, i := range l.incidentsSince(t.v) {
		if i.State != incident.Forming || unsent {
			c.found = append(c.found, l.incidentItem(i))
		}
	}
	table := c.table(l.color)
	if table == "" {
		return nil
	}
	return l.failure(t.node, fmt.Sprintf("incident_test: time: %s", t.v.EvalTime), table)
}

// incidentsSince returns those that are open, forming ones among them, and where the test asks for
// them the ones that were; oldest first.
func (l *life) incidentsSince(t incidentTest) []*incident.Incident {
	var out []*incident.Incident
	if t.Since != nil {
		from := l.start.Add(time.Duration(*t.Since))
		for _, i := range l.resolved {
			if !i.Resolved.Before(from) {
				out = append(out, i)
			}
		}
	}
	for _, i := range l.incidents {
		if i.State != incident.Resolved {
			out = append(out, i)
		}
	}
	return out
}

func (e expectedIncident) item() item {
	var out item
	put := func(name, text string, accepts func(field) bool) {
		out = append(out, field{name: name, text: text, accepts: accepts})
	}
	if e.Severity != "" {
		put("severity", e.Severity, nil)
	}
	if e.Cause != nil {
		var accepts func(field) bool
		if e.Known != nil && !*e.Known {
			// Then the most likely candidate is meant.
			accepts = func(found field) bool { return strings.TrimSuffix(found.text, notKnown) == *e.Cause }
		}
		put("cause", *e.Cause, accepts)
		out[len(out)-1].names = true
	}
	if e.Known != nil {
		put("known", strconv.FormatBool(*e.Known), nil)
	}
	if e.Effects != nil {
		put("effects", set(*e.Effects), nil)
	}
	if e.Suspect != nil {
		want := *e.Suspect
		if want == "" {
			want = "none"
		}
		put("suspect", want, func(found field) bool { return sameChanges([]string{want}, []string{found.text}) })
	}
	if e.Acquitted != nil {
		put("acquitted", set(*e.Acquitted), func(found field) bool { return sameChanges(*e.Acquitted, split(found.text)) })
	}
	if e.NotPaged != nil {
		put("not_paged", set(*e.NotPaged), func(found field) bool { return sameAlerts(*e.NotPaged, split(found.text)) })
	}
	if e.Onset != nil {
		put("onset", e.Onset.String(), nil)
	}
	if e.Resolved != nil {
		put("resolved", strconv.FormatBool(*e.Resolved), nil)
	}
	if e.Summary != nil {
		put("summary", *e.Summary, nil)
	}
	if out == nil {
		put("summary", "any", func(field) bool { return true })
	}
	return out
}

// notKnown follows the most likely candidate where no cause is named.
const notKnown = " (not known)"

func (l *life) incidentItem(i *incident.Incident) item {
	severity, cause, suspect := string(i.Severity), "none", "none"
	if i.State == incident.Forming {
		return item{{name: "severity", text: severityNone}, {name: "onset", text: l.since(i.Onset)}, {name: "summary", text: "nothing was decided yet"}}
	}
	if len(i.Causes) > 0 {
		cause = string(i.Causes[0].Service)
		if !i.Known {
			cause += notKnown
		}
	}
	var effects, acquitted []string
	for _, e := range i.Effects {
		effects = append(effects, string(e.Service))
	}
	for _, c := range i.Changes {
		if !c.Suspect {
			acquitted = append(acquitted, changeText(c))
		}
	}
	if s := i.Suspect(); s != nil {
		suspect = changeText(*s)
	}
	return item{
		{name: "severity", text: severity},
		{name: "cause", text: cause},
		{name: "known", text: strconv.FormatBool(i.Known)},
		{name: "effects", text: set(effects)},
		{name: "suspect", text: suspect},
		{name: "acquitted", text: set(acquitted)},
		{name: "not_paged", text: set(i.NotPaged)},
		{name: "onset", text: l.since(i.Onset)},
		{name: "resolved", text: strconv.FormatBool(i.State == incident.Resolved)},
		{name: "summary", text: i.Headline()},
	}
}

// changeText names a change by its id and its service; a test gives either.
func changeText(a incident.Attribution) string { return fmt.Sprintf("%s of %s", a.ID, a.Service) }

const between = ", "

// set writes a list whose order does not matter.
func set(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(list)), between)
}

func split(text string) []string {
	if text == "none" {
		return nil
	}
	return strings.Split(text, between)
}

// sameChanges reports whether each change that was found is named, by id or
// service, and each name is found.
func sameChanges(names, found []string) bool {
	return sameSet(names, found, func(name, f string) bool {
		return f == name || strings.HasPrefix(f, name+" of ") || strings.HasSuffix(f, " of "+name)
	})
}

// sameAlerts does so for alerts: by name, or by name and service ("X on y").
func sameAlerts(names, found []string) bool {
	return sameSet(names, found, func(name, f string) bool { return f == name || strings.HasPrefix(f, name+" on ") })
}

func sameSet(names, found []string, same func(name, found string) bool) bool {
	return !slices.ContainsFunc(names, func(n string) bool {
		return !slices.ContainsFunc(found, func(f string) bool { return same(n, f) })
	}) && !slices.ContainsFunc(found, func(f string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return same(n, f) })
	})
}
