package engine

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/internal/topology"
)

// coverage follows how many targets of each service are scraped. A sum over
// nine of ten targets is not a fall of traffic.
type coverage struct {
	services map[topology.Service]*scraped
	turned   time.Time
}

// scraped is the number of targets of a service that are up.
type scraped struct {
	now           float64
	most, earlier float64 // in this half of the memory and in the one before
}

const (
	// coverageMemory is how far back at most the largest number of targets is looked for; half of it at least.
	coverageMemory = time.Hour
	// covered is the share of the targets from which on a fall is taken as one.
	covered = 0.95
)

// coverageQuery asks for the targets that are up, by service.
func coverageQuery(id topology.Identity) string {
	return "sum by (" + strings.Join(id.Names(), ", ") + ") (up)"
}

// observe takes in the answer to coverageQuery.
func (c *coverage) observe(now time.Time, id topology.Identity, v promql.Vector) {
	if c.services == nil {
		c.services = map[topology.Service]*scraped{}
	}
	if now.Sub(c.turned) >= coverageMemory/2 {
		for s, x := range c.services {
			if x.most == 0 && x.earlier == 0 {
				delete(c.services, s)
				continue
			}
			x.earlier, x.most = x.most, 0
		}
		c.turned = now
	}
	for _, x := range c.services {
		x.now = 0
	}
	for _, sample := range v {
		s := id.OfLabels(sample.Metric)
		x := c.services[s]
		if x == nil {
			x = &scraped{}
			c.services[s] = x
		}
		x.now += sample.F
	}
	for _, x := range c.services {
		x.most = max(x.most, x.now)
	}
}

// partial reports whether fewer targets of a service are scraped than a short
// while ago. Targets that name no service count for all services together.
func (c *coverage) partial(s topology.Service) bool {
	x := c.services[s]
	if x == nil {
		x = c.services[""]
	}
	return x != nil && x.now < covered*max(x.most, x.earlier)
}

// watch brings the coverage up to date. Where the source has no `up`, all is
// taken to be covered.
func (e *Engine) watch(ctx context.Context, now time.Time) {
	expr := coverageQuery(e.config.Identity)
	v, err := e.store.Query(ctx, expr, now.Add(-e.config.QueryOffset))
	if err != nil {
		if !e.warned[expr] && ctx.Err() == nil {
			e.warned[expr] = true
			e.log.Warn("which targets are up cannot be read; a scrape that fails may look like a fall of traffic", "query", expr, "err", err)
		}
		return
	}
	delete(e.warned, expr)
	e.coverage.observe(now, e.config.Identity, v)
}
