package docscheck

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// link is a link to a place in the tree.
type link struct {
	line         int
	path, anchor string
}

var (
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	linkTarget = regexp.MustCompile(`^\[[^\]]+\]:\s+(\S+)`)
	inlineCode = regexp.MustCompile("`[^`]*`")
	example    = regexp.MustCompile(`(?:^|[\s(\x60"'=/])(examples/[\w.*/-]*[\w*/])`)
)

// links returns the page's links that stay in the tree.
func (p *page) links() []link {
	var out []link
	for i, line := range p.text {
		// The text of a link may be code, but what code shows is no link.
		line = inlineCode.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat("x", len(s)) })
		for _, m := range append(inlineLink.FindAllStringSubmatch(line, -1), linkTarget.FindAllStringSubmatch(line, -1)...) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			to, anchor, _ := strings.Cut(m[1], "#")
			out = append(out, link{i + 1, to, anchor})
		}
	}
	return out
}

// testLinks follows all links, and looks for the examples that are named.
func (c *checker) testLinks(t *testing.T) {
	pages := map[string]*page{}
	for _, p := range c.pages {
		pages[p.path] = p
	}
	n := 0
	for _, p := range c.pages {
		for _, l := range p.links() {
			n++
			to := p.path
			if l.path != "" {
				to = path.Join(path.Dir(p.path), l.path)
			}
			if strings.HasPrefix(to, "..") || !c.exists(to) {
				t.Errorf("%s:%d: got a link to %s, want a file of the tree", p.path, l.line, to)
				continue
			}
			if l.anchor == "" {
				continue
			}
			other, ok := pages[to]
			if !ok {
				t.Errorf("%s:%d: got a link to #%s of %s, want one into a page", p.path, l.line, l.anchor, to)
				continue
			}
			var anchors []string
			for _, h := range other.headings {
				anchors = append(anchors, h.anchor)
			}
			if !slices.Contains(anchors, l.anchor) {
				t.Errorf("%s:%d: got a link to #%s of %s, want one of %s", p.path, l.line, l.anchor, to, strings.Join(anchors, ", "))
			}
		}
		for i, line := range p.text {
			for _, m := range example.FindAllStringSubmatch(line, -1) {
				if !c.exists(m[1]) && !strings.Contains(line, "../"+m[1]) {
					t.Errorf("%s:%d: got %s, want an example that is there", p.path, i+1, m[1])
				}
			}
		}
	}
	if n == 0 {
		t.Error("got no link in any page, want some")
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
