package yamlfile

import (
	"fmt"
	"strings"
)

// Nearest returns the known name that was most likely meant: the one with the
// least edit distance (insertions, deletions, substitutions and swaps of
// neighbours), the first of equals. It returns false when none is near: more
// than a third of the characters differ.
func Nearest(name string, known []string) (string, bool) {
	const longest = 100 // no field is longer; bounds the work on hostile input
	a := []rune(plain(name))
	if len(a) == 0 || len(a) > longest {
		return "", false
	}
	best, least := "", -1
	for _, k := range known {
		b := []rune(plain(k))
		if len(b) == 0 || len(b) > longest {
			continue
		}
		d := distance(a, b)
		if d <= max(1, max(len(a), len(b))/3) && (least < 0 || d < least) {
			best, least = k, d
		}
	}
	return best, least >= 0
}

// plain makes spellings equal that people mix up.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// distance is the optimal string alignment distance.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Unknown says that a name is not known, and which was most likely meant or
// which there are. The kind is what the name should name, such as "field".
func Unknown(kind, name string, known []string) string {
	if near, ok := Nearest(name, known); ok {
		return fmt.Sprintf("unknown %s %q; did you mean %q?", kind, shorten(name), near)
	}
	if len(known) == 0 {
		return fmt.Sprintf("unknown %s %q; there is none", kind, shorten(name))
	}
	return fmt.Sprintf("unknown %s %q; known are %s", kind, shorten(name), strings.Join(known, ", "))
}
