package change

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/internal/topology"
)

const (
	maxTracked  = 20_000           // services times discoveries
	maxVersions = 50               // of one service at a time
	flapping    = 15 * time.Minute // a newest version that is back within this never left
	seenAgain   = 2 * time.Minute  // a replay asks less often: it sees a change that was found live this much later
)

// Discovery is a query whose result are the versions that run: one series per
// service and version, its value above 0.
type Discovery struct {
	Kind         string // of the changes that are found; empty is [DefaultKind]
	Versions     string // the PromQL expression
	VersionLabel string // the label that holds the version
}

// versions is what is remembered of one service.
type versions struct {
	seen    time.Time       // when any version was seen last
	running map[string]bool // the last set that was not empty
	// order has the versions by their appearance, the newest last; those that
	// run, and the newest even when it does not.
	order []string
	left  time.Time // when the newest was seen last
}

// Discover compares the versions that run at now with those that ran before. A
// version that appears is a change from the one that appeared before it; so a
// rollback is a change as well. The first versions of a service are not, and
// nothing is when a version, or the whole service, disappears: a service that
// is back with the same version did not change, nor did a newest version that
// was missing beside an older one for at most a quarter of an hour (its target
// failed to be scraped). A result that is not newer than the one before is
// ignored, and so is a change that is known from less than two minutes before, so
// that a stretch of time may be replayed twice.
//
// What can be used is used also when an error is returned: that no series had
// both labels, or, the first time only, that there are too many services or versions.
func (t *Tracker) Discover(now time.Time, d Discovery, id topology.Identity, v promql.Vector) error {
	if d.VersionLabel == "" {
		return errors.New("changes: discovery names no version label")
	}
	if d.Kind == "" {
		d.Kind = DefaultKind
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance(now)
	maps.DeleteFunc(t.versions, func(_ key, v *versions) bool { return t.newest.Sub(v.seen) > MaxAge })
	running, named := t.read(d, id, v)
	refused := uint64(0)
	var errs []error
	for _, service := range slices.Sorted(maps.Keys(running)) {
		k := key{d: d, s: service}
		known, ok := t.versions[k]
		set := slices.SortedFunc(maps.Keys(running[service]), compareVersions)
		if len(set) > maxVersions || !ok && len(t.versions) >= maxTracked {
			refused++
			continue
		}
		if !ok {
			t.versions[k] = first(now, set)
			continue
		}
		for _, c := range known.next(now, set) {
			c.Service, c.Kind = service, d.Kind
			c, err := c.complete()
			if err == nil && !t.found(c) {
				err = t.add(c)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("changes: discovered: %w", err))
			}
		}
	}
	t.stats.Refused += refused
	if refused > 0 && !t.full {
		errs = append(errs, fmt.Errorf("changes: %d services of %s were refused: no more than %d services, and %d versions of one at a time, are tracked",
			refused, d.Versions, maxTracked, maxVersions))
	}
	t.full = refused > 0
	if len(v) > 0 && named == 0 {
		errs = append(errs, fmt.Errorf("changes: none of the %d series of %s names a service and has the label %q: keep them with max by (…, %s) (…)",
			len(v), d.Versions, d.VersionLabel, d.VersionLabel))
	}
	return errors.Join(errs...)
}

// found reports whether the last change of the same service and kind is the same
// and from less than two minutes before.
func (t *Tracker) found(c Change) bool {
	for _, o := range slices.Backward(t.changes) {
		switch {
		case !o.Time.After(c.Time.Add(-seenAgain)):
			return false
		case o.Service == c.Service && o.Kind == c.Kind && !o.Time.After(c.Time):
			return o.From == c.From && o.To == c.To
		}
	}
	return false
}

// read returns the versions that run by service, and how many series named both.
func (t *Tracker) read(d Discovery, id topology.Identity, v promql.Vector) (running map[topology.Service]map[string]bool, named int) {
	running = map[topology.Service]map[string]bool{}
	for _, s := range v {
		service, version := id.OfLabels(s.Metric), s.Metric.Get(d.VersionLabel)
		if service == "" || version == "" {
			t.stats.Dropped++
			continue
		}
		named++
		if s.H == nil && !(s.F > 0) {
			continue // a count of none
		}
		if running[service] == nil {
			running[service] = map[string]bool{}
		}
		running[service][version] = true
	}
	return running, named
}

// first remembers the versions of a service that is new. Which of several
// appeared last is not known: the greatest is taken for it.
func first(now time.Time, set []string) *versions {
	v := &versions{seen: now, running: map[string]bool{}, order: set, left: now}
	for _, s := range set {
		v.running[s] = true
	}
	return v
}

// next takes the versions that run at now, a sorted set of at least one, and
// returns the changes that it shows, without service and kind.
func (v *versions) next(now time.Time, set []string) []Change {
	if !now.After(v.seen) {
		return nil
	}
	var out []Change
	newest := v.order[len(v.order)-1]
	for _, s := range set {
		if v.running[s] || s == newest && now.Sub(v.left) <= flapping {
			continue
		}
		out = append(out, Change{Time: now, From: v.before(s), To: s})
	}
	for _, c := range out {
		v.order = append(slices.DeleteFunc(v.order, func(s string) bool { return s == c.To }), c.To)
	}
	clear(v.running)
	for _, s := range set {
		v.running[s] = true
	}
	v.seen = now
	newest = v.order[len(v.order)-1]
	v.order = slices.DeleteFunc(v.order, func(s string) bool { return s != newest && !v.running[s] })
	if v.running[newest] {
		v.left = now
	}
	return out
}

// before returns the version that appeared last among those that ran, other
// than s.
func (v *versions) before(s string) string {
	for _, old := range slices.Backward(v.order) {
		if old != s && v.running[old] {
			return old
		}
	}
	return ""
}

// compareVersions orders versions as people do: runs of digits by their number.
func compareVersions(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		p, q := digits(x), digits(y)
		if p == 0 || q == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		m, n := strings.TrimLeft(x[:p], "0"), strings.TrimLeft(y[:q], "0")
		if c := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); c != 0 {
			return c
		}
		x, y = x[p:], y[q:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits is the length of the digits that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}
