package starter

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/foreshock/foreshock/internal/packs"
	"github.com/foreshock/foreshock/internal/topology"
)

// usedPack is a pack that has data.
type usedPack struct {
	packs.Pack
	edges bool // the metrics of its recipes are there
}

// unlikely is a label that no exporter has: a pack that takes the service's name
// from a label of its own does not ask for it.
const unlikely = "foreshock_identity"

// known are all packs, for an identity that they do not know.
func (w *writer) known() []packs.Pack {
	if !w.Brief {
		return nil
	}
	var out []packs.Pack
	for _, name := range packs.Names() {
		p, err := packs.Load(name, packs.Options{Identity: []string{unlikely}})
		if err != nil {
			continue // all packs load for any identity
		}
		out = append(out, p)
	}
	return out
}

// sameOrigin reports whether a metric is of the exporters that a pack is for: the
// pack reads it, or one with the same beginning.
func sameOrigin(metric string, p packs.Pack) bool {
	return slices.ContainsFunc(p.Metrics, func(m string) bool { return prefix(m) == prefix(metric) })
}

// choosePacks takes the packs that have data with a service's name on it.
func (w *writer) choosePacks() error {
	w.packed = map[string]string{}
	for _, general := range w.known() {
		p, err := packs.Load(general.Name, packs.Options{Identity: w.identity, Interval: w.Interval})
		if err != nil {
			return err
		}
		named := func(metric string) bool {
			m, ok := w.metrics[metric]
			return ok && slices.ContainsFunc(p.ServiceLabels, m.has)
		}
		if !slices.ContainsFunc(p.Metrics, named) {
			continue
		}
		w.packs = append(w.packs, usedPack{p, w.hasEdges(p)})
		own := !slices.Contains(general.ServiceLabels, unlikely)
		for _, name := range w.names {
			stem := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
			reads := slices.ContainsFunc(p.Metrics, func(m string) bool { return m == name || m == stem+"_bucket" || m == stem+"_count" })
			if reads || own && sameOrigin(name, p) {
				w.packed[name] = p.Name
			}
		}
	}
	return nil
}

// hasEdges reports whether a metric of a pack's recipes is there.
func (w *writer) hasEdges(p packs.Pack) bool {
	id, err := topology.NewIdentity(w.identity)
	if err != nil {
		return false
	}
	for _, name := range p.Recipes {
		ds, err := topology.Recipe(name, id, topology.RecipeOptions{})
		if err != nil {
			continue
		}
		for _, d := range ds {
			if slices.ContainsFunc(w.names, func(m string) bool { return mentions(d.Edges, m) }) {
				return true
			}
		}
	}
	return false
}

// packList is the block packs.
func (w *writer) packList() string {
	if len(w.packs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("# Ready-made rules, edges and changes: docs/packs.md lists them.\npacks:\n")
	for _, p := range w.packs {
		n := 0
		for _, of := range w.packed {
			if of == p.Name {
				n++
			}
		}
		fmt.Fprintf(&b, "  - %s # %s\n", p.Name, counted(n, "metric"))
	}
	return b.String()
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

const (
	// lineWidth is where lists in comments are wrapped.
	lineWidth = 100
	// maxListed names are listed one by one; of more the beginnings are, with their number.
	maxListed = 40
)

// listed is a comment with names; "" for none.
func listed(what string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	words := slices.Clone(names)
	if len(names) > maxListed {
		count := map[string]int{}
		for _, n := range names {
			count[beginning.FindString(n)]++
		}
		words = words[:0]
		for p, n := range count {
			words = append(words, fmt.Sprintf("%s* (%d)", p, n))
		}
		slices.SortFunc(words, func(a, b string) int { return cmp.Compare(a, b) })
		if len(words) > maxListed {
			words = append(words[:maxListed], fmt.Sprintf("and of %d other beginnings", len(words)-maxListed))
		}
		what += fmt.Sprintf(" (%s)", counted(len(names), "metric"))
	}
	var b strings.Builder
	line := "# " + what + ":"
	for i, word := range words {
		end := ","
		if i == len(words)-1 {
			end = "."
		}
		if len(line)+1+len(word)+len(end) > lineWidth {
			b.WriteString(line + "\n")
			line = "#  "
		}
		line += " " + word + end
	}
	return b.String() + line + "\n"
}

// beginning is a name's first word.
var beginning = regexp.MustCompile(`^[^_]*_?`)
