package web

import (
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

// nasty are texts that somebody who can name a label might send.
var nasty = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
	"\u202egnp.live\u202c مرحبا", "{{.}} ${7*7} <!-- ", "\x00\x01\x1b[31m\xff\xfe", `</style></title></svg>`, strings.Repeat("long", 2560), "",
}

// hostileIncident has a nasty text wherever text can be.
func hostileIncident() *incident.Incident {
	inc := &incident.Incident{ID: "hostile", State: incident.Open, Severity: incident.Page, Onset: onset, Opened: onset, Known: true, Why: nasty[0]}
	labels := map[string]string{}
	for _, text := range nasty {
		svc := topology.Service(text)
		c := change.Change{ID: text, Time: onset.Add(-time.Minute), Service: svc, Kind: text, From: text, To: text, Title: text}
		inc.Causes = append(inc.Causes, incident.Candidate{Service: svc, Reason: text, Onset: onset})
		inc.Effects = append(inc.Effects, incident.Effect{Service: svc, Onset: onset, What: text})
		inc.Changes = append(inc.Changes, incident.Attribution{Change: c, Suspect: true, Reason: text}, incident.Attribution{Change: c, Reason: text})
		inc.Harm = append(inc.Harm, text)
		inc.NotPaged = append(inc.NotPaged, text)
		inc.Log = append(inc.Log, incident.Note{Time: onset, Text: text})
		inc.Anomalies = append(inc.Anomalies, incident.Anomaly{Rule: text, Series: `{a="` + text + `"}`, Service: svc, Signal: incident.Signal(text), Kind: text, Unit: text,
			Onset: onset, Value: 1, Doubts: []string{text}, Trail: bend(onset, 1, 2)})
		labels[text] = text
	}
	inc.Sent = []incident.Sent{{Severity: incident.Page, Time: onset, Labels: labels}}
	return inc
}

// hostileOptions puts nasty texts into everything that a server is given.
func hostileOptions(o *Options) {
	inc := hostileIncident()
	o.Incidents = func() []*incident.Incident { return []*incident.Incident{inc, openIncident(), resolvedIncident()} }
	var changes []change.Change
	for _, a := range inc.Changes {
		changes = append(changes, a.Change)
	}
	o.Changes = func(time.Time) []change.Change { return changes }
	o.Rules = func() []RuleGroup {
		var groups []RuleGroup
		for _, text := range nasty {
			r := Rule{Kind: Detect, Name: text, Query: text, Labels: map[string]string{text: text}, Health: Health(text), LastError: text, Signal: text, Detector: text,
				Command: text, State: text, Evaluations: []Evaluation{{Error: text}}}
			groups = append(groups, RuleGroup{File: text, Name: text, Rules: []Rule{r}})
		}
		return groups
	}
	o.Targets = func() []TargetPool {
		var pools []TargetPool
		for _, text := range nasty {
			pools = append(pools, TargetPool{Job: text, Targets: []Target{{URL: text, Health: Health(text), Error: text, Labels: map[string]string{text: text}}}})
		}
		return pools
	}
	status := o.Status
	o.Status = func() Status {
		st := status()
		st.Version, st.Source, st.Progress, st.ConfigFile, st.ReloadError = nasty[0], nasty[1], nasty[2], nasty[3], nasty[4]
		st.Alertmanagers = []Alertmanager{{URL: nasty[3], Error: nasty[0]}}
		st.Fraction = 0.42
		return st
	}
	o.Ready = func() (bool, string) { return false, nasty[0] }
}

// inShadow sends nothing.
func inShadow(o *Options) {
	status := o.Status
	o.Status = func() Status {
		st := status()
		st.Mode = Shadow
		return st
	}
}

// quiet has no incident.
func quiet(o *Options) {
	o.Incidents = func() []*incident.Incident { return nil }
}
