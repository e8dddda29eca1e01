package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

// maxRecent bounds the resolved incidents that are remembered.
const maxRecent = 1000

// inbox collects what arrives between two ticks. Groups evaluate on their own
// goroutines and operators act when they like; the tick sorts, so the order of
// arrival does not matter.
type inbox[T any] struct {
	mu   sync.Mutex
	list []T
}

// put takes one in, unless most others wait already; 0 is no bound.
func (b *inbox[T]) put(one T, most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if most > 0 && len(b.list) >= most {
		return false
	}
	b.list = append(b.list, one)
	return true
}

func (b *inbox[T]) take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.list
	b.list = nil
	return out
}

// maxActs bounds the acts of operators that wait for a tick.
const maxActs = 1000

// Act takes in what an operator did with an incident; the next tick heeds it.
// It is an error when too many wait for that tick already.
func (e *Engine) Act(act incident.Act) error {
	if !e.acts.put(act, maxActs) {
		return fmt.Errorf("%d acts wait for the next tick already: try again after it", maxActs)
	}
	return nil
}

// Eval evaluates one group at ts.
func (e *Engine) Eval(ctx context.Context, g *rules.Group, ts time.Time) {
	e.Rules().Eval(ctx, g, ts)
}

// Tick is one incident step over all that arrived by now. It returns the
// incidents that are open and those that ended.
func (e *Engine) Tick(ctx context.Context, now time.Time) []*incident.Incident {
	e.mu.Lock()
	defer e.mu.Unlock()
	in := e.input(ctx, now)
	out := e.correlator.Step(now, in)
	if !slices.Equal(out.Holds, e.held) {
		e.rules.Load().Hold(holds(out.Holds))
		e.held = out.Holds
	}
	e.lastTick = now
	e.open = out.Incidents
	for _, i := range out.Incidents {
		if i.State == incident.Resolved && len(i.Sent) > 0 {
			e.recent = append(e.recent, i)
		}
	}
	if n := len(e.recent) - maxRecent; n > 0 {
		e.recent = slices.Delete(e.recent, 0, n)
	}
	e.journal(out.Incidents)
	e.deliver(now)
	e.show(in)
	e.metrics.observe(out.Incidents, e.correlator.Refused(), e.live)
	e.record(ctx, now)
	return out.Incidents
}

// input translates what the parts have for the incident step.
func (e *Engine) input(ctx context.Context, now time.Time) incident.Input {
	if e.live {
		// A source that does not answer must not keep what is known from being sent.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(e.config.Interval/2, time.Second))
		defer cancel()
	}
	e.discover(ctx, now)
	e.watch(ctx, now)
	graph := e.topology.At(now)
	alerts, unread := e.alerts(ctx, now, graph)
	in := incident.Input{
		Alerts: alerts, Blind: unread,
		Acts: e.acts.take(),
		// A change is looked at for a day; the correlator forgets older ones itself.
		Changes: e.o.Changes.Since(now.Add(-24 * time.Hour)),
		Graph:   graph,

		Maintenance: e.maintenance(now),
	}
	e.readings(&in, e.inbox.take())
	if e.o.Active != nil && e.correlator.Opening(now, in.Alerts) {
		in.Foreign = e.foreign(ctx)
	}
	return in
}

// maintenance returns the declared windows that now lies in.
func (e *Engine) maintenance(now time.Time) []incident.Maintenance {
	var out []incident.Maintenance
	id := e.config.Identity
	for _, w := range e.config.Maintenance {
		if from, to, ok := w.At(now); ok {
			out = append(out, incident.Maintenance{
				ID: fmt.Sprintf("%s%v/%d", w.Title, w.Services, from.Unix()), Title: w.Title, From: from, To: to,
				Covers: func(s topology.Service) bool { return w.Covers(id, s) },
			})
		}
	}
	return out
}

// readings puts what arrived since the last step into the input: each series'
// newest verdict, in the order of rules and, within a rule, of its evaluation.
func (e *Engine) readings(in *incident.Input, list []rules.Evaluation) {
	slices.SortStableFunc(list, func(x, y rules.Evaluation) int {
		return cmp.Or(cmp.Compare(x.Rule.Name(), y.Rule.Name()), x.Time.Compare(y.Time))
	})
	out := e.buffer[:0]
	for len(list) > 0 {
		name, n := list[0].Rule.Name(), 1
		for n < len(list) && list[n].Rule.Name() == name {
			n++
		}
		for _, ev := range list[:n] {
			switch {
			case ev.Err != nil:
				in.Blind = append(in.Blind, incident.Blind{Rule: name, Since: ev.Time, Reason: "failed", Error: ev.Err.Error()})
			case len(ev.Readings) == 0:
				in.Blind = append(in.Blind, incident.Blind{Rule: name, Since: ev.Time, Reason: "empty"})
			case ev.OnlyNaN():
				in.Blind = append(in.Blind, incident.Blind{Rule: name, Since: ev.Time, Reason: "only NaN"})
			}
		}
		out = e.translate(out, list[:n])
		list = list[n:]
	}
	// The correlator keeps none of it beyond the step, so the memory is used again.
	e.buffer, in.Readings = out, out
}

// translate appends the readings of one rule, whose evaluations are in order of
// time. A series that several of them have gives its newest one.
func (e *Engine) translate(out []incident.Reading, list []rules.Evaluation) []incident.Reading {
	if len(list) == 1 {
		for i, r := range list[0].Readings {
			out = append(out, e.reading(list[0].Rule, r, i))
		}
		return out
	}
	place := map[string]int{}
	for _, ev := range list {
		for i, r := range ev.Readings {
			reading := e.reading(ev.Rule, r, i)
			if k, ok := place[r.Key]; ok {
				if !reading.Time.Before(out[k].Time) {
					out[k] = reading
				}
				continue
			}
			place[r.Key] = len(out)
			out = append(out, reading)
		}
	}
	return out
}

// unsure are the doubts under which a reading never opens a page alone.
const unsure = detectors.DoubtWarmingUp | detectors.DoubtShortHistory | detectors.DoubtAfterGap | detectors.DoubtPartial

// reading translates a reading, which is at the given place of its evaluation.
func (e *Engine) reading(d *rules.Detection, r rules.Reading, place int) incident.Reading {
	v := r.Verdict
	caller, service := e.serviceOf(d.Name(), r, place)
	// Fewer targets make less traffic; they do not make errors or latency.
	if !v.Up && r.Anomalous && incident.Signal(d.Signal()) == incident.Traffic && e.coverage.partial(service) {
		v.Doubts |= detectors.DoubtPartial
	}
	return incident.Reading{
		Time: r.Time, Rule: d.Name(), Series: r.Key,
		Service: service, Caller: caller, Signal: incident.Signal(d.Signal()),
		Value: v.Value, Expected: v.Expected, Lower: v.Lower, Upper: v.Upper, Score: v.Score, Up: v.Up,
		Anomalous: r.Anomalous, Onset: r.Onset, Kind: kind(v), Limit: forecast(v),
		Unsure: v.Doubts&unsure != 0, Doubts: v.Doubts.Strings(), Unit: d.Unit(),
	}
}

// forecast is when a trend reaches its limit.
func forecast(v detectors.Verdict) incident.Forecast {
	at := func(ms int64) time.Time {
		if ms == 0 {
			return time.Time{}
		}
		return time.UnixMilli(ms).UTC()
	}
	return incident.Forecast{Earliest: at(v.Earliest), Latest: at(v.Latest)}
}

// kind names what happened to a series; of a silence, which one.
func kind(v detectors.Verdict) string {
	if v.Silence != 0 {
		return v.Kind.String() + ": " + v.Silence.String()
	}
	return v.Kind.String()
}

// named is a series whose service is known.
type named struct {
	key             string
	caller, service topology.Service
}

// serviceOf names the service of a series, or both ends where it measures the
// calls between two. Evaluations have their series in the same order each time,
// so what is at the place is mostly the one that was there.
func (e *Engine) serviceOf(rule string, r rules.Reading, place int) (caller, service topology.Service) {
	list := e.named[rule]
	if place < len(list) && list[place].key == r.Key {
		return list[place].caller, list[place].service
	}
	service = e.config.Identity.OfLabels(r.Series)
	if service == "" {
		caller, service = e.endsOf(r.Series)
	}
	if place < len(list) {
		list[place] = named{r.Key, caller, service}
	} else if place == len(list) {
		e.named[rule] = append(list, named{r.Key, caller, service})
	}
	return caller, service
}

// endsOf names the ends of the edge that a series without a service of its own
// measures: by the labels that topology.discover reads, or client and server.
func (e *Engine) endsOf(series labels.Labels) (caller, callee topology.Service) {
	for _, d := range append(slices.Clip(e.config.Edges), topology.Discovery{Caller: "client", Callee: "server"}) {
		if caller, callee, ok := d.Ends(e.config.Identity, series); ok {
			return caller, callee
		}
	}
	return "", ""
}

func holds(in []incident.Hold) []rules.Hold {
	out := make([]rules.Hold, 0, len(in))
	for _, h := range in {
		out = append(out, rules.Hold{Rule: h.Rule, Series: h.Series, Since: h.Since, Accept: h.Accept})
	}
	return out
}

// discover asks for edges and versions. A query that fails leaves what is
// known as it is, and is said once.
func (e *Engine) discover(ctx context.Context, now time.Time) {
	ask := func(what, expr string, use func(promql.Vector) error) {
		v, err := e.store.Query(ctx, expr, now.Add(-e.config.QueryOffset))
		if err == nil {
			err = use(v)
		}
		if err == nil {
			delete(e.warned, expr)
			return
		}
		e.metrics.discoveryFailures.WithLabelValues(what).Inc()
		if !e.warned[expr] && !errors.Is(ctx.Err(), context.Canceled) {
			e.warned[expr] = true
			e.log.Warn("discovery query failed; what is known stays", "for", what, "query", expr, "err", err)
		}
	}
	for _, d := range e.config.Edges {
		ask("edges", d.Edges, func(v promql.Vector) error { return e.topology.Discover(now, d, v) })
	}
	for _, d := range e.config.Versions {
		ask("versions", d.Versions, func(v promql.Vector) error {
			return e.o.Changes.Discover(now, d, e.config.Identity, v)
		})
	}
}

// foreign reads what other replicas have open. Where the Alertmanager cannot
// be read, an incident is opened all the same.
func (e *Engine) foreign(ctx context.Context) []incident.Foreign {
	active, err := e.o.Active(ctx)
	if err != nil {
		e.log.Warn("cannot read what other replicas have open; opening without", "err", err)
		return nil
	}
	var out []incident.Foreign
	for _, a := range active {
		if a.Labels.Get("generator") != incident.Generator || a.Labels.Get("incident") == "" {
			continue
		}
		f := incident.Foreign{
			ID: a.Labels.Get("incident"), Labels: a.Labels.Map(),
			Severity: incident.Severity(a.Labels.Get("severity")), StartsAt: a.StartsAt,
		}
		if s := e.config.Identity.OfLabels(a.Labels); s != "" {
			f.Services = append(f.Services, s)
		}
		for _, s := range strings.Split(a.Annotations.Get("services"), ",") {
			if s != "" {
				f.Services = append(f.Services, topology.Service(s))
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b incident.Foreign) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}
