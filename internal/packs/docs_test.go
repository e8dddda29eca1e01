package packs

import (
	"flag"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the list of docs/packs.md")

const (
	page  = "../../docs/packs.md"
	begin = "<!-- The list is written by `go test ./internal/packs -args -rewrite`. -->\n"
)

// listed is the part of the page that lists the packs.
func listed(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(begin)
	for _, name := range Names() {
		p := load(t, name, Options{Identity: standard})
		data, err := files.ReadFile(path.Join("rules", name+".yml"))
		if err != nil {
			t.Fatal(err)
		}
		_, rules, ok := strings.Cut(string(data), "\nrules:\n")
		if !ok {
			t.Fatalf("%s: rules: is not the last block", name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", name, p.About)
		for _, r := range p.Recipes {
			fmt.Fprintf(&b, "\nEdges: the recipe `%s` of [Topology](topology.md).\n", r)
		}
		for _, v := range p.Versions {
			query, _, _ := strings.Cut(string(data), "\nrules:\n")
			_, query, _ = strings.Cut(query, "    versions: |\n")
			query, _, _ = strings.Cut(query, "    version_label:")
			fmt.Fprintf(&b, "\nChanges of kind `%s`, by the label `%s` of\n\n```promql\n%s```\n", v.Kind, v.Label, strings.ReplaceAll(query, "      ", ""))
		}
		fmt.Fprintf(&b, "\n```yaml\n%s```\n", strings.ReplaceAll("\n"+rules, "\n  ", "\n")[1:])
	}
	return b.String()
}

// The page lists every rule as it is.
func TestPageListsPacks(t *testing.T) {
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(got), begin)
	if !ok {
		t.Fatalf("%s: the line %q is missing", page, begin)
	}
	want := before + listed(t)
	if *rewrite {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(got) != want {
		t.Errorf("%s does not list the packs as they are: go test ./internal/packs -args -rewrite", page)
	}
}
