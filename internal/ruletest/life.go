package ruletest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/yamlfile"
	"github.com/foreshock/foreshock/rules"
)

// maxResolved bounds the incidents that ended and are remembered for `since`.
const maxResolved = 1000

// life lives through one test group.
type life struct {
	path  string
	test  *testGroup
	start time.Time
	end   time.Duration
	every time.Duration // evaluation_interval
	color bool
	fuzzy bool
	order []string // group_eval_order
	debug io.Writer

	input   []*input
	changes []change.Change // those that are still to come
	config  engine.Config

	local       *source.Local
	store       source.Store
	engine      *engine.Engine
	tracker     *change.Tracker
	groups      []*rules.Group              // in the order of their evaluation
	evaluations map[string]rules.Evaluation // the newest of each detection rule
	incidents   []*incident.Incident        // of the last step
	resolved    []*incident.Incident        // sent and ended, oldest first
}

// failure says where and what, and then how.
func (l *life) failure(n *yaml.Node, what, how string) error {
	return yamlfile.At(l.path, n, "test group %q, %s\n%s", l.test.title(), what, how)
}

// run returns all that is not as expected.
func (l *life) run(ctx context.Context) (errs []error) {
	for _, t := range l.test.alerts {
		if t.v.Alertname == "" {
			return []error{yamlfile.At(l.path, t.node, "an item under alert_rule_test misses required attribute alertname at eval_time %s (in test group %q)", t.v.EvalTime, l.test.title())}
		}
	}
	if err := l.open(ctx); err != nil {
		if l.local != nil {
			err = errors.Join(err, l.local.Close())
		}
		return split1(err)
	}
	defer func() {
		if err := l.local.Close(); err != nil {
			errs = append(errs, err)
		}
	}()
	errs, broken := l.live(ctx)
	if broken {
		return errs
	}
	for _, t := range l.test.samples {
		if err := l.samplesAt(ctx, t); err != nil {
			errs = append(errs, err)
		}
	}
	if l.debug != nil {
		l.dump(ctx)
	}
	return errs
}

// open makes the store and the engine.
func (l *life) open(ctx context.Context) error {
	var err error
	// The query limits are those of a server.
	l.local, err = source.OpenTemporary(source.TemporaryOptions{Query: source.QueryOptions{SubqueryStep: l.every}})
	if err != nil {
		return err
	}
	l.store = l.local.Store()
	l.tracker = change.NewTracker()
	l.evaluations = map[string]rules.Evaluation{}
	l.engine, err = engine.New(engine.Options{
		Config: l.config, ExternalURL: externalURL(l.test.ExternalURL), Changes: l.tracker,
		Observe: func(ev rules.Evaluation) { l.evaluations[ev.Rule.Name()] = ev },
	})
	if err != nil {
		return err
	}
	if err := l.engine.Attach(ctx, l.store, engine.Live{}); err != nil {
		return err
	}
	l.engine.Rules().SetRestored()
	l.groups = l.ordered()
	return nil
}

// externalURL returns a URL whose text is exactly the given one.
func externalURL(text string) *url.URL {
	if text == "" {
		return nil
	}
	if u, err := url.Parse(text); err == nil && u.String() == text {
		return u
	}
	return &url.URL{Opaque: text}
}

// ordered returns the rule groups in the order of the files, and by
// group_eval_order. As in promtool groups that it does not name count as first.
func (l *life) ordered() []*rules.Group {
	place := map[[2]string]int{}
	for _, f := range l.config.Rules {
		for _, g := range f.Groups {
			place[[2]string{f.Path, g.Name}] = len(place)
		}
	}
	out := l.engine.Rules().Groups()
	slices.SortFunc(out, func(a, b *rules.Group) int {
		return cmp.Or(
			cmp.Compare(max(0, slices.Index(l.order, a.Name())), max(0, slices.Index(l.order, b.Name()))),
			cmp.Compare(place[[2]string{a.File(), a.Name()}], place[[2]string{b.File(), b.Name()}]))
	})
	return out
}

// event is what happens again and again: the evaluation of a group or, where
// group is nil, the incident step.
type event struct {
	at, every time.Duration // from the start
	group     *rules.Group
}

// events are in the order in which those of the same time happen.
func (l *life) events() []*event {
	var out []*event
	for _, g := range l.groups {
		e := &event{every: l.every, group: g}
		if l.test.extended() {
			e.every = g.Interval()
		}
		out = append(out, e)
	}
	if l.test.extended() {
		return append(out, &event{every: l.config.Interval})
	}
	// Samples are loaded also where there is no rule.
	return append(out, &event{every: l.every})
}

// live goes from the start to the end; broken says that a rule could not be
// evaluated, after which nothing else is looked at, as in promtool.
func (l *life) live(ctx context.Context) (errs []error, broken bool) {
	events := l.events()
	checks := l.checks()
	for {
		at := slices.MinFunc(events, func(a, b *event) int { return cmp.Compare(a.at, b.at) }).at
		for len(checks) > 0 && (checks[0].at < at || at == never) {
			if err := checks[0].do(); err != nil {
				errs = append(errs, err)
			}
			checks = checks[1:]
		}
		if at > l.end || at == never {
			break
		}
		if ctx.Err() != nil {
			return append(errs, fmt.Errorf("test group %q stopped at %s: %w", l.test.title(), l.since(l.start.Add(at)), context.Cause(ctx))), true
		}
		if err := l.load(ctx, at); err != nil {
			errs = append(errs, yamlfile.At(l.path, yamlfile.Field(l.test.node, "input_series"), "test group %q, time: %s: %v", l.test.title(), l.since(l.start.Add(at)), err))
			advance(events, at)
			continue
		}
		if failed := l.step(ctx, events, at); len(failed) > 0 {
			return append(errs, failed...), true
		}
	}
	if l.test.extended() {
		if err := l.load(ctx, l.end); err != nil {
			errs = append(errs, yamlfile.At(l.path, l.test.node, "%v", err))
		}
	}
	return errs, false
}

// never is after all that a duration can tell.
const never = time.Duration(math.MaxInt64)

func advance(events []*event, at time.Duration) {
	for _, e := range events {
		switch {
		case e.at != at:
		case e.at > never-e.every:
			e.at = never
		default:
			e.at += e.every
		}
	}
}

// step does all that happens at one time.
func (l *life) step(ctx context.Context, events []*event, at time.Duration) (errs []error) {
	now := l.start.Add(at)
	for _, e := range events {
		if e.at != at {
			continue
		}
		switch {
		case e.group == nil:
			if !l.test.extended() {
				break
			}
			if err := l.tick(ctx, now); err != nil {
				errs = append(errs, err)
			}
		default:
			l.engine.Eval(ctx, e.group, now)
			for _, r := range e.group.Rules() {
				if err := r.LastError(); err != nil {
					errs = append(errs, l.failure(l.test.node, fmt.Sprintf("rule: %s of %s, time: %s", r.Name(), e.group.File(), l.since(now)), err.Error()))
				}
			}
		}
	}
	advance(events, at)
	return errs
}

// tick is an incident step.
func (l *life) tick(ctx context.Context, now time.Time) error {
	// Changes become known when they happen, not before.
	for len(l.changes) > 0 && !l.changes[0].Time.After(now) {
		if err := l.tracker.Add(l.changes[0]); err != nil {
			return fmt.Errorf("%s: test group %q: change: %w", l.path, l.test.title(), err)
		}
		l.changes = l.changes[1:]
	}
	l.incidents = l.engine.Tick(ctx, now)
	for _, i := range l.incidents {
		if i.State == incident.Resolved && len(i.Sent) > 0 {
			l.resolved = append(l.resolved, i)
		}
	}
	if n := len(l.resolved) - maxResolved; n > 0 {
		l.resolved = slices.Delete(l.resolved, 0, n)
	}
	return nil
}

// load appends the samples up to a time, so that no rule sees the future.
func (l *life) load(ctx context.Context, until time.Duration) error {
	last := l.start.Add(until).UnixMilli()
	app := l.store.Appendable.Appender(ctx)
	for _, in := range l.input {
		for ; in.next < in.length; in.next++ {
			t := l.start.Add(time.Duration(in.next) * time.Duration(l.test.Interval)).UnixMilli()
			if t > last {
				break
			}
			v := in.sample(in.next)
			if v.Omitted {
				continue
			}
			var err error
			if v.Histogram != nil {
				_, err = app.AppendHistogram(0, in.labels, t, nil, v.Histogram)
			} else {
				_, err = app.Append(0, in.labels, t, v.Value)
			}
			if err != nil {
				return errors.Join(fmt.Errorf("series %s: %w", in.labels, err), app.Rollback())
			}
		}
	}
	return app.Commit()
}

// check is an item of a test with its time.
type check struct {
	at time.Duration
	do func() error
}

// checks are those that look at a state that passes, in order of time; samples can be asked for later.
func (l *life) checks() []check {
	var out []check
	for _, t := range l.test.alerts {
		out = append(out, check{time.Duration(t.v.EvalTime), func() error { return l.alertsAt(t) }})
	}
	for _, t := range l.test.detections {
		out = append(out, check{time.Duration(t.v.EvalTime), func() error { return l.detectionsAt(t) }})
	}
	for _, t := range l.test.incidents {
		out = append(out, check{time.Duration(t.v.EvalTime), func() error { return l.incidentsAt(t) }})
	}
	slices.SortStableFunc(out, func(a, b check) int { return cmp.Compare(a.at, b.at) })
	return out
}

// dump writes all series, those of the rules among them.
func (l *life) dump(ctx context.Context) {
	until := (l.end + time.Second).Truncate(time.Second)
	expr := fmt.Sprintf(`{__name__=~".+"}[%dms]`, until.Milliseconds())
	v, _, err := l.local.Evaluate(ctx, expr, l.start.Add(until))
	if err != nil {
		fmt.Fprintf(l.debug, "DEBUG: Failed query, expr: %q, err: %v\n", expr, err)
		return
	}
	if m, ok := v.(promql.Matrix); ok {
		fmt.Fprintf(l.debug, "DEBUG: Dump of all data (input_series and rules) at %s:\n%s\n", l.since(l.start.Add(until)), m)
	}
}
