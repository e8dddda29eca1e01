package source

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// labelTable is the label sets of one or more spans, in order. Equal ones are one.
type labelTable struct {
	rows []labels.Labels // never changed
	hash uint64
	refs int // guarded by tables.mu
}

// tables hold the label sets of all windows: each set once, each sequence of
// sets once, as long as a span refers to them.
type tables struct {
	most int // bytes

	mu   sync.Mutex // guards what follows
	held int        // bytes, about
	all  map[uint64][]*labelTable
	sets map[uint64][]labelSet
}

type labelSet struct {
	labels labels.Labels
	refs   int // tables
}

func newTables(most int) *tables {
	return &tables{most: most, all: map[uint64][]*labelTable{}, sets: map[uint64][]labelSet{}}
}

const (
	tableBytes = 120 // of a table, without its rows
	rowBytes   = 24  // of a row, without the label set
	setBytes   = 96  // of a label set, without its text
)

// take returns the table of these rows with a reference for the caller, or
// false where there is no room.
func (t *tables) take(rows []labels.Labels) (*labelTable, bool) {
	hash := uint64(len(rows))
	hashes := make([]uint64, len(rows))
	for i, l := range rows {
		hashes[i] = l.Hash()
		hash = (hash ^ hashes[i]) * 0x100000001b3
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, old := range t.all[hash] {
		if slices.EqualFunc(old.rows, rows, labels.Equal) {
			old.refs++
			return old, true
		}
	}
	if t.held+tableBytes+rowBytes*len(rows) > t.most {
		return nil, false
	}
	t.held += tableBytes + rowBytes*len(rows)
	n := &labelTable{rows: make([]labels.Labels, len(rows)), hash: hash, refs: 1}
	for i, l := range rows {
		n.rows[i] = t.intern(hashes[i], l)
	}
	t.all[hash] = append(t.all[hash], n)
	if t.held > t.most {
		t.free(n)
		return nil, false
	}
	return n, true
}

func (t *tables) intern(hash uint64, l labels.Labels) labels.Labels {
	for i := range t.sets[hash] {
		if s := &t.sets[hash][i]; labels.Equal(s.labels, l) {
			s.refs++
			return s.labels
		}
	}
	l = l.Copy() // not to hold on to the answer that it came with
	t.sets[hash] = append(t.sets[hash], labelSet{labels: l, refs: 1})
	t.held += setBytes + textBytes(l)
	return l
}

func (t *tables) hold(n *labelTable) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.refs++
}

func (t *tables) drop(n *labelTable) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.refs--; n.refs == 0 {
		t.free(n)
	}
}

func (t *tables) free(n *labelTable) {
	t.held -= tableBytes + rowBytes*len(n.rows)
	t.all[n.hash] = slices.DeleteFunc(t.all[n.hash], func(o *labelTable) bool { return o == n })
	if len(t.all[n.hash]) == 0 {
		delete(t.all, n.hash)
	}
	for _, l := range n.rows {
		hash := l.Hash()
		sets := t.sets[hash]
		i := slices.IndexFunc(sets, func(s labelSet) bool { return labels.Equal(s.labels, l) })
		if sets[i].refs--; sets[i].refs > 0 {
			continue
		}
		t.held -= setBytes + textBytes(l)
		if t.sets[hash] = slices.Delete(sets, i, i+1); len(t.sets[hash]) == 0 {
			delete(t.sets, hash)
		}
	}
}

func textBytes(l labels.Labels) int {
	n := 0
	l.Range(func(l labels.Label) { n += len(l.Name) + len(l.Value) + 2 })
	return n
}
