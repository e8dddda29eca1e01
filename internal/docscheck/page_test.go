package docscheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// page is one Markdown file, taken apart.
type page struct {
	path     string   // from the root of the tree, with slashes
	text     []string // its lines; those of code blocks and comments are empty
	blocks   []*block
	headings []heading
}

// block is one code block.
type block struct {
	page *page
	lang string // as the fence says; indented for a block without fence
	line int    // of its first line, from 1
	text string
	file string // its name, where it has one
}

type heading struct {
	line, level  int
	text, anchor string
}

// span is inline code.
type span struct {
	line int
	text string
}

// at is the place of a line of the block, counted from 0.
func (b *block) at(n int) string { return fmt.Sprintf("%s:%d", b.page.path, b.line+n) }

var (
	fence      = regexp.MustCompile("^(\\s*)(```+|~~~+)\\s*([\\w-]*)")
	comment    = regexp.MustCompile(`^<!--\s*file:\s*(\S+)\s*-->$`)
	firstLine  = regexp.MustCompile(`^# (\S+\.(?:ya?ml|csv|json))$`)
	atxHeading = regexp.MustCompile(`^(#{1,6})\s+(.*?)\s*#*$`)
	listItem   = regexp.MustCompile(`^\s*(?:[-*+]|\d+\.)\s`)
)

// parsePage takes a page apart; the error says what a reader would see broken.
func parsePage(path, text string) (*page, error) {
	p := &page{path: path}
	lines := strings.Split(text, "\n")
	anchors := map[string]int{}
	name, named := "", 0 // the last comment that names a file, until something follows it
	list := false        // what is indented belongs to an item of a list
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		p.text = append(p.text, line)
		blank := strings.TrimSpace(line) == ""
		if blank {
			continue
		}
		if m := comment.FindStringSubmatch(line); m != nil {
			name, named, p.text[i] = m[1], i+1, ""
			continue
		}
		if m := fence.FindStringSubmatch(line); m != nil {
			b := &block{page: p, lang: m[3], line: i + 2, file: name}
			name = ""
			end := i + 1
			for end < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[end]), m[2]) {
				end++
			}
			if end == len(lines) {
				return nil, fmt.Errorf("%s:%d: the code block does not end", path, i+1)
			}
			b.take(lines[i+1:end], m[1])
			p.blocks = append(p.blocks, b)
			p.text[i] = ""
			p.text = append(p.text, make([]string, end-i)...)
			i = end
			continue
		}
		if name != "" {
			return nil, fmt.Errorf("%s:%d: no code block follows the comment that names %s", path, named, name)
		}
		if strings.HasPrefix(line, "    ") && !list && (i == 0 || strings.TrimSpace(lines[i-1]) == "") {
			end := i
			for end < len(lines) && (strings.HasPrefix(lines[end], "    ") || strings.TrimSpace(lines[end]) == "") {
				end++
			}
			b := &block{page: p, lang: "indented", line: i + 1}
			b.take(lines[i:end], "    ")
			p.blocks = append(p.blocks, b)
			p.text[i] = ""
			p.text = append(p.text, make([]string, end-i-1)...)
			i = end - 1
			continue
		}
		if !strings.HasPrefix(line, " ") {
			list = listItem.MatchString(line)
		}
		if m := atxHeading.FindStringSubmatch(line); m != nil {
			h := heading{line: i + 1, level: len(m[1]), text: strings.ReplaceAll(m[2], "`", "")}
			h.anchor = slug(h.text)
			if n := anchors[h.anchor]; n > 0 {
				anchors[h.anchor]++
				h.anchor = fmt.Sprintf("%s-%d", h.anchor, n)
			} else {
				anchors[h.anchor] = 1
			}
			p.headings = append(p.headings, h)
		}
	}
	if name != "" {
		return nil, fmt.Errorf("%s:%d: no code block follows the comment that names %s", path, named, name)
	}
	return p, nil
}

// take sets the block's text, without the fence's indentation.
func (b *block) take(lines []string, indent string) {
	var out strings.Builder
	for _, line := range lines {
		out.WriteString(strings.TrimPrefix(line, indent))
		out.WriteByte('\n')
	}
	b.text = out.String()
	first, _, _ := strings.Cut(b.text, "\n")
	if m := firstLine.FindStringSubmatch(first); m != nil && b.file == "" && b.lang != "indented" {
		b.file = m[1]
	}
}

// slug is the anchor that GitHub gives a heading.
func slug(text string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r == ' ':
			out.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			out.WriteRune(r)
		}
	}
	return out.String()
}

// section is the heading of the given level or above that a line stands under; "" if there is none.
func (p *page) section(line, level int) string {
	found := ""
	for _, h := range p.headings {
		if h.line <= line && h.level <= level {
			found = h.text
		}
	}
	return found
}

// spans returns the page's inline code.
func (p *page) spans() []span {
	var out []span
	for i := 0; i < len(p.text); i++ {
		// Code may go over a line's end, but not out of its paragraph or row.
		from := i
		for !strings.HasPrefix(p.text[i], "|") && i+1 < len(p.text) && p.text[i] != "" && p.text[i+1] != "" && !strings.HasPrefix(p.text[i+1], "|") {
			i++
		}
		rest := strings.Join(p.text[from:i+1], "\n")
		line := from + 1
		for {
			open := strings.IndexByte(rest, '`')
			if open < 0 {
				break
			}
			ticks := len(rest[open:]) - len(strings.TrimLeft(rest[open:], "`"))
			end := strings.Index(rest[open+ticks:], rest[open:open+ticks])
			if end < 0 {
				break
			}
			line += strings.Count(rest[:open], "\n")
			code := rest[open+ticks : open+ticks+end]
			out = append(out, span{line, strings.ReplaceAll(strings.ReplaceAll(code, "\n", " "), `\|`, "|")})
			line += strings.Count(code, "\n")
			rest = rest[open+2*ticks+end:]
		}
	}
	return out
}

// rows returns the cells of the page's table rows by line, without head rows.
func (p *page) rows() map[int][]string {
	out := map[int][]string{}
	for i, line := range p.text {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || i+1 < len(p.text) && strings.HasPrefix(p.text[i+1], "|--") {
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "| "), `\|`, "\x00"), "|")
		for k := range cells {
			cells[k] = strings.TrimSpace(strings.ReplaceAll(cells[k], "\x00", "|"))
		}
		out[i+1] = cells
	}
	return out
}

// code returns the inline code in a text.
func code(text string) []string {
	var out []string
	for _, s := range (&page{text: []string{text}}).spans() {
		out = append(out, s.text)
	}
	return out
}

// readPages reads the pages that this package answers for.
func readPages(t *testing.T, root string) []*page {
	t.Helper()
	paths := []string{"README.md", "CONTRIBUTING.md"}
	for _, dir := range []string{"docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			rel, relErr := filepath.Rel(root, path)
			if err != nil || relErr != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if filepath.Ext(path) == ".md" && (dir == "docs" || e.Name() == "README.md") {
				paths = append(paths, filepath.ToSlash(rel))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var pages []*page
	for _, path := range paths {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePage(path, string(data))
		if err != nil {
			t.Error(err)
			continue
		}
		pages = append(pages, p)
	}
	return pages
}
