package plot

import (
	"fmt"
	"image/color"
	"regexp"
	"strings"
)

// Theme says in which colours a plot is drawn.
type Theme int

const (
	Light Theme = iota
	Dark
	// Page takes the colours of the page that the plot is a part of, so that
	// one picture suits each of the page's themes: the CSS variables --plot-text,
	// --plot-grid, --plot-band, --plot-value, --plot-expected, --plot-onset and --plot-after.
	Page
)

// palette is the colours of a plot.
type palette struct {
	text, grid, band, line, expected, onset, after color.NRGBA
}

func (t Theme) palette() palette {
	if t == Dark {
		return palette{
			text: color.NRGBA{0x9a, 0xa7, 0xb8, 0xff}, grid: color.NRGBA{0x2a, 0x33, 0x40, 0xff},
			band: color.NRGBA{0x5b, 0x9d, 0xff, 0x33}, line: color.NRGBA{0x8c, 0xbc, 0xff, 0xff},
			expected: color.NRGBA{0x6b, 0x8f, 0xc4, 0xff}, onset: color.NRGBA{0xff, 0x6b, 0x6b, 0xff}, after: color.NRGBA{0xff, 0x6b, 0x6b, 0x14},
		}
	}
	if t == Page {
		// Opaque, since a translucent colour is rounded when it is written: these stand for the variables.
		return palette{
			text: color.NRGBA{1, 1, 1, 0xff}, grid: color.NRGBA{2, 2, 2, 0xff}, band: color.NRGBA{3, 3, 3, 0xff}, line: color.NRGBA{4, 4, 4, 0xff},
			expected: color.NRGBA{5, 5, 5, 0xff}, onset: color.NRGBA{6, 6, 6, 0xff}, after: color.NRGBA{7, 7, 7, 0xff},
		}
	}
	return palette{
		text: color.NRGBA{0x57, 0x60, 0x6a, 0xff}, grid: color.NRGBA{0xe2, 0xe5, 0xea, 0xff},
		band: color.NRGBA{0x2f, 0x6f, 0xd0, 0x2e}, line: color.NRGBA{0x1c, 0x4f, 0xa8, 0xff},
		expected: color.NRGBA{0x5d, 0x7f, 0xb8, 0xff}, onset: color.NRGBA{0xc4, 0x20, 0x2b, 0xff}, after: color.NRGBA{0xc4, 0x20, 0x2b, 0x0d},
	}
}

func hexOf(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// styled is a style attribute as vgsvg writes it.
var styled = regexp.MustCompile(`style="[^"]*"`)

// pageColours puts the page's variables in the place of the colours that stand
// for them; only styles change, no text.
func pageColours(svg string) string {
	p := Page.palette()
	pairs := []string{"font-variant:normal;font-weight:normal;font-style:normal;", ""}
	for _, c := range []struct {
		of   color.NRGBA
		name string
	}{{p.text, "text"}, {p.grid, "grid"}, {p.band, "band"}, {p.line, "value"}, {p.expected, "expected"}, {p.onset, "onset"}, {p.after, "after"}} {
		pairs = append(pairs, hexOf(c.of), "var(--plot-"+c.name+")")
	}
	r := strings.NewReplacer(pairs...)
	return styled.ReplaceAllStringFunc(svg, r.Replace)
}
