package ruletest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// columnWidth bounds a column of a failure message, in characters; longer texts are wrapped.
const columnWidth = 60

// field is one property of what was expected or found.
type field struct {
	name, text string
	num        float64                // of a number
	names      bool                   // it tells this item from others of its kind
	accepts    func(found field) bool // of an expectation; nil: the texts must be equal
}

func (f field) String() string {
	if f.name == "" {
		return f.text
	}
	return f.name + ": " + f.text
}

func (f field) matches(found field) bool {
	if f.accepts != nil {
		return f.accepts(found)
	}
	return f.text == found.text
}

// item is an alert, a sample, an anomaly or an incident.
type item []field

func (it item) field(name string) (field, bool) {
	for _, f := range it {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// common counts the fields in which a found item is as expected; named says
// that the one that names the item is among them.
func (it item) common(found item) (n int, named bool) {
	for _, f := range it {
		if g, ok := found.field(f.name); ok && f.matches(g) {
			n++
			named = named || f.names
		}
	}
	return n, named
}

// comparison holds what was expected and what was found. Whole: what an
// expectation leaves out must not be there; else it is not compared.
type comparison struct {
	expected, found []item
	whole           bool
}

func (c comparison) fits(e, f int) bool {
	exp, found := c.expected[e], c.found[f]
	n, _ := exp.common(found)
	return n == len(exp) && (!c.whole || n == len(found))
}

// pairs gives each expected item the found one that fits it, as many as can be
// (several expectations may fit the same item); -1 where there is none. ok says that nothing is left over.
func (c comparison) pairs() (of []int, ok bool) {
	of = slices.Repeat([]int{-1}, len(c.expected))
	taken := slices.Repeat([]int{-1}, len(c.found))
	var place func(e int, tried []bool) bool
	place = func(e int, tried []bool) bool {
		for f := range c.found {
			if tried[f] || !c.fits(e, f) {
				continue
			}
			tried[f] = true
			if taken[f] < 0 || place(taken[f], tried) {
				taken[f], of[e] = e, f
				return true
			}
		}
		return false
	}
	n := 0
	for e := range c.expected {
		if place(e, make([]bool, len(c.found))) {
			n++
		}
	}
	return of, n == len(c.expected) && n == len(c.found)
}

// row is a line of the table.
type row struct {
	differs    bool
	exp, found string
}

// table returns "" when all is as expected, else both sides next to each other,
// with a ! where they differ.
func (c comparison) table(color bool) string {
	of, ok := c.pairs()
	if ok {
		return ""
	}
	left := map[int]bool{}
	for f := range c.found {
		left[f] = !slices.Contains(of, f)
	}
	var rows []row
	add := func(r []row) {
		if len(rows) > 0 {
			rows = append(rows, row{})
		}
		rows = append(rows, r...)
	}
	// What has the same name is compared before what is merely alike.
	for _, byName := range []bool{true, false} {
		for e, exp := range c.expected {
			if of[e] < 0 {
				of[e] = c.nearest(exp, left, byName)
			}
			if of[e] >= 0 {
				left[of[e]] = false
			}
		}
	}
	for e, exp := range c.expected {
		if of[e] < 0 {
			add(c.rows(exp, nil))
			continue
		}
		add(c.rows(exp, c.found[of[e]]))
	}
	for f, found := range c.found {
		if left[f] {
			add(c.rows(nil, found))
		}
	}
	return render(rows, color)
}

// nearest is the found item among those left that shares most with the
// expected one, the first of equals; -1 when there is none.
func (c comparison) nearest(exp item, left map[int]bool, byName bool) int {
	best, most := -1, -1
	for f := range c.found {
		if n, named := exp.common(c.found[f]); left[f] && n > most && (named || !byName) {
			best, most = f, n
		}
	}
	return best
}

func (c comparison) rows(exp, found item) []row {
	if exp == nil || found == nil {
		var out []row
		for i, f := range slices.Concat(exp, found) {
			r := row{differs: true}
			if exp != nil {
				r.exp = f.String()
			} else {
				r.found = f.String()
			}
			if i == 0 && exp == nil {
				r.exp = "(nothing)"
			} else if i == 0 {
				r.found = "(nothing)"
			}
			out = append(out, r)
		}
		return out
	}
	var out []row
	for _, e := range exp {
		r := row{exp: e.String(), differs: true}
		if f, ok := found.field(e.name); ok {
			r.found, r.differs = f.String(), !e.matches(f)
		}
		out = append(out, r)
	}
	for _, f := range found {
		if _, ok := exp.field(f.name); !ok {
			out = append(out, row{found: f.String(), differs: c.whole})
		}
	}
	return out
}

const (
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func render(rows []row, color bool) string {
	width := len("expected")
	for i := range rows {
		width = max(width, min(columnWidth, utf8.RuneCountInString(rows[i].exp)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %-*s | got", width, "expected")
	for _, r := range rows {
		exp, found := wrap(r.exp), wrap(r.found)
		for i := range max(len(exp), len(found)) {
			var e, f string
			if i < len(exp) {
				e = exp[i]
			}
			if i < len(found) {
				f = found[i]
			}
			mark := " "
			if r.differs {
				mark = "!"
			}
			line := strings.TrimRight(fmt.Sprintf("%s %s%s | %s", mark, e, strings.Repeat(" ", width-utf8.RuneCountInString(e)), f), " ")
			if color && r.differs {
				line = red + line + plain
			}
			b.WriteString("\n" + line)
		}
	}
	return b.String()
}

// wrap cuts a text into lines of at most columnWidth characters, between words where that is possible.
func wrap(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		r := []rune(line)
		for len(r) > columnWidth {
			cut := columnWidth
			for i := columnWidth; i > columnWidth/2; i-- {
				if r[i] == ' ' {
					cut = i
					break
				}
			}
			out = append(out, string(r[:cut]))
			r = []rune(strings.TrimPrefix(string(r[cut:]), " "))
			r = append([]rune("  "), r...)
		}
		out = append(out, string(r))
	}
	return out
}
