package topology

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// EndLabel is a label that relabelling finds on either end of an edge: its
// value is "caller" or "callee". KindLabel is the [Kind] of a callee, which it may
// change; a value that is none is not taken.
const (
	EndLabel  = "__end__"
	KindLabel = "__kind__"
)

// unknown is what service meshes write where they do not know a label.
const unknown = "unknown"

// end finds the service at one end of a discovered series.
type end struct {
	id     Identity
	d      Discovery
	name   string // the value of EndLabel
	own    string // the label that holds the service's own name
	labels map[string][]string
	b      *labels.Builder
}

func (d Discovery) ends(id Identity) (caller, callee end) {
	b := labels.NewBuilder(labels.EmptyLabels())
	return end{id: id, d: d, name: "caller", own: d.Caller, labels: d.CallerLabels, b: b},
		end{id: id, d: d, name: "callee", own: d.Callee, labels: d.CalleeLabels, b: b}
}

// Ends names the services at both ends of a series that measures an edge, by
// the labels that the discovery reads; ok is false unless it has two.
func (d Discovery) Ends(id Identity, m labels.Labels) (caller, callee Service, ok bool) {
	from, to := d.ends(id)
	caller, _, keepFrom := from.of(m)
	callee, _, keepTo := to.of(m)
	ok = keepFrom && keepTo && caller != "" && callee != "" && caller != callee
	return caller, callee, ok
}

// value returns what an identity label is at this end.
func (e end) value(m labels.Labels, name string) string {
	label := name
	others, mapped := e.labels[name]
	if name == e.id.Last() {
		label = e.own
	} else if mapped {
		label = ""
	}
	v := ""
	if label != "" {
		v = m.Get(label)
	}
	for _, other := range others {
		if v != "" && v != unknown {
			break
		}
		if next := m.Get(other); next != "" {
			v = next
		}
	}
	return v
}

// of returns the service, "" where there is none, with its kind, and whether
// relabelling kept the end.
func (e end) of(m labels.Labels) (_ Service, _ Kind, keep bool) {
	if len(e.d.Relabel) == 0 {
		return e.id.Of(func(name string) string { return e.value(m, name) }), e.d.Kind, true
	}
	e.b.Reset(m)
	e.b.Del(model.MetricNameLabel)
	for _, name := range e.id.list() {
		e.b.Set(name, e.value(m, name)) // an empty value deletes
	}
	e.b.Set(EndLabel, e.name)
	if e.name == "callee" {
		e.b.Set(KindLabel, string(e.d.Kind))
	}
	if !relabel.ProcessBuilder(e.b, e.d.Relabel...) {
		return "", "", false
	}
	kind, err := ParseKind(e.b.Get(KindLabel))
	if err != nil {
		kind = e.d.Kind
	}
	return e.id.Of(e.b.Get), kind, true
}
