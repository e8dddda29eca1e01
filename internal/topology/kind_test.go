package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// kinds shows the kinds that are told.
func kinds(g *Graph) string {
	var out []string
	for _, n := range g.Nodes() {
		if n.Kind != "" {
			out = append(out, fmt.Sprintf("%s=%s", n.Service, n.Kind))
		}
	}
	return strings.Join(out, " ")
}

// kinded makes edges of "a>b:database b>c".
func kinded(text string) []Edge {
	var out []Edge
	for _, f := range strings.Fields(text) {
		f, kind, _ := strings.Cut(f, ":")
		e := calls(f)[0]
		e.Kind = Kind(kind)
		out = append(out, e)
	}
	return out
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name, edges, nodes, kinds, entries string
	}{
		{"plain", "a>b", "", "", "a"},
		{"from an edge", "a>db:database b>db", "", "db=database", "a b"},
		{"the first kind counts", "a>x:external b>x:cache c>x:database", "", "x=database", "a b c"},
		{"a file counts before edges", "a>x:external", "x:cache", "x=cache", "a"},
		{"a file says that it is a service after all", "a>x:external", "x:service", "x=service", "a"},
		{"what calls others is observed", "a>x:external x>y", "", "", "a"},
		{"a database that calls others stays one", "a>db:database db>disk:node", "", "db=database disk=node", "a"},
		{"running on a node is no call", "a>n:node", "", "n=node", ""},
		{"neither is a node's being in a zone", "a>b b>n:node n>z:zone", "", "n=node z=zone", "a"},
		{"reading a queue is no entry", "a>q:queue b>q:queue b>c", "", "q=queue", "b"},
		{"infrastructure has no users", "db>disk", "db:database", "db=database", ""},
		{"two files, two kinds", "a>x", "x:queue x:database", "x=database", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var nodes []Node
			for _, f := range strings.Fields(c.nodes) {
				s, kind, _ := strings.Cut(f, ":")
				nodes = append(nodes, Node{Service: Service(s), Kind: Kind(kind)})
			}
			edges := kinded(c.edges)
			for range 2 { // in either order
				g := NewGraph(nodes, edges)
				var entries []string
				for _, s := range g.Services() {
					if g.IsEntry(s) {
						entries = append(entries, string(s))
					}
				}
				if got := kinds(g); got != c.kinds {
					t.Errorf("kinds: got %q, want %q", got, c.kinds)
				}
				if got := strings.Join(entries, " "); got != c.entries {
					t.Errorf("entries: got %q, want %q", got, c.entries)
				}
				slices.Reverse(nodes)
				slices.Reverse(edges)
			}
		})
	}
}

func TestParseKind(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := ParseKind(string(k)); got != k || err != nil {
			t.Errorf("%s: got %q, %v", k, got, err)
		}
	}
	if got, err := ParseKind(""); got != "" || err != nil {
		t.Errorf("none: got %q, %v", got, err)
	}
	if _, err := ParseKind("databse"); err == nil || !strings.Contains(err.Error(), `did you mean "database"?`) {
		t.Errorf("misspelt: got %v", err)
	}
}

func TestGaps(t *testing.T) {
	const none = "{Unconnected:[] Unread:[] Nowhere:[] Alike:[]}"
	for _, c := range []struct{ name, edges, readings, want string }{
		{"nothing", "", "", none},
		{"all known", "a>b b>c", "c b a", none},
		{"no edges", "a>b", "a b lone", "{Unconnected:[lone] Unread:[] Nowhere:[] Alike:[]}"},
		{"given twice, and none", "", "x x", "{Unconnected:[x] Unread:[] Nowhere:[] Alike:[]}"},
		{"an edge to nowhere", "a>b c>b b>d", "a c d", "{Unconnected:[] Unread:[b] Nowhere:[a>b c>b] Alike:[]}"},
		{"a caller without readings", "a>b", "b", "{Unconnected:[] Unread:[a] Nowhere:[] Alike:[]}"},
		{"a database without an exporter", "a>db:database", "a", "{Unconnected:[] Unread:[db] Nowhere:[a>db] Alike:[]}"},
		{"nodes, zones and third parties have none", "a>b a>n:node n>z:zone a>x:external", "a b", none},
		{"where it runs does not connect it", "a>n:node", "a", "{Unconnected:[a] Unread:[] Nowhere:[] Alike:[]}"},
		{"two names of one", "web>pay shop/web>shop/cart", "shop/pay shop/web shop/cart",
			"{Unconnected:[shop/pay] Unread:[pay web] Nowhere:[web>pay] Alike:[shop/pay=pay]}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := services(c.readings)
			for range 2 {
				if got := showGaps(NewGraph(nil, kinded(c.edges)).Gaps(set)); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				slices.Reverse(set)
			}
		})
	}
	if got, want := showGaps((*Graph)(nil).Gaps(services("b a"))), "{Unconnected:[a b] Unread:[] Nowhere:[] Alike:[]}"; got != want {
		t.Errorf("no graph: got %s, want %s", got, want)
	}
	declared := NewGraph([]Node{{Service: "alone", Declared: true}}, nil)
	if got := showGaps(declared.Gaps(nil)); got != none {
		t.Errorf("declared without calls: got %s, want nothing that an edge names", got)
	}
}

func showGaps(g Gaps) string {
	var nowhere, alike []string
	for _, e := range g.Nowhere {
		nowhere = append(nowhere, fmt.Sprintf("%s>%s", e.Caller, e.Callee))
	}
	for _, p := range g.Alike {
		alike = append(alike, fmt.Sprintf("%s=%s", p.Readings, p.Edges))
	}
	return fmt.Sprintf("{Unconnected:%v Unread:%v Nowhere:%v Alike:%v}", g.Unconnected, g.Unread, nowhere, alike)
}
