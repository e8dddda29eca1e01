package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/topology"
)

// made is a series of a sample a minute: 100 of history around 10, then the window.
func made(name string, window ...float64) *series {
	rng := rand.New(rand.NewPCG(1, uint64(len(name))))
	s := &series{labels: labels.FromStrings(model.MetricNameLabel, name)}
	for i := range 100 + len(window) {
		v := 10 + rng.NormFloat64()
		if i >= 100 {
			v = window[i-100]
		}
		s.at, s.value = append(s.at, int64(i)*60_000), append(s.value, v)
	}
	return s
}

func asked(services map[string][]*series, calls ...[2]string) *question {
	var edges []topology.Edge
	for _, c := range calls {
		edges = append(edges, topology.Edge{Caller: service(c[0]), Callee: service(c[1])})
	}
	return &question{
		services: services, graph: topology.NewGraph(nil, edges), target: target{Service: "web"},
		from: 100 * 60_000, to: 104 * 60_000,
	}
}

func TestMethods(t *testing.T) {
	calm := []float64{10, 10.5, 9.5, 10, 10}
	up := func(by float64) []float64 { return []float64{10 + by, 10 + 1.1*by, 10 + by, 10 + 0.9*by, 10 + by} }
	list := methods()
	for _, c := range []struct {
		name   string
		q      *question
		method int
		want   []string
	}{
		{"the deepest", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(90)...)}, "db": {made("a", up(40)...)}},
			[2]string{"web", "api"}, [2]string{"api", "db"}), 0, []string{"db"}},
		{"one that is not measured is passed through", asked(map[string][]*series{"web": {made("a", up(50)...)}, "db": {made("a", up(40)...)}},
			[2]string{"web", "elb"}, [2]string{"elb", "db"}), 0, []string{"db"}},
		{"a quiet alert names nobody", asked(map[string][]*series{"web": {made("a", calm...)}, "db": {made("a", up(40)...)}}, [2]string{"web", "db"}), 0, nil},
		{"a circle", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(90)...)}},
			[2]string{"web", "api"}, [2]string{"api", "web"}), 0, nil},
		{"the largest", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(90)...)}}), 1, []string{"api", "web"}},
		{"a fall is no rise", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(-90)...)}}), 2, []string{"web"}},
		{"a fall counts", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(-90)...)}}), 3, []string{"api", "web"}},
		{"goes along", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(9)...)}, "db": {made("a", 10, 10, 10, 80, 10)}}), 4, []string{"web", "api", "db"}},
		{"a walker goes down", asked(map[string][]*series{"web": {made("a", up(50)...)}, "api": {made("a", up(90)...)}, "db": {made("a", calm...)}},
			[2]string{"web", "api"}, [2]string{"api", "db"}), 5, []string{"api", "web"}},
	} {
		if got := list[c.method].rank(c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s ranks %q, want %q", c.name, list[c.method].name, got, c.want)
		}
	}
}

// TestAlike: an alert on a metric is followed through that metric only, and
// through averages where there are any.
func TestAlike(t *testing.T) {
	q := asked(map[string][]*series{"web": {made("x_latency_seconds", 1), made("x_requests", 1)}})
	q.target.Metric = "latency"
	p := made("x_latency_seconds", 1)
	p.labels = labels.FromStrings(model.MetricNameLabel, "x_latency_seconds", "quantile", "0.5")
	q.services["web"] = append(q.services["web"], p)
	if got := q.alike().services["web"]; len(got) != 1 || got[0] != q.services["web"][0] {
		t.Errorf("got %v, want the mean latency", got)
	}
	if len(q.services["web"]) != 3 {
		t.Error("the question itself was changed")
	}
}

func TestDeviations(t *testing.T) {
	history := []float64{1, 2, 3, 4, 5}
	for _, c := range []struct {
		name   string
		d      deviation
		h, w   []float64
		want   float64
		within float64
	}{
		{"sigma", nSigma, history, []float64{3, 7}, 4 / math.Sqrt2, 1e-9},
		{"sigma of a constant", nSigma, []float64{2, 2}, []float64{9}, 0, 0},
		{"iqr", baro, history, []float64{3, 7}, 2, 1e-9},
		{"mad", peak, history, []float64{3, -1}, 4 * 0.6745, 1e-9},
		{"median of the window", robust, history, []float64{3, 3, 100}, 0, 0},
		{"never seen", peak, []float64{0, 0, 0}, []float64{0.1}, 1e3, 0},
		{"floor", robust, []float64{100, 100, 100}, []float64{105}, 5, 1e-9},
	} {
		if got := c.d(c.h, c.w); math.Abs(got-c.want) > c.within {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
