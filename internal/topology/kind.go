package topology

import (
	"errors"
	"slices"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Kind says what a node of the graph is. Where nothing tells, it is "", which
// counts as [Plain].
type Kind string

// The kinds: services proper, what several of them share, and what is outside
// of what is observed.
const (
	Plain    Kind = "service"
	Database Kind = "database"
	Cache    Kind = "cache"
	Queue    Kind = "queue"
	Machine  Kind = "node" // on which services run
	Zone     Kind = "zone" // in which nodes are
	External Kind = "external"
)

// Kinds returns all kinds; where edges say different ones, the first in this
// order counts.
func Kinds() []Kind { return []Kind{Plain, Database, Cache, Queue, Machine, Zone, External} }

// ParseKind reads a kind, as a file writes it; "" is none.
func ParseKind(text string) (Kind, error) {
	if text == "" || slices.Contains(Kinds(), Kind(text)) {
		return Kind(text), nil
	}
	var known []string
	for _, k := range Kinds() {
		known = append(known, string(k))
	}
	return "", errors.New(yamlfile.Unknown("kind", text, known))
}

// firstKind returns the kind that is told, of two the first in the order of [Kinds].
func firstKind(a, b Kind) Kind {
	if a == "" || b == "" {
		return a + b
	}
	if slices.Index(Kinds(), b) < slices.Index(Kinds(), a) {
		return b
	}
	return a
}

// calls reports whether a node of this kind can have users that are people.
func (k Kind) calls() bool { return k == "" || k == Plain }
