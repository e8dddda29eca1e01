package yamlfile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

type inner struct {
	Calls []string `yaml:"calls"`
	Entry bool     `yaml:"entry"`
}

type Inlined struct {
	Owner string `yaml:"owner"`
}

type sample struct {
	Name     string            `yaml:"name"`
	Count    int               `yaml:"count"`
	Small    uint8             `yaml:"small"`
	Share    float64           `yaml:"share"`
	Wait     time.Duration     `yaml:"wait"`
	For      model.Duration    `yaml:"for"`
	Labels   map[string]string `yaml:"labels"`
	Services map[string]inner  `yaml:"services"`
	List     []inner           `yaml:"list"`
	Pointer  *inner            `yaml:"pointer"`
	Addr     netip.Addr        `yaml:"addr"`
	Raw      yaml.Node         `yaml:"raw"`
	Any      any               `yaml:"any"`
	Plain    bool
	Inlined  `yaml:",inline"`
	Hidden   string `yaml:"-"`
}

func decode(t *testing.T, text string, into any) error {
	t.Helper()
	n, err := Parse("f.yml", []byte(text))
	if err != nil {
		return err
	}
	return Decode("f.yml", n, into)
}

func TestDecode(t *testing.T) {
	got := sample{Count: 7, Name: "kept"}
	err := decode(t, `
name:
wait: 1m30s
for: 2d
share: 0.5
small: 200
labels: &l {a: x, n: 1, b: true, none: }
services:
  checkout: {calls: [payments, db], entry: true}
  payments:
list:
- calls: [a]
- &second {entry: true}
- *second
- <<: [*second, {calls: [merged]}]
  calls: [own]
pointer: {}
addr: 10.0.0.1
raw: {anything: [goes]}
any: {k: [1, two]}
plain: true
owner: shop
`, &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Raw.Kind != yaml.MappingNode || got.Raw.Line != 19 {
		t.Errorf("raw: got kind %v at line %d, want a mapping at line 19", got.Raw.Kind, got.Raw.Line)
	}
	got.Raw = yaml.Node{}
	want := sample{
		Name: "kept", Count: 7, Small: 200, Share: 0.5, Wait: 90 * time.Second, For: model.Duration(48 * time.Hour),
		Labels:   map[string]string{"a": "x", "n": "1", "b": "true", "none": ""},
		Services: map[string]inner{"checkout": {Calls: []string{"payments", "db"}, Entry: true}, "payments": {}},
		List:     []inner{{Calls: []string{"a"}}, {Entry: true}, {Entry: true}, {Calls: []string{"own"}, Entry: true}},
		Pointer:  &inner{}, Addr: netip.MustParseAddr("10.0.0.1"),
		Any: map[string]any{"k": []any{1, "two"}}, Plain: true, Inlined: Inlined{Owner: "shop"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"unknown field", "nmae: x\n", []string{`f.yml:1:1: unknown field "nmae"; did you mean "name"?`}},
		{"unknown field, none near", "list:\n- {zzzzz: 1}\n", []string{`f.yml:2:4: unknown field "zzzzz"; known are calls, entry`}},
		{"all of a file", "count: x\nshare: []\nfoo_bar_baz: 1\n", []string{
			`f.yml:1:8: expected a whole number, not "x"`, `f.yml:2:8: expected a number, not a list`, `f.yml:3:1: unknown field "foo_bar_baz"; known are name,`}},
		{"duration", "wait: 5\nfor: soon\n", []string{
			`f.yml:1:7: expected a duration such as 30s, 5m or 1h30m, not "5"`, `f.yml:2:6: expected a duration such as 30s, 5m or 1h30m, not "soon"`}},
		{"duration list", "wait: [1s]\n", []string{`f.yml:1:7: expected a duration such as 30s, not a list`}},
		{"twice", "name: a\ncount: 1\nname: b\n", []string{`f.yml:3:1: key "name" appears twice: the first is at line 1`}},
		{"twice in a map", "labels:\n  a: x\n  a: y\n", []string{`f.yml:3:3: key "a" appears twice: the first is at line 2`}},
		{"list for struct", "pointer: [1]\n", []string{`f.yml:1:10: expected a mapping with the fields calls, entry, not a list`}},
		{"scalar for list", "list: a\n", []string{`f.yml:1:7: expected a list, not "a"`}},
		{"scalar for map", "labels: a\n", []string{`f.yml:1:9: expected a mapping of names to values, not "a"`}},
		{"bool", "plain: maybe\n", []string{`f.yml:1:8: expected true or false, not "maybe"`}},
		{"too large", "small: 300\n", []string{`f.yml:1:8: expected a whole number, zero or more, not "300"`}},
		{"text", "name: {a: b}\n", []string{`f.yml:1:7: expected a text, not a mapping`}},
		{"own text", "addr: here\n", []string{`f.yml:1:7: ParseAddr("here")`}},
		{"own text, kind", "addr: [a]\n", []string{`f.yml:1:7: expected a single value, not a list`}},
		{"any with a repeated key", "any:\n  a: 1\n  a: 2\n", []string{`f.yml:3:1: mapping key "a" already defined at line 2`}},
		{"null key", "labels: {~: x}\n", []string{`f.yml:1:10: expected a name as the key, not nothing`}},
		{"list as key", "? [a]\n: x\n", []string{`f.yml:1:3: expected a name as the key, not a list`}},
		{"merge of a list item", "pointer:\n  <<: [1]\n", []string{`f.yml:2:8: "<<" merges mappings, not "1"`}},
		{"merge of a scalar", "pointer:\n  <<: x\n", []string{`f.yml:2:7: "<<" merges mappings, not "x"`}},
		{"anchor in itself", "list: &a [*a]\n", []string{`expected a mapping`}},
		{"merge of itself", "pointer: &a {<<: *a}\n", []string{`this mapping merges itself`}},
		{"hidden", "hidden: x\n", []string{`f.yml:1:1: unknown field "hidden"`}},
		{"root", "- a\n", []string{`f.yml:1:1: expected a mapping with the fields name, count`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := decode(t, tc.text, &sample{})
			if err == nil {
				t.Fatalf("no error; want %q", tc.want)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(tc.want), err)
			}
			for i, w := range tc.want {
				if !strings.Contains(lines[i], w) {
					t.Errorf("error %d:\n got %s\nwant %s", i, lines[i], w)
				}
			}
			if e := (*Error)(nil); !errors.As(err, &e) || e.File != "f.yml" {
				t.Errorf("no *Error in %v", err)
			}
		})
	}
}

func TestDecodeBounds(t *testing.T) {
	var many strings.Builder
	for i := range maxErrors + 10 {
		fmt.Fprintf(&many, "unknown%d: 1\n", i)
	}
	err := decode(t, many.String(), &sample{})
	if err == nil || !strings.Contains(err.Error(), "and 10 more errors") {
		t.Errorf("got %v, want the number of errors that are left out", err)
	}

	// Each level holds the one before ten times.
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'h'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	var out struct {
		A []string       `yaml:"a"`
		B [][]string     `yaml:"b"`
		C [][][]string   `yaml:"c"`
		D [][][][]string `yaml:"d"`
		E any            `yaml:"e"`
		F any            `yaml:"f"`
		G any            `yaml:"g"`
		H any            `yaml:"h"`
	}
	if err := decode(t, bomb, &out); err == nil {
		t.Error("a document that aliases multiply was taken")
	}
	if err := Decode("f.yml", nil, &out); err != nil {
		t.Errorf("nil node: got %v, want nothing", err)
	}
	if err := Decode("f.yml", &yaml.Node{Kind: yaml.ScalarNode}, out); err == nil {
		t.Error("decoding into a value that is no pointer gave no error")
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		text, want string // want "" is a nil node
	}{
		{"", ""}, {"# nothing\n", ""}, {"---\n", ""}, {"~", ""}, {"a: 1\n---\n", "a"}, {"a: 1\n...\n", "a"},
	} {
		n, err := Parse("f.yml", []byte(tc.text))
		if err != nil || (n == nil) != (tc.want == "") {
			t.Errorf("%q: got node %v and error %v", tc.text, n, err)
		}
	}
	for _, tc := range []struct{ text, want string }{
		{"a: 1\n---\nb: 1\n", "f.yml:3:1: a second YAML document begins here"},
		{"a: b: c\n", "f.yml:1:1: mapping values are not allowed"},
		{"a: 1\nb: [\n", "did not find"},
		{"a:\n\tb: 1\n", "f.yml:2:1: found character that cannot start any token"},
		{"a: *none\n", "unknown anchor"},
		{"a: \xff\n", "invalid"},
	} {
		_, err := Parse("f.yml", []byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q:\n got %v\nwant %s", tc.text, err, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"detect", "expr", "signal", "detector", "direction", "false_alarms", "for"}
	for name, want := range map[string]string{
		"dtector": "detector", "Signal": "signal", "false-alarms": "false_alarms", "exrp": "expr", "fro": "for",
		"zzz": "", "": "", "direction_of_travel": "", strings.Repeat("x", 1000): "",
	} {
		if got, ok := Nearest(name, known); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q): got %q, want %q", name, got, want)
		}
	}
}

func TestField(t *testing.T) {
	n, err := Parse("f.yml", []byte("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	use := Field(n, "use")
	if x, y := Field(use, "x"), Field(use, "y"); x == nil || x.Value != "1" || y == nil || y.Value != "3" {
		t.Errorf("got x %v, y %v; want 1 and 3", x, y)
	}
	if Field(use, "z") != nil || Field(nil, "z") != nil || Field(Field(use, "x"), "z") != nil {
		t.Error("found a field that is not there")
	}
}

func TestPosition(t *testing.T) {
	for _, tc := range []struct{ name, text, find, want string }{
		{"plain", "expr: rate(x)\n", "x", "1:12"},
		{"double quoted", `expr: "rate(\"a\", x)"`, "x", "1:20"},
		{"single quoted", `expr: 'it''s x'`, "x", "1:14"},
		{"literal", "expr: |\n  sum(\n    x\n  )\n", "x", "3:5"},
		{"literal, kept", "expr: |-2\n    a\n  x\n", "x", "3:3"},
		{"folded", "a: 1\nexpr: >-\n  sum(\n\n  x)\n", "x", "5:3"},
		{"plain on lines", "expr: sum(\n  a +\n  x)\n", "x", "3:3"},
		{"anchor", "expr: &name |\n  a x\n", "x", "2:5"},
		{"characters", "expr: é == x\n", "x", "1:12"},
		{"end", "expr: rate(\n", "", "1:12"},
		{"end of literal", "expr: |\n  rate(\nb: 1\n", "", "2:8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, err := Parse("f.yml", []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			n := Field(root, "expr")
			offset := len(n.Value)
			if tc.find != "" {
				offset = strings.Index(n.Value, tc.find)
			}
			line, column := Position([]byte(tc.text), n, offset)
			if got := fmt.Sprintf("%d:%d", line, column); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// What is taken here, the yaml package takes as well, with the same result.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"name: x\nlist:\n- {calls: [a]}\n", "a: &a [*a]", "pointer: &a {<<: *a}", "labels: {a: 1, b: ~}", "wait: 1h\nfor: 1d",
		"any: {a: [1, {b: c}]}", "{<<: [{name: a}, {name: b}]}", "name: !!binary aGk=", "? {a: b}\n: c", "services: {a: {entry: yes}}", "name: |\n a\n b\n",
		"small: 0x10\nshare: .inf\ncount: 1_000", "raw: *x", "list:\n-", "\xef\xbb\xbfname: bom",
	} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, text string, offset int) {
		n, err := Parse("f.yml", []byte(text))
		if err != nil || n == nil {
			return
		}
		Position([]byte(text), Field(n, "name"), offset)
		// The yaml package has no durations; both see them as texts.
		type common struct {
			Name     string            `yaml:"name"`
			Count    int               `yaml:"count"`
			Small    uint8             `yaml:"small"`
			Share    float64           `yaml:"share"`
			Labels   map[string]string `yaml:"labels"`
			Services map[string]inner  `yaml:"services"`
			List     []inner           `yaml:"list"`
			Pointer  *inner            `yaml:"pointer"`
			Any      any               `yaml:"any"`
		}
		_ = Decode("f.yml", n, &sample{})
		var got, want common
		if Decode("f.yml", n, &got) != nil {
			return
		}
		dec := yaml.NewDecoder(strings.NewReader(text))
		dec.KnownFields(true)
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q was taken, but yaml says %v", text, err)
		}
		if g, w := fmt.Sprintf("%+v %+v", got, got.Pointer), fmt.Sprintf("%+v %+v", want, want.Pointer); stripPointer(g) != stripPointer(w) {
			t.Fatalf("%q:\n got %s\nwant %s", text, g, w)
		}
	})
}

// stripPointer removes the address of the pointer field.
func stripPointer(s string) string {
	i := strings.Index(s, "Pointer:0x")
	if i < 0 {
		return s
	}
	j := strings.IndexByte(s[i:], ' ')
	return s[:i] + s[i+j:]
}
