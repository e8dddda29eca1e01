package yamlfile

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxMerges bounds how many mappings one mapping may merge, its own merges included.
const maxMerges = 1000

// A pair is a key of a mapping with its value.
type pair struct {
	name       string
	key, value *yaml.Node
}

// A fault is an error that does not know its file yet.
type fault struct {
	at  *yaml.Node
	msg string
}

// pairs lists the pairs of a mapping in their order, those that it merges by
// "<<" after its own. A key of its own goes before a merged one, an earlier
// merge before a later.
func pairs(n *yaml.Node) ([]pair, []fault) {
	w := pairWalk{seen: make(map[string]*yaml.Node, len(n.Content)/2)}
	w.mapping(n, false)
	return w.list, w.faults
}

type pairWalk struct {
	list   []pair
	faults []fault
	seen   map[string]*yaml.Node
	active []*yaml.Node // mappings around the one that is walked: an anchor may hold itself
	merges int
}

func (w *pairWalk) fail(at *yaml.Node, format string, args ...any) {
	w.faults = append(w.faults, fault{at: at, msg: fmt.Sprintf(format, args...)})
}

func (w *pairWalk) mapping(n *yaml.Node, merged bool) {
	for _, outer := range w.active {
		if outer == n {
			w.fail(n, "this mapping merges itself")
			return
		}
	}
	if w.merges++; w.merges > maxMerges {
		w.fail(n, "more than %d mappings are merged here", maxMerges)
		return
	}
	w.active = append(w.active, n)
	defer func() { w.active = w.active[:len(w.active)-1] }()

	own := make(map[string]*yaml.Node, len(n.Content)/2)
	var merge *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := Resolve(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode || isNull(key) {
			w.fail(n.Content[i], "expected a name as the key, not %s", describe(key))
			continue
		}
		if isMerge(key) {
			if merge != nil {
				w.fail(n.Content[i], "key \"<<\" appears twice: the first is at line %d", own["<<"].Line)
				continue
			}
			merge, own["<<"] = value, n.Content[i]
			continue
		}
		if first, ok := own[key.Value]; ok {
			w.fail(n.Content[i], "key %q appears twice: the first is at line %d", shorten(key.Value), first.Line)
			continue
		}
		own[key.Value] = n.Content[i]
		if _, ok := w.seen[key.Value]; ok && merged {
			continue
		}
		w.seen[key.Value] = n.Content[i]
		w.list = append(w.list, pair{name: key.Value, key: n.Content[i], value: value})
	}
	if merge == nil {
		return
	}
	switch m := Resolve(merge); m.Kind {
	case yaml.MappingNode:
		w.mapping(m, true)
	case yaml.SequenceNode:
		for _, item := range m.Content {
			if r := Resolve(item); r.Kind == yaml.MappingNode {
				w.mapping(r, true)
			} else {
				w.fail(item, "\"<<\" merges mappings, not %s", describe(r))
			}
		}
	default:
		w.fail(merge, "\"<<\" merges mappings, not %s", describe(m))
	}
}

func isMerge(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "<<" && (n.Tag == "" || n.Tag == "!" || n.ShortTag() == "!!merge")
}

// describe says what a node is, in words for an error.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if isNull(n) {
			return "nothing"
		}
		return fmt.Sprintf("%q", shorten(n.Value))
	}
	return "this"
}

// shorten keeps hostile input out of error messages.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
