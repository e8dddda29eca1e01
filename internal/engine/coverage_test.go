package engine

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/internal/topology"
)

func TestCoverage(t *testing.T) {
	id, err := topology.NewIdentity([]string{"service"})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	up := func(n map[string]float64) promql.Vector {
		var v promql.Vector
		for name, f := range n {
			v = append(v, promql.Sample{Metric: labels.FromStrings("service", name), F: f})
		}
		return v
	}
	var c coverage
	if c.partial("web") {
		t.Error("partial before anything is known")
	}
	for _, step := range []struct {
		minute  int
		up      map[string]float64
		partial map[topology.Service]bool
	}{
		{0, map[string]float64{"web": 10, "db": 1}, map[topology.Service]bool{"web": false, "db": false, "unknown": false}},
		{1, map[string]float64{"web": 9, "db": 1}, map[topology.Service]bool{"web": true, "db": false}},
		{2, map[string]float64{"web": 12, "db": 0}, map[topology.Service]bool{"web": false, "db": true}},
		{3, map[string]float64{"web": 12}, map[topology.Service]bool{"web": false, "db": true}}, // the target is gone
		{40, map[string]float64{"web": 6}, map[topology.Service]bool{"web": true}},
		{60, map[string]float64{"web": 6}, map[topology.Service]bool{"web": true}},
		{80, map[string]float64{"web": 6}, map[topology.Service]bool{"web": false, "db": false}}, // scaled down
	} {
		c.observe(begin.Add(time.Duration(step.minute)*time.Minute), id, up(step.up))
		for s, want := range step.partial {
			if got := c.partial(s); got != want {
				t.Errorf("minute %d: %s partial %v, want %v", step.minute, s, got, want)
			}
		}
	}
	// Targets that name no service.
	var all coverage
	all.observe(begin, id, promql.Vector{{F: 100}})
	all.observe(begin.Add(time.Minute), id, promql.Vector{{F: 50}})
	if !all.partial("web") {
		t.Error("half of all targets are gone and web is not partial")
	}
}
