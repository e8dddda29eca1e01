package engine

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

func TestServiceOf(t *testing.T) {
	id, err := topology.NewIdentity([]string{"namespace", "service"})
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Identity: id, Edges: []topology.Discovery{{
		Caller: "src", Callee: "dst",
		CallerLabels: map[string][]string{"namespace": {"src_ns"}}, CalleeLabels: map[string][]string{"namespace": {"dst_ns"}},
	}}}
	for _, c := range []struct {
		series          labels.Labels
		caller, service topology.Service
	}{
		{labels.FromStrings("namespace", "shop", "service", "cart", "client", "a", "server", "b"), "", "shop/cart"},
		{labels.FromStrings("namespace", "shop", "client", "a", "server", "b"), "shop/a", "shop/b"},
		{labels.FromStrings("src_ns", "web", "src", "a", "dst_ns", "shop", "dst", "b"), "web/a", "shop/b"},
		{labels.FromStrings("namespace", "shop", "client", "a"), "", ""},
		{labels.FromStrings("namespace", "shop", "client", "a", "server", "a"), "", ""},
		{labels.EmptyLabels(), "", ""},
	} {
		e := &Engine{config: config, named: map[string][]named{}}
		for range 2 { // the second time it is remembered
			caller, service := e.serviceOf("R", rules.Reading{Key: c.series.String(), Series: c.series}, 0)
			if caller != c.caller || service != c.service {
				t.Errorf("%s: got %q calls %q, want %q calls %q", c.series, caller, service, c.caller, c.service)
			}
		}
	}
}
