package plot

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// Text is a small picture with a text, for where a plot was asked for and there is none.
func Text(text string, t Theme) []byte {
	const height = 60
	var b bytes.Buffer
	b.WriteString(head(height))
	b.WriteString("\n<title>No plot</title>")
	colour := hexOf(t.palette().text)
	if t == Page {
		colour = "var(--plot-text)"
	}
	for i, line := range wrap(XMLText(Clip(text, 180)), 62) {
		fmt.Fprintf(&b, `<text x="8" y="%d" style="font-family:%s;font-size:11px;fill:%s">%s</text>`, 18+15*i, fonts, colour, html.EscapeString(line))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// wrap breaks text into at most three lines of about width runes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		word = Clip(word, width)
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	lines = append(lines, line)
	return lines[:min(len(lines), 3)]
}

// XMLText replaces what XML 1.0 does not allow in a document, even escaped.
func XMLText(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000 && r <= 0x10FFFF:
			return r
		}
		return '\uFFFD'
	}, text)
}

// Clip shortens text to at most n runes, the last of which is then an ellipsis.
func Clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	for i := range text {
		if n--; n == 0 {
			return text[:i] + "…"
		}
	}
	return text
}
