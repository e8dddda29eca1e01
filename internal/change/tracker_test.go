package change

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

var start = time.Date(2026, 6, 18, 12, 0, 0, 0, time.UTC)

func add(t *testing.T, tr *Tracker, list ...Change) {
	t.Helper()
	for _, c := range list {
		if err := tr.Add(c); err != nil {
			t.Fatal(err)
		}
	}
}

func ids(list []Change) string {
	var out []string
	for _, c := range list {
		out = append(out, c.ID)
	}
	return strings.Join(out, " ")
}

func TestAdd(t *testing.T) {
	tr := NewTracker()
	add(t, tr,
		Change{ID: "c", Time: start.Add(time.Minute), Service: "a", Kind: "flag"},
		Change{ID: "b", Time: start, Service: "a"},
		Change{ID: "a", Time: start, Service: "b"},
		Change{ID: "a", Time: start.Add(time.Hour), Service: "b"}, // known
	)
	if got, want := ids(tr.All()), "a b c"; got != want {
		t.Errorf("All: got %s, want %s", got, want)
	}
	if c := tr.All()[0]; c.Service != "b" || !c.Time.Equal(start) || c.Kind != DefaultKind {
		t.Errorf("an id that is known: got %+v, want the first", c)
	}
	for _, c := range []struct {
		since time.Time
		want  string
	}{{time.Time{}, "a b c"}, {start, "a b c"}, {start.Add(1), "c"}, {start.Add(time.Minute), "c"}, {start.Add(time.Hour), ""}} {
		if got := ids(tr.Since(c.since)); got != c.want {
			t.Errorf("Since(%s): got %q, want %q", c.since, got, c.want)
		}
	}
	tr.All()[0].ID = "changed"
	if tr.All()[0].ID != "a" {
		t.Error("the tracker can be changed through All")
	}
}

func TestAddErrors(t *testing.T) {
	for _, c := range []struct {
		change Change
		want   string
	}{
		{Change{Service: "a"}, "no time"},
		{Change{Time: start}, "no service"},
		{Change{Time: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), Service: "a"}, "not between"},
		{Change{Time: start, Service: "a", ID: strings.Repeat("x", 257)}, "id is longer"},
		{Change{Time: start, Service: "a", Title: strings.Repeat("x", 2049)}, "title is longer"},
		{Change{Time: start, Service: "a", To: "\xff"}, "to is not valid UTF-8"},
	} {
		if err := NewTracker().Add(c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.change, err, c.want)
		}
	}
}

func TestIDs(t *testing.T) {
	c := Change{Time: start, Service: "a", Kind: "deploy", From: "1", To: "2", Title: "x"}
	const want = "e4411bf85acc1f0e"
	seen := map[string]bool{}
	for i, other := range []Change{
		c,
		{Time: start.Add(1), Service: "a", Kind: "deploy", From: "1", To: "2", Title: "x"},
		{Time: start, Service: "b", Kind: "deploy", From: "1", To: "2", Title: "x"},
		{Time: start, Service: "a", Kind: "flag", From: "1", To: "2", Title: "x"},
		{Time: start, Service: "a", Kind: "deploy", From: "12", To: "", Title: "x"},
		{Time: start, Service: "a", Kind: "deploy", From: "1", To: "2x", Title: ""},
	} {
		id := other.hash()
		if seen[id] {
			t.Errorf("%d: %+v has the id of another", i, other)
		}
		seen[id] = true
	}
	elsewhere := c
	elsewhere.Time = start.In(time.FixedZone("", 7200))
	if got := elsewhere.hash(); got != c.hash() || got != want {
		t.Errorf("same content: got %s and %s, want %s", got, c.hash(), want)
	}
	tr := NewTracker()
	add(t, tr, c, elsewhere)
	if got := ids(tr.All()); got != want {
		t.Errorf("same content twice: got %s", got)
	}
}

func TestBounds(t *testing.T) {
	tr := NewTracker()
	for i := range MaxChanges + 2 {
		add(t, tr, Change{ID: fmt.Sprint(i), Time: start.Add(time.Duration(i) * time.Second), Service: "a"})
	}
	all := tr.All()
	if len(all) != MaxChanges || all[0].ID != "2" || tr.Stats().Evicted != 2 {
		t.Errorf("got %d changes from %s, %+v, want the newest %d", len(all), all[0].ID, tr.Stats(), MaxChanges)
	}
	if err := tr.Add(Change{ID: "old", Time: start, Service: "a"}); err == nil || !strings.Contains(err.Error(), "older than the 10000 newest") {
		t.Errorf("older than all that is kept: got %v", err)
	}
	// Those that left may come again, and what is too old leaves.
	later := start.Add(MaxAge + time.Hour)
	add(t, tr, Change{ID: "2", Time: later, Service: "a"}, Change{ID: "0", Time: later, Service: "a"})
	if got, want := tr.All()[0].Time, later.Add(-MaxAge); got.Before(want) {
		t.Errorf("oldest: got %s, want none before %s", got, want)
	}
	if err := tr.Add(Change{ID: "old", Time: start, Service: "a"}); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("too old: got %v", err)
	}
	if len(tr.ids) != len(tr.changes) {
		t.Errorf("ids: got %d, want %d", len(tr.ids), len(tr.changes))
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var list []Change
	for range 300 {
		list = append(list, Change{Time: start.Add(time.Duration(r.IntN(50)) * time.Second), Service: topology.Service(fmt.Sprint("s", r.IntN(5))), To: fmt.Sprint(r.IntN(5))})
	}
	one, two := NewTracker(), NewTracker()
	add(t, one, list...)
	r.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	add(t, two, list...)
	if !slices.Equal(one.All(), two.All()) {
		t.Error("the same changes in another order give another list")
	}
	if !slices.IsSortedFunc(one.All(), compare) {
		t.Error("not sorted")
	}
}
