package change

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"

	"github.com/foreshock/foreshock/internal/topology"
)

// Command is a template of the command that undoes a change, in the syntax of
// Go's text/template. It has the fields kind, from, to, title, id, service (the
// service's own name) and the identity labels. The command is only ever shown:
// nothing runs it.
//
// Values are put in for a POSIX shell: one that holds more than letters,
// digits and @%_+=:,./- is put in single quotes. So a field must not stand
// inside of quotes of its own.
type Command struct {
	t  *template.Template
	id topology.Identity
}

// maxCommand bounds a command, in bytes.
const maxCommand = 2000

// ParseCommand reads a template; an error is a [CommandError] where its place is known.
func ParseCommand(text string, id topology.Identity) (*Command, error) {
	t, err := template.New("rollback").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, placed(text, err)
	}
	c := &Command{t: t, id: id}
	if err := c.check(t.Root); err != nil {
		return nil, err
	}
	sample := Change{ID: "4711", Kind: DefaultKind, From: "1.4.2", To: "1.5.0", Title: "title"}
	values := map[string]string{}
	for _, n := range id.Names() {
		values[n] = n
	}
	sample.Service = id.OfMap(values)
	if _, err := c.expand(sample); err != nil {
		return nil, placed(text, err)
	}
	return c, nil
}

// CommandError is what is wrong with a template, and where: counted from 1, in bytes.
type CommandError struct {
	Line, Column int
	Msg          string
}

func (e *CommandError) Error() string { return e.Msg }

// templateError is how text/template says where an error is.
var (
	templateError = regexp.MustCompile(`^template: rollback:(\d+)(?::(\d+))?: (.*)$`)
	startedAt     = regexp.MustCompile(` started at rollback:(\d+)$`) // of what is found at its end
	placeOfField  = regexp.MustCompile(`:(\d+):(\d+)$`)
)

func placed(text string, err error) error {
	m := templateError.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	if s := startedAt.FindStringSubmatch(m[3]); s != nil {
		m[1], m[3] = s[1], strings.TrimSuffix(m[3], s[0])
	}
	line, lineErr := strconv.Atoi(m[1])
	if lineErr != nil {
		return err
	}
	e := &CommandError{Line: line, Column: 1, Msg: m[3]}
	if m[2] != "" { // text/template counts columns from 0
		if column, err := strconv.Atoi(m[2]); err == nil {
			e.Column = column + 1
		}
		return e
	}
	// Of a syntax error only the line is known: the action in it, then.
	lines := strings.Split(text, "\n")
	if line <= len(lines) {
		e.Column = max(0, strings.Index(lines[line-1], "{{")) + 1
	}
	return e
}

// check refuses fields that no change has, also where no sample leads.
func (c *Command) check(n parse.Node) error {
	known := slices.Sorted(maps.Keys(c.fields(Change{})))
	var bad error
	walkTemplate(n, func(f *parse.FieldNode) {
		if bad == nil && !slices.Contains(known, f.Ident[0]) {
			location, _ := c.t.ErrorContext(f)
			e := &CommandError{Line: 1, Column: 1, Msg: fmt.Sprintf("unknown field .%s; known are .%s", f.Ident[0], strings.Join(known, ", ."))}
			if m := placeOfField.FindStringSubmatch(location); m != nil {
				line, lineErr := strconv.Atoi(m[1])
				column, columnErr := strconv.Atoi(m[2])
				if lineErr == nil && columnErr == nil {
					e.Line, e.Column = line, column+1
				}
			}
			bad = e
		}
	})
	return bad
}

// walkTemplate visits the fields of a template's tree.
func walkTemplate(n parse.Node, visit func(*parse.FieldNode)) {
	list := func(l *parse.ListNode) {
		if l != nil {
			walkTemplate(l, visit)
		}
	}
	branch := func(b *parse.BranchNode) {
		walkTemplate(b.Pipe, visit)
		list(b.List)
		list(b.ElseList)
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, m := range n.Nodes {
			walkTemplate(m, visit)
		}
	case *parse.ActionNode:
		walkTemplate(n.Pipe, visit)
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			for _, a := range cmd.Args {
				walkTemplate(a, visit)
			}
		}
	case *parse.FieldNode:
		visit(n)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	}
}

// Expand returns the command for a change, "" where the change lacks a field
// that the command needs or has a value that no command should be made of.
func (c *Command) Expand(ch Change) string {
	if c == nil {
		return ""
	}
	text, err := c.expand(ch)
	if err != nil {
		return "" // what is said without it: which change, and to which version
	}
	return text
}

func (c *Command) expand(ch Change) (string, error) {
	fields := c.fields(ch)
	quoted := map[string]word{}
	for name, value := range fields {
		v, err := shell(value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		quoted[name] = word(v)
	}
	b := &bounded{left: maxCommand}
	if err := c.t.Execute(b, quoted); err != nil {
		return "", err
	}
	if strings.Contains(b.String(), missing) {
		return "", errors.New("the change lacks a field that the command needs")
	}
	return strings.TrimSpace(b.String()), nil
}

// word is a value as it stands in a command. An empty one is false in a
// condition, and leaves a mark where it is written: half a command is worse
// than none.
type word string

const missing = "\x00"

func (w word) String() string {
	if w == "" {
		return missing
	}
	return string(w)
}

func (c *Command) fields(ch Change) map[string]string {
	out := map[string]string{}
	labels := c.id.Labels(ch.Service)
	for _, n := range c.id.Names() {
		out[n] = labels[n]
	}
	out["service"] = labels[c.id.Last()]
	out["kind"], out["from"], out["to"], out["title"], out["id"] = ch.Kind, ch.From, ch.To, ch.Title, ch.ID
	return out
}

// shell writes a value as one word of a POSIX shell; an empty one stays empty,
// so that a template can ask for it.
func shell(s string) (string, error) {
	if strings.HasPrefix(s, "-") {
		return "", errors.New("a value that begins with - would be taken for an option")
	}
	plain := true
	for _, r := range s {
		if unicode.IsControl(r) {
			return "", errors.New("a value with a control character is not put into a command")
		}
		if r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@%_+=:,./-", r)) {
			plain = false
		}
	}
	if plain {
		return s, nil
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

// bounded is a text that refuses to grow beyond its bound.
type bounded struct {
	strings.Builder
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("the command is longer than %d bytes", maxCommand)
	}
	return b.Builder.Write(p)
}
