package change

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// What a [Tracker] keeps at most.
const (
	MaxChanges = 10_000
	MaxAge     = 30 * 24 * time.Hour // before the newest time that the tracker knows
)

// Stats counts what a [Tracker] has and what it did not take.
type Stats struct {
	Changes  int    // changes that are kept
	Services int    // services, per discovery, whose versions are known
	Evicted  uint64 // changes that had to go for newer ones
	Dropped  uint64 // series without service or version
	Refused  uint64 // services and versions that were not tracked since there are too many
}

// Tracker keeps the changes of the last thirty days. Its methods may be called
// from several goroutines.
type Tracker struct {
	mu       sync.Mutex
	changes  []Change // sorted by time and id
	ids      map[string]bool
	versions map[key]*versions
	newest   time.Time // of all changes and discoveries
	full     bool      // a service or version was refused by the last discovery, and that was reported
	stats    Stats
}

// NewTracker makes a tracker that knows nothing.
func NewTracker() *Tracker {
	return &Tracker{ids: map[string]bool{}, versions: map[key]*versions{}}
}

// Add keeps a change. A change without kind is a deploy; one without id is
// named by a hash of its content. A change whose id is known already changes
// nothing, but for the end of maintenance, which may be moved; of another service it is an [ErrTaken].
// A change without time or service, and one that is older than all that is kept, is an error.
func (t *Tracker) Add(c Change) error {
	c, err := c.complete()
	if err != nil {
		return fmt.Errorf("change %q: %w", c.ID, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.add(c)
}

// ErrTaken says that the id of a change is that of one of another service.
type ErrTaken struct{ By topology.Service }

func (e ErrTaken) Error() string {
	return fmt.Sprintf("its id is that of a change of %s: give it one of its own, or list both in services", e.By)
}

// Free reports whether the id of a change is not that of one of another service;
// where it is, the error is an [ErrTaken].
func (t *Tracker) Free(c Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken(c)
}

// taken reports, as an [ErrTaken], that a change of another service has the id.
func (t *Tracker) taken(c Change) error {
	if !t.ids[c.ID] {
		return nil
	}
	old := t.changes[slices.IndexFunc(t.changes, func(o Change) bool { return o.ID == c.ID })]
	if old.Service == c.Service {
		return nil
	}
	return fmt.Errorf("change %q of %s: %w", c.ID, c.Service, ErrTaken{old.Service})
}

func (t *Tracker) add(c Change) error {
	if err := t.taken(c); err != nil {
		return err
	}
	if t.ids[c.ID] {
		i := slices.IndexFunc(t.changes, func(o Change) bool { return o.ID == c.ID })
		if old := &t.changes[i]; !old.Until.IsZero() && !c.Until.IsZero() && c.Until.After(old.Time) {
			old.Until = c.Until
		}
		return nil
	}
	if t.newest.Sub(c.Time) > MaxAge {
		return fmt.Errorf("change %q of %s is too old: changes are kept for %d days", c.ID, c.Time.Format(time.RFC3339), MaxAge/(24*time.Hour))
	}
	if len(t.changes) == MaxChanges && compare(c, t.changes[0]) < 0 {
		return fmt.Errorf("change %q of %s is older than the %d newest changes, which are kept", c.ID, c.Time.Format(time.RFC3339), MaxChanges)
	}
	i, _ := slices.BinarySearchFunc(t.changes, c, compare)
	t.changes = slices.Insert(t.changes, i, c)
	t.ids[c.ID] = true
	if c.Until.IsZero() { // maintenance may lie in the future
		t.advance(c.Time)
	}
	return nil
}

// advance drops what became too old or too much.
func (t *Tracker) advance(now time.Time) {
	if now.After(t.newest) {
		t.newest = now
	}
	n := max(0, len(t.changes)-MaxChanges)
	for n < len(t.changes) && t.newest.Sub(t.changes[n].Time) > MaxAge {
		n++
	}
	for _, c := range t.changes[:n] {
		delete(t.ids, c.ID)
	}
	t.stats.Evicted += uint64(n)
	t.changes = slices.Delete(t.changes, 0, n)
}

// All returns all changes, sorted by time and id.
func (t *Tracker) All() []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.changes)
}

// Since returns the changes at or after a time, and maintenance that lasts until
// after it, sorted by time and id.
func (t *Tracker) Since(at time.Time) []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearchFunc(t.changes, at, func(c Change, at time.Time) int {
		if c.Time.Before(at) {
			return -1
		}
		return 1
	})
	var out []Change
	for _, c := range t.changes[:i] {
		if c.Until.After(at) {
			out = append(out, c)
		}
	}
	return append(out, t.changes[i:]...)
}

// Stats returns what was counted so far.
func (t *Tracker) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Changes, s.Services = len(t.changes), len(t.versions)
	return s
}

// key is one service as seen by one discovery.
type key struct {
	d Discovery
	s topology.Service
}
