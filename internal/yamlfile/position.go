package yamlfile

import (
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Position returns the line and column in the file's text of the character at
// the byte offset of a scalar's value, whatever the style in which the scalar
// is written: characters other than space are counted from the scalar's
// beginning, since folding changes spaces only. Escapes of double-quoted
// scalars other than of one character (\x…, \u…) may lead it some columns
// astray.
func Position(data []byte, n *yaml.Node, offset int) (line, column int) {
	n = Resolve(n)
	if n == nil || n.Kind != yaml.ScalarNode || n.Line < 1 {
		return 1, 1
	}
	offset = max(0, min(offset, len(n.Value)))
	skip := 0
	for _, r := range n.Value[:offset] {
		if !unicode.IsSpace(r) {
			skip++
		}
	}
	atEnd := offset == len(n.Value)

	c := cursor{data: data}
	c.seek(n.Line, n.Column)
	c.properties()
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.restOfLine()
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		c.next()
	}
	line, column = c.line, c.column
	for ; skip > 0; skip-- {
		c.spaces()
		c.character(n.Style)
		line, column = c.line, c.column
	}
	if !atEnd {
		c.spaces()
		line, column = c.line, c.column
	}
	return line, column
}

// cursor walks over a text and counts lines and columns.
type cursor struct {
	data         []byte
	at           int
	line, column int
}

func (c *cursor) peek() rune {
	r, _ := utf8.DecodeRune(c.data[c.at:])
	return r
}

func (c *cursor) end() bool { return c.at >= len(c.data) }

func (c *cursor) next() {
	if c.end() {
		return
	}
	r, size := utf8.DecodeRune(c.data[c.at:])
	c.at += size
	c.column++
	if r == '\n' {
		c.line, c.column = c.line+1, 1
	}
}

func (c *cursor) seek(line, column int) {
	c.at, c.line, c.column = 0, 1, 1
	for !c.end() && (c.line < line || c.line == line && c.column < column) {
		c.next()
	}
}

func (c *cursor) spaces() {
	for !c.end() && unicode.IsSpace(c.peek()) {
		c.next()
	}
}

func (c *cursor) restOfLine() {
	for line := c.line; !c.end() && c.line == line; {
		c.next()
	}
}

// properties skips an anchor and a tag.
func (c *cursor) properties() {
	for !c.end() && (c.peek() == '&' || c.peek() == '!') {
		for !c.end() && !unicode.IsSpace(c.peek()) {
			c.next()
		}
		c.spaces()
	}
}

// character skips one character of the value, which may be written as two.
// Escaped blanks before it, which are not counted, go with it.
func (c *cursor) character(style yaml.Style) {
	for !c.end() {
		first := c.peek()
		c.next()
		switch {
		case first == '\\' && style&yaml.DoubleQuotedStyle != 0:
			blank := !c.end() && (c.peek() == 'n' || c.peek() == 't' || c.peek() == '\n')
			c.next()
			if blank {
				c.spaces()
				continue
			}
		case first == '\'' && style&yaml.SingleQuotedStyle != 0:
			c.next()
		}
		return
	}
}
