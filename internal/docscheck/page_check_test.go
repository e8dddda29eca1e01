package docscheck

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tools of this package are tried as well: a checker that finds nothing
// would pass everything.
func TestParsePage(t *testing.T) {
	p, err := parsePage("x.md", strings.Join([]string{
		"# A: title", "", "Say `one", "two` and `a|b`.", "", "<!-- file: rules.yml -->", "```yaml", "groups: []", "```", "",
		"    foreshock version", "", "- item", "", "    not code", "", "## Same", "| a | b |", "|---|---|", "| `x` | `p\\|q` |", "## Same",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		Lang, Text, File string
		Line             int
	}
	var got []part
	for _, b := range p.blocks {
		got = append(got, part{b.lang, b.text, b.file, b.line})
	}
	want := []part{{"yaml", "groups: []\n", "rules.yml", 8}, {"indented", "foreshock version\n\n", "", 11}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if got, want := p.spans(), []span{{3, "one two"}, {4, "a|b"}, {20, "x"}, {20, "p|q"}}; !cmp.Equal(got, want, cmp.AllowUnexported(span{})) {
		t.Errorf("spans: got %v, want %v", got, want)
	}
	var anchors []string
	for _, h := range p.headings {
		anchors = append(anchors, h.anchor)
	}
	if got, want := strings.Join(anchors, " "), "a-title same same-1"; got != want {
		t.Errorf("anchors: got %q, want %q", got, want)
	}
	if got, want := p.rows(), map[int][]string{20: {"`x`", "`p|q`"}}; !cmp.Equal(got, want) {
		t.Errorf("rows: got %v, want %v", got, want)
	}
	for _, text := range []string{"```yaml\na: 1\n", "<!-- file: a.yml -->\ntext\n", "<!-- file: a.yml -->\n"} {
		if _, err := parsePage("x.md", text); err == nil {
			t.Errorf("%q: got no error, want one", text)
		}
	}
}

func TestSplit(t *testing.T) {
	f := func(script string, want ...command) {
		t.Helper()
		got, _ := split(script)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(command{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", script, diff)
		}
	}
	f("# nothing\n\n")
	f("foreshock version # the version", command{args: []string{"foreshock", "version"}})
	f("a 'b c' \"d e\"f \\\n  g\nh", command{args: []string{"a", "b c", "d ef", "g"}}, command{line: 2, args: []string{"h"}})
	f("a | b", command{args: []string{"a"}, piped: true}, command{args: []string{"b"}, piped: true})
	f("a && b; c &", command{args: []string{"a"}}, command{args: []string{"b"}}, command{args: []string{"c"}})
	f("a <in >out 2>/dev/null b", command{args: []string{"a", "b"}, in: "in", out: "out"})
	f("a 2>&1", command{args: []string{"a"}})
	f("X=1 until a \"$B\"; do c; done", command{args: []string{"a", "$B"}, expands: true}, command{args: []string{"c"}}, command{args: []string{"done"}})
	f("a '\n$b'\nc", command{args: []string{"a", "\n$b"}}, command{line: 2, args: []string{"c"}})
	for _, script := range []string{"a 'b", "a \\\n", "a \\"} {
		if _, open := split(script); !open {
			t.Errorf("%q: got a script that ends, want one that goes on", script)
		}
	}
}

func TestCommandsOf(t *testing.T) {
	got := commandsOf(&block{lang: "console", text: "$ foreshock \\\n>   version\nforeshock 1.0\n…\n$ echo $?\n0\n"})
	want := []command{
		{line: 0, args: []string{"foreshock", "version"}, shown: true, want: "foreshock 1.0\n…"},
		{line: 4, args: []string{"echo", "$?"}, expands: true, shown: true, want: "0"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := commandsOf(&block{lang: "indented", text: "some output\nforeshock check\n"}); len(got) != 1 || got[0].line != 1 {
		t.Errorf("indented: got %v, want one command at line 1", got)
	}
}

func TestPattern(t *testing.T) {
	f := func(want, got string, match bool) {
		t.Helper()
		if pattern(want).MatchString(trimLines(got)) != match {
			t.Errorf("page shows %q, program prints %q: got a match %v, want %v", want, got, !match, match)
		}
	}
	f("a\nb", "a  \nb\n", true)
	f("a\nb", "a\nc", false)
	f("a\nb", "a\nb\nc", false)
	f("a …, b", "a 1, b", true)
	f("a …, b", "a 1\n, b", false)
	f("a\n…", "a", true)
	f("a\n…", "a\nb\nc", true)
	f("…\nc", "a\nb\nc", true)
	f("…\nc", "c", true)
	f("…\nc", "b", false)
	f("a\n…\nc", "a\nb\nc", true)
	f("a\n…\nc", "a\nc", true)
	f("a\n…\nc", "ac", false)
	f("a.c", "abc", false)
}
