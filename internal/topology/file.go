package topology

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Bounds of one topology file.
const (
	maxServices = 10_000
	maxCalls    = DefaultMaxEdges
)

// Declared is what topology files say.
type Declared struct {
	Nodes []Node // sorted by service
	Edges []Edge // sorted by caller and callee
}

// Merge returns what either says. Of a service that both describe, any flag
// counts, and kind, owner and runbook are d's where d has them.
func (d Declared) Merge(other Declared) Declared {
	nodes := make(map[Service]Node, len(d.Nodes)+len(other.Nodes))
	for _, n := range slices.Concat(d.Nodes, other.Nodes) {
		old, ok := nodes[n.Service]
		if ok {
			merged := mergeNodes(old, n)
			if old.Kind != "" {
				merged.Kind = old.Kind
			}
			if old.Owner != "" {
				merged.Owner = old.Owner
			}
			if old.Runbook != "" {
				merged.Runbook = old.Runbook
			}
			n = merged
		}
		nodes[n.Service] = n
	}
	edges := map[[2]Service]Edge{}
	for _, e := range slices.Concat(d.Edges, other.Edges) {
		edges[[2]Service{e.Caller, e.Callee}] = e
	}
	var out Declared
	for _, s := range slices.Sorted(maps.Keys(nodes)) {
		out.Nodes = append(out.Nodes, nodes[s])
	}
	out.Edges = slices.SortedFunc(maps.Values(edges), compareEdges)
	return out
}

// entry is one service of a topology file, without its identity labels.
type entry struct {
	Calls    []yaml.Node `yaml:"calls"`
	Kind     string      `yaml:"kind"`
	Entry    *bool       `yaml:"entry"`
	Critical bool        `yaml:"critical"`
	Owner    string      `yaml:"owner"`
	Runbook  string      `yaml:"runbook"`
}

var entryFields = []string{"calls", "kind", "entry", "critical", "owner", "runbook"}

// ParseFile reads a topology file:
//
//	services:
//	  - name: checkout              # the last identity label
//	    namespace: shop             # the others, where there are any
//	    calls: [payments, {name: db, namespace: data}]
//	    kind: service               # or database, queue, cache, node, zone, external
//	    entry: true
//	    critical: true
//	    owner: team-checkout
//	    runbook: https://runbooks.example/checkout
//
// A callee has the identity labels of its caller, except those that it names
// itself. Errors are [yamlfile.Error] values, joined.
func ParseFile(path string, data []byte, id Identity) (Declared, error) {
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return Declared{}, err
	}
	var file struct {
		Services []yaml.Node `yaml:"services"`
	}
	if err := yamlfile.Decode(path, root, &file); err != nil {
		return Declared{}, err
	}
	if n := len(file.Services); n > maxServices {
		return Declared{}, yamlfile.At(path, &file.Services[maxServices], "more than %d services (%d)", maxServices, n)
	}
	r := reader{path: path, id: id, nodes: map[Service]Node{}, edges: map[[2]Service]Edge{}, lines: map[Service]int{}}
	for i := range file.Services {
		r.service(&file.Services[i])
		if len(r.edges) > maxCalls {
			r.fail(&file.Services[i], "more than %d calls in one file: declare fewer", maxCalls)
			break
		}
	}
	if len(r.errs) > 0 {
		return Declared{}, errors.Join(r.errs...)
	}
	return Declared{
		Nodes: slices.SortedFunc(maps.Values(r.nodes), func(a, b Node) int { return cmp.Compare(a.Service, b.Service) }),
		Edges: slices.SortedFunc(maps.Values(r.edges), compareEdges),
	}, nil
}

// reader collects what the services of a file say.
type reader struct {
	path  string
	id    Identity
	nodes map[Service]Node
	edges map[[2]Service]Edge
	lines map[Service]int // where a service was described
	errs  []error
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, yamlfile.At(r.path, n, format, args...))
}

func (r *reader) service(n *yaml.Node) {
	values, rest, err := r.id.SplitFields(r.path, n, "name", entryFields)
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	var e entry
	if err := yamlfile.Decode(r.path, rest, &e); err != nil {
		r.errs = append(r.errs, err)
		return
	}
	s := r.id.OfMap(values)
	if s == "" {
		r.fail(n, "the service has no name: write name: …")
		return
	}
	if line, ok := r.lines[s]; ok {
		r.fail(n, "service %q is described already, in line %d", s, line)
		return
	}
	r.lines[s] = n.Line
	if err := checkRunbook(e.Runbook); err != nil {
		_, at := yamlfile.Lookup(rest, "runbook")
		r.fail(at, "runbook: %v", err)
	}
	kind, err := ParseKind(e.Kind)
	if err != nil {
		_, at := yamlfile.Lookup(rest, "kind")
		r.fail(at, "%v", err)
	}
	node := Node{Service: s, Kind: kind, Critical: e.Critical, Owner: e.Owner, Runbook: e.Runbook, Declared: true}
	if e.Entry != nil {
		node.Entry, node.Internal = *e.Entry, !*e.Entry
	}
	r.nodes[s] = node
	for i := range e.Calls {
		r.call(s, values, &e.Calls[i])
	}
}

// call reads one item of calls: a name, or a mapping of identity labels.
func (r *reader) call(caller Service, values map[string]string, n *yaml.Node) {
	own := map[string]string{}
	if n.Kind == yaml.MappingNode {
		var err error
		if own, _, err = r.id.SplitFields(r.path, n, "name", nil); err != nil {
			r.errs = append(r.errs, err)
			return
		}
	} else {
		var name string
		if err := yamlfile.Decode(r.path, n, &name); err != nil {
			r.fail(n, "calls: want the name of a service or {name: …, …}")
			return
		}
		own[r.id.Last()] = name
	}
	if own[r.id.Last()] == "" {
		r.fail(n, "calls: the service has no name")
		return
	}
	full := maps.Clone(values)
	maps.Copy(full, own)
	callee := r.id.OfMap(full)
	k := [2]Service{caller, callee}
	switch _, twice := r.edges[k]; {
	case callee == caller:
		r.fail(n, "calls: %q calls itself: leave it out", caller)
	case twice:
		r.fail(n, "calls: %q stands twice", callee)
	default:
		r.edges[k] = Edge{Caller: caller, Callee: callee, Declared: true}
		if _, ok := r.nodes[callee]; !ok {
			r.nodes[callee] = Node{Service: callee, Declared: true}
		}
	}
}

func checkRunbook(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is no http or https URL", text)
	}
	return nil
}
