package topology

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql"
)

// The defaults of [Options].
const (
	DefaultMaxEdges = 20_000
	DefaultTTL      = time.Hour
)

// Options of a [Topology].
type Options struct {
	Identity Identity
	Declared Declared
	// MaxEdges bounds declared and discovered edges taken together; 0 is [DefaultMaxEdges].
	MaxEdges int
	// TTL is how long an edge lives after it was discovered last; 0 is [DefaultTTL].
	TTL time.Duration
}

// Discovery is a query whose result is edges: one series per caller and
// callee, its value calls per second. [Recipe] makes them for known telemetry.
type Discovery struct {
	Edges string // the PromQL expression
	// Caller and Callee are the labels that hold the service's own name (the
	// last identity label) of either end. The other identity labels are taken
	// from the series itself, for both ends, unless CallerLabels or CalleeLabels
	// name others.
	Caller, Callee string
	// CallerLabels and CalleeLabels say, by identity label, which labels of the
	// series hold it at that end: the first that is neither empty nor "unknown"
	// counts, none of an empty list. For the last identity label they are what is
	// tried after Caller and Callee.
	CallerLabels, CalleeLabels map[string][]string
	// Relabel is applied to the labels of either end before its identity is taken:
	// those of the series, with the identity labels of this end, and [EndLabel]. An
	// end that it drops drops the edge. The configurations must be valid.
	Relabel []*relabel.Config
	// Kind is what the callees are, unless relabelling sets [KindLabel].
	Kind Kind
	// Presence says that the values are no calls per second: above 0 there is an
	// edge, whose rate is not known.
	Presence bool
}

// Stats counts what a [Topology] has and what it did not take.
type Stats struct {
	Declared   int    // declared edges
	Discovered int    // discovered edges that are remembered
	Dropped    uint64 // series without one of the two labels, dropped by relabelling, or whose value is no rate above 0
	SelfEdges  uint64 // series of a service that calls itself
	Refused    uint64 // new edges that were not taken since there are too many
}

// Topology collects edges over time. Its methods may be called from several
// goroutines.
type Topology struct {
	o Options

	mu       sync.Mutex
	found    map[[2]Service]Edge
	stats    Stats
	full     bool // an edge was refused by the last discovery, and that was reported
	snapshot *Graph
	from, to time.Time // when snapshot holds, both included; to is zero without an end
}

// New makes a topology of what is declared.
func New(o Options) (*Topology, error) {
	if o.MaxEdges < 0 || o.TTL < 0 {
		return nil, fmt.Errorf("topology: MaxEdges %d and TTL %s must not be negative", o.MaxEdges, o.TTL)
	}
	if o.MaxEdges == 0 {
		o.MaxEdges = DefaultMaxEdges
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if n := len(o.Declared.Edges); n > o.MaxEdges {
		return nil, fmt.Errorf("topology: %d declared calls are more than the %d edges that are kept: declare fewer", n, o.MaxEdges)
	}
	o.Declared = o.Declared.Merge(Declared{})
	return &Topology{o: o, found: map[[2]Service]Edge{}}, nil
}

// Keep takes over what another topology has discovered, for a reload of the
// configuration. Where the identity is another one nothing is taken, since
// the services have other names now.
func (t *Topology) Keep(old *Topology) {
	if old == nil || old == t || !slices.Equal(t.o.Identity.Names(), old.o.Identity.Names()) {
		return
	}
	t.Recall(old.Discovered())
	stats := old.Stats()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Dropped += stats.Dropped
	t.stats.SelfEdges += stats.SelfEdges
	t.stats.Refused += stats.Refused
}

// Discover merges the result of d's query at now: edges that it has are seen
// now, with its rates (series of the same edge are summed); those that it lacks
// keep what is known of them until their time to live is over. Everything that
// can be used is used also when an error is returned: that no series had the
// labels, or, the first time only, that there are more edges than are kept.
func (t *Topology) Discover(now time.Time, d Discovery, v promql.Vector) error {
	if d.Caller == "" || d.Callee == "" {
		return errors.New("topology: discovery names no caller or no callee label")
	}
	r := read(t.o.Identity, d, v) // relabelling takes its time, in which At is not to wait
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Dropped += r.dropped
	t.stats.SelfEdges += r.self
	t.snapshot = nil
	maps.DeleteFunc(t.found, func(_ [2]Service, e Edge) bool { return now.Sub(e.Seen) > t.o.TTL })
	refused := 0
	for _, k := range slices.SortedFunc(maps.Keys(r.found), func(a, b [2]Service) int { return slices.Compare(a[:], b[:]) }) {
		old, ok := t.found[k]
		if !ok && len(t.found)+len(t.o.Declared.Edges) >= t.o.MaxEdges {
			refused++
			continue
		}
		e := r.found[k]
		e.Seen = now
		t.found[k] = mergeEdges(old, e)
	}
	t.stats.Refused += uint64(refused)
	first := refused > 0 && !t.full
	t.full = refused > 0
	switch {
	case first:
		return fmt.Errorf("topology: %d edges of %s were refused: no more than %d are kept: aggregate further, or select fewer services",
			refused, d.Edges, t.o.MaxEdges)
	case len(v) > 0 && r.named == 0:
		return fmt.Errorf("topology: none of the %d series of %s has both labels %q and %q: keep them with sum by (%s, %s) (…)",
			len(v), d.Edges, d.Caller, d.Callee, d.Caller, d.Callee)
	}
	return nil
}

// reading is what a result of a discovery holds.
type reading struct {
	found         map[[2]Service]Edge
	named         int    // series with both ends
	dropped, self uint64 // see [Stats]
}

// read finds the edges of a result.
func read(id Identity, d Discovery, v promql.Vector) reading {
	r := reading{found: make(map[[2]Service]Edge, len(v))}
	from, to := d.ends(id)
	// Floating-point sums depend on their order, so it is made the same always.
	v = slices.Clone(v)
	slices.SortStableFunc(v, func(a, b promql.Sample) int {
		return cmp.Or(labels.Compare(a.Metric, b.Metric), cmp.Compare(a.F, b.F))
	})
	for _, s := range v {
		caller, _, keep := from.of(s.Metric)
		callee, kind, keepCallee := to.of(s.Metric)
		if !keep || !keepCallee {
			r.named++ // the labels are there, and this series is not wanted
			r.dropped++
			continue
		}
		if caller == "" || callee == "" {
			r.dropped++
			continue
		}
		r.named++
		switch {
		case caller == callee:
			r.self++
		case s.H != nil || !(s.F > 0) || math.IsInf(s.F, 0):
			r.dropped++
		default:
			k := [2]Service{caller, callee}
			e, ok := r.found[k]
			if !ok {
				e = Edge{Caller: caller, Callee: callee}
			}
			if !d.Presence {
				e.Rate += s.F
			}
			e.Kind = firstKind(e.Kind, kind)
			r.found[k] = e
		}
	}
	return r
}

// At returns the graph at a time: the declared edges, and those discovered no
// longer ago than the time to live. The graph never changes.
func (t *Topology) At(now time.Time) *Graph {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.snapshot != nil && !now.Before(t.from) && (t.to.IsZero() || !now.After(t.to)) {
		return t.snapshot
	}
	edges := slices.Clone(t.o.Declared.Edges)
	t.from, t.to = now, time.Time{}
	for _, e := range t.found {
		if now.Sub(e.Seen) > t.o.TTL {
			continue
		}
		edges = append(edges, e)
		if end := e.Seen.Add(t.o.TTL); t.to.IsZero() || end.Before(t.to) {
			t.to = end
		}
	}
	t.snapshot = NewGraph(t.o.Declared.Nodes, edges)
	return t.snapshot
}

// Stats returns what was counted so far.
func (t *Topology) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Declared, s.Discovered = len(t.o.Declared.Edges), len(t.found)
	return s
}

// Discovered returns the edges that are remembered, with when they were seen
// last, sorted by caller and callee. [Topology.Recall] takes them.
func (t *Topology) Discovered() []Edge {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.found), compareEdges)
}

// Recall adds edges that an earlier run discovered, as far as there is room.
// What is known already stays.
func (t *Topology) Recall(edges []Edge) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range edges {
		k := [2]Service{e.Caller, e.Callee}
		if _, known := t.found[k]; !known && e.Caller != "" && e.Callee != "" && len(t.found)+len(t.o.Declared.Edges) < t.o.MaxEdges {
			t.found[k] = e
		}
	}
	t.snapshot = nil
}
