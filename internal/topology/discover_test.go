package topology

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

var start = time.Date(2026, 6, 18, 12, 0, 0, 0, time.UTC)

func newTopology(t *testing.T, o Options) *Topology {
	t.Helper()
	top, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func series(value float64, ls ...string) promql.Sample {
	return promql.Sample{F: value, Metric: labels.FromStrings(ls...)}
}

var spans = Discovery{Edges: "q", Caller: "client", Callee: "server"}

func discover(t *testing.T, top *Topology, now time.Time, v ...promql.Sample) {
	t.Helper()
	if err := top.Discover(now, spans, v); err != nil {
		t.Fatal(err)
	}
}

func edges(g *Graph) string {
	var out []string
	for _, e := range g.Edges() {
		s := fmt.Sprintf("%s>%s", e.Caller, e.Callee)
		if e.Rate != 0 {
			s += fmt.Sprintf("=%g", e.Rate)
		}
		if e.Declared {
			s += "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestDiscover(t *testing.T) {
	top := newTopology(t, Options{Declared: Declared{
		Nodes: []Node{{Service: "frontend", Entry: true, Declared: true}},
		Edges: []Edge{{Caller: "frontend", Callee: "checkout", Declared: true}, {Caller: "frontend", Callee: "ads", Declared: true}},
	}})
	discover(t, top, start,
		series(3, "client", "frontend", "server", "checkout", "code", "200"),
		series(1, "client", "frontend", "server", "checkout", "code", "500"),
		series(7, "client", "web", "server", "db", "namespace", "shop", "cluster", "eu"),
		series(1, "client", "frontend"),                         // no callee
		series(1, "server", "frontend"),                         // no caller
		series(1, "client", "frontend", "server", "frontend"),   // itself
		series(0, "client", "frontend", "server", "idle"),       // no calls
		series(math.NaN(), "client", "frontend", "server", "a"), // no number
		series(math.Inf(1), "client", "frontend", "server", "b"),
		promql.Sample{H: &histogram.FloatHistogram{}, Metric: labels.FromStrings("client", "frontend", "server", "c")},
	)
	g := top.At(start)
	if got, want := edges(g), "eu/shop/web>eu/shop/db=7 frontend>ads! frontend>checkout=4!"; got != want {
		t.Errorf("edges: got %s, want %s", got, want)
	}
	if got, want := top.Stats(), (Stats{Declared: 2, Discovered: 2, Dropped: 6, SelfEdges: 1}); got != want {
		t.Errorf("stats: got %+v, want %+v", got, want)
	}
	if e := g.Callees("frontend")[1]; !e.Seen.Equal(start) || !g.IsEntry("frontend") {
		t.Errorf("seen: got %s, want %s", e.Seen, start)
	}
	if top.At(start.Add(time.Minute)) != g {
		t.Error("nothing happened: want the same snapshot")
	}
}

func TestEdgesAgeOut(t *testing.T) {
	top := newTopology(t, Options{TTL: 10 * time.Minute, Declared: Declared{Edges: []Edge{{Caller: "a", Callee: "b", Declared: true}}}})
	discover(t, top, start, series(1, "client", "a", "server", "b"), series(2, "client", "b", "server", "c"))
	discover(t, top, start.Add(5*time.Minute), series(3, "client", "c", "server", "d"))
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{10 * time.Minute, "a>b=1! b>c=2 c>d=3"},
		{10*time.Minute + 1, "a>b! c>d=3"},
		{15 * time.Minute, "a>b! c>d=3"},
		{16 * time.Minute, "a>b!"},
		{10 * time.Minute, "a>b=1! b>c=2 c>d=3"}, // looked at again
	} {
		if got := edges(top.At(start.Add(c.after))); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.after, got, c.want)
		}
	}
	discover(t, top, start.Add(time.Hour))
	if got := top.Stats().Discovered; got != 0 {
		t.Errorf("remembered after an hour: got %d, want 0", got)
	}
}

func TestRates(t *testing.T) {
	top := newTopology(t, Options{})
	discover(t, top, start, series(5, "client", "a", "server", "b"))
	discover(t, top, start, series(2, "client", "a", "server", "b")) // another query of the same calls
	if got := edges(top.At(start)); got != "a>b=5" {
		t.Errorf("two queries at the same time: got %s, want the greater", got)
	}
	discover(t, top, start.Add(time.Minute), series(2, "client", "a", "server", "b"))
	if got := edges(top.At(start.Add(time.Minute))); got != "a>b=2" {
		t.Errorf("later: got %s, want the newer", got)
	}
}

func TestTooManyEdges(t *testing.T) {
	top := newTopology(t, Options{MaxEdges: 3, Declared: Declared{Edges: []Edge{{Caller: "a", Callee: "b", Declared: true}}}})
	many := promql.Vector{
		series(1, "client", "z", "server", "y"), series(1, "client", "x", "server", "y"),
		series(1, "client", "w", "server", "y"), series(1, "client", "v", "server", "y"),
	}
	err := top.Discover(start, spans, many)
	if err == nil || !strings.Contains(err.Error(), "2 edges of q were refused") {
		t.Errorf("first time: got %v", err)
	}
	if err := top.Discover(start.Add(time.Minute), spans, many); err != nil {
		t.Errorf("second time: got %v, want it said once", err)
	}
	if got, want := edges(top.At(start.Add(time.Minute))), "a>b! v>y=1 w>y=1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := top.Stats().Refused; got != 4 {
		t.Errorf("refused: got %d, want 4", got)
	}
	if _, err := New(Options{MaxEdges: 1, Declared: Declared{Edges: calls("a>b b>c")}}); err == nil {
		t.Error("more declared edges than are kept: want an error")
	}
}

func TestDiscoverErrors(t *testing.T) {
	top := newTopology(t, Options{})
	err := top.Discover(start, spans, promql.Vector{series(1, "caller", "a", "callee", "b")})
	if err == nil || !strings.Contains(err.Error(), `both labels "client" and "server"`) {
		t.Errorf("labels that are not there: got %v", err)
	}
	if err := top.Discover(start, Discovery{Edges: "q"}, nil); err == nil {
		t.Error("no labels: want an error")
	}
	if err := top.Discover(start, spans, nil); err != nil {
		t.Errorf("empty result: got %v", err)
	}
	if _, err := New(Options{TTL: -1}); err == nil {
		t.Error("negative time to live: want an error")
	}
}

func TestKeep(t *testing.T) {
	old := newTopology(t, Options{})
	discover(t, old, start, series(5, "client", "a", "server", "b"), series(1, "client", "a", "server", "a"))
	fresh := newTopology(t, Options{Identity: identity(t, "cluster", "namespace", "service")})
	fresh.Keep(old)
	fresh.Keep(nil)
	fresh.Keep(fresh)
	if got := edges(fresh.At(start)); got != "a>b=5" || fresh.Stats().SelfEdges != 1 {
		t.Errorf("got %s, %+v", got, fresh.Stats())
	}
	other := newTopology(t, Options{Identity: identity(t, "app")})
	other.Keep(old)
	if got := edges(other.At(start)); got != "" {
		t.Errorf("another identity: got %s, want nothing", got)
	}
}

// The order of series does not matter, nor does when and how often At is asked.
func TestAtIsDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		one, two := newTopology(t, Options{MaxEdges: 20, TTL: 3 * time.Minute}), newTopology(t, Options{MaxEdges: 20, TTL: 3 * time.Minute})
		for minute := range 8 {
			now := start.Add(time.Duration(minute) * time.Minute)
			var v promql.Vector
			for i := range r.IntN(25) {
				v = append(v, series(r.Float64(), "client", fmt.Sprint("s", r.IntN(6)), "server", fmt.Sprint("s", r.IntN(6)), "i", fmt.Sprint(i)))
			}
			errOne := one.Discover(now, spans, v)
			r.Shuffle(len(v), func(i, k int) { v[i], v[k] = v[k], v[i] })
			errTwo := two.Discover(now, spans, v)
			if fmt.Sprint(errOne) != fmt.Sprint(errTwo) {
				t.Fatalf("errors: got %v and %v", errOne, errTwo)
			}
			if r.IntN(2) == 0 {
				two.At(now.Add(time.Duration(r.IntN(300)) * time.Second))
			}
			at := now.Add(time.Duration(r.IntN(300)) * time.Second)
			if a, b := one.At(at), two.At(at); !reflect.DeepEqual(a, b) {
				t.Fatalf("got %s and %s", edges(a), edges(b))
			}
		}
		if one.Stats() != two.Stats() {
			t.Fatalf("stats: got %+v and %+v", one.Stats(), two.Stats())
		}
	}
}
