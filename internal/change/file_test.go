package change

import (
	"errors"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

const example = `changes:
  - {id: "4711", time: "2026-06-18T14:59:30+02:00", service: checkout, namespace: shop, kind: deploy, from: 1.4.2, to: 1.5.0, title: new query}
  - time: 2026-06-18T12:00:00Z
    service: frontend
    kind: flag
    from: off
    to: on
  - {id: c1, time: "2026-06-18T12:30:00Z", service: "", kind: commit, title: "docs", commit: abc, files: [README.md]}
`

func TestParseFile(t *testing.T) {
	list, err := ParseFile("changes.yml", []byte(example), topology.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("got %d changes, want 2: %+v", len(list), list)
	}
	flag := Change{Time: start, Service: "frontend", Kind: "flag", From: "off", To: "on"}
	flag.ID = flag.hash()
	if list[0] != flag {
		t.Errorf("got %+v, want %+v", list[0], flag)
	}
	if c := list[1]; c.ID != "4711" || c.Service != "shop/checkout" || c.From != "1.4.2" || c.Time.String() != "2026-06-18 12:59:30 +0000 UTC" {
		t.Errorf("got %+v", c)
	}
	for _, empty := range []string{"", "changes: []", "changes:\n"} {
		if list, err := ParseFile("c.yml", []byte(empty), topology.Identity{}); err != nil || len(list) > 0 {
			t.Errorf("%q: got %v, %v", empty, list, err)
		}
	}
}

func TestParseFileErrors(t *testing.T) {
	for _, c := range []struct {
		text, want string
		line       int
	}{
		{"changes:\n  - {time: 2026-06-18T12:00:00Z}\n", "no service", 2},
		{"changes:\n  - {service: a}\n", "no time", 2},
		{"changes:\n  - service: a\n    time: yesterday\n", "RFC 3339", 3},
		{"changes:\n  - service: a\n    time: 2026-06-18\n", "RFC 3339", 3},
		{"changes:\n  - service: ''\n    time: yesterday\n", "RFC 3339", 3},
		{"changes:\n  - service: a\n    time: 2026-06-18T12:00:00Z\n    titel: x\n", `did you mean "title"`, 4},
		{"changes:\n  - service: a\n    time: 2026-06-18T12:00:00Z\n    to: [x]\n", "", 4},
		{"changes:\n  - {service: a, id: x, time: 2026-06-18T12:00:00Z}\n  - {service: b, id: x, time: 2026-06-18T12:00:00Z}\n", "line 2 already", 3},
		{"changes:\n  - {service: a, time: 1812-06-18T12:00:00Z}\n", "not between", 2},
		{"change: []", `did you mean "changes"`, 1},
		{"changes: [a]", "want a mapping", 1},
		{"changes: {", "", 1},
	} {
		_, err := ParseFile("c.yml", []byte(c.text), topology.Identity{})
		var at *yamlfile.Error
		if !errors.As(err, &at) {
			t.Errorf("%q: got %v, want an error with a place", c.text, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || at.File != "c.yml" || at.Line != c.line || at.Column < 1 {
			t.Errorf("%q: got %v, want %q in line %d", c.text, err, c.want, c.line)
		}
	}
	many := "changes:\n" + strings.Repeat("- {}\n", MaxChanges+1)
	if _, err := ParseFile("c.yml", []byte(many), topology.Identity{}); err == nil || !strings.Contains(err.Error(), "more than 10000 changes") {
		t.Errorf("too many: got %.200v", err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(example)
	f.Add("changes: [{service: a, time: 2026-06-18T12:00:00Z}]")
	f.Add("changes: &a [{service: '', time: 2026-06-18T12:00:00Z, files: *a}]")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseFile("c.yml", []byte(text), topology.Identity{})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "c.yml:") {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		for _, c := range list {
			if again, err := c.complete(); err != nil || again != c {
				t.Fatalf("got %+v, %v", c, err)
			}
		}
	})
}
