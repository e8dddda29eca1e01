package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	promrules "github.com/prometheus/prometheus/rules"
)

// A grave is a removed group whose series are still to be ended.
type grave struct {
	empty    *promrules.Group // of the same file and name, with the series of the removed one
	interval time.Duration
}

// maxGraves bounds the removed groups that wait for [Manager.Run].
const maxGraves = 10_000

// Update replaces all groups by those of the files. A group that did not
// change keeps running; one that changed goes on with the state of its alerts
// and of its detection rules, as far as these are the same (see
// [Manager.CopyDetections]); what a removed group wrote ends with stale markers
// two intervals later, written by [Manager.Run]. It waits for running
// evaluations of the groups that it replaces. On an error nothing changes.
func (m *Manager) Update(files []*File) error {
	m.update.Lock()
	defer m.update.Unlock()

	m.mu.Lock()
	next, now := m.next, m.global
	m.next = now // an update that fails has no effect on the one after
	restored := m.restored || m.updated
	current := make(map[string]*Group, len(m.groups))
	for _, g := range m.groups {
		current[g.key()] = g
	}
	m.mu.Unlock()

	if err := Unique(files); err != nil {
		return err
	}
	built, err := m.build(files, next, restored)
	if err != nil {
		return err
	}
	sameLabels := labels.Equal(next.external, now.external)
	groups := make([]*Group, 0, len(built))
	var fresh, replaced []*Group
	predecessor := map[*Group]*Group{}
	for _, g := range built {
		old, ok := current[g.key()]
		delete(current, g.key())
		if ok && sameLabels && old.prom.Equals(g.prom) {
			groups = append(groups, old)
			continue
		}
		if ok {
			predecessor[g] = old
			replaced = append(replaced, old)
		}
		groups = append(groups, g)
		fresh = append(fresh, g)
	}
	var gone []*Group
	for _, key := range sortedKeys(current) {
		gone = append(gone, current[key])
	}

	ending := append(replaced, gone...)
	for _, g := range ending {
		g.stop()
	}
	learnt := map[string]*states{}
	collectStates(learnt, ending)
	for _, g := range fresh {
		m.inherit(g, predecessor[g], learnt)
	}
	slices.SortFunc(groups, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(a.File(), b.File()), cmp.Compare(a.Name(), b.Name()))
	})

	m.mu.Lock()
	m.groups, m.global, m.next, m.updated = groups, next, next, true
	m.offset.Store(int64(next.offset))
	for _, g := range gone {
		m.removed = append(m.removed, m.bury(g))
	}
	if n := len(m.removed) - maxGraves; n > 0 {
		m.removed = slices.Delete(m.removed, 0, n)
	}
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default: // Run has not taken up the last change yet
	}
	return nil
}

// inherit hands on the state of the group before and of the detection rules.
func (m *Manager) inherit(g, old *Group, learnt map[string]*states) {
	if old != nil {
		g.prom.CopyState(old.prom)
		if g.restore = old.restore; g.restore {
			for _, r := range g.prom.AlertingRules() {
				r.SetRestored(false)
			}
		}
	}
	for _, d := range g.detections {
		key := d.stateKey()
		if st, ok := learnt[key]; ok {
			d.give(st)
			delete(learnt, key)
		}
	}
}

// bury makes what is left of a removed group.
func (m *Manager) bury(g *Group) grave {
	offset := g.QueryOffset()
	empty := promrules.NewGroup(promrules.GroupOptions{
		Name: g.Name(), File: g.File(), Interval: g.Interval(), QueryOffset: &offset, Opts: m.prom,
	})
	empty.CopyState(g.prom)
	return grave{empty: empty, interval: g.Interval()}
}

// build makes groups from files without touching the present ones.
func (m *Manager) build(files []*File, c global, restored bool) ([]*Group, error) {
	type draft struct {
		options    promrules.GroupOptions
		detections []*Detection
	}
	var drafts []draft
	var errs []error
	seen := map[string]bool{}
	for _, f := range files {
		for _, spec := range f.Groups {
			key := promrules.GroupKey(f.Path, spec.Name)
			if seen[key] {
				errs = append(errs, fmt.Errorf("%s: group %q is there twice", f.Path, spec.Name))
			}
			seen[key] = true
			interval := cmp.Or(spec.Interval, c.interval)
			list, detections, err := m.rules(spec, interval, c, restored)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			drafts = append(drafts, draft{detections: detections, options: promrules.GroupOptions{
				Name: spec.Name, File: f.Path, Interval: interval, Limit: spec.Limit,
				QueryOffset: spec.QueryOffset, Rules: list, Opts: m.prom,
			}})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	out := make([]*Group, 0, len(drafts))
	for _, d := range drafts {
		g := &Group{prom: promrules.NewGroup(d.options), detections: d.detections, restore: !restored}
		for _, det := range d.detections {
			det.group = g
		}
		out = append(out, g)
	}
	return out, nil
}

// rules makes the rules of a group.
func (m *Manager) rules(spec *GroupSpec, interval time.Duration, c global, restored bool) (list []promrules.Rule, detections []*Detection, err error) {
	var errs []error
	url := ""
	if m.o.ExternalURL != nil {
		url = m.o.ExternalURL.String()
	}
	for _, r := range spec.Rules {
		if r.Detection != nil {
			d, err := newDetection(r.Detection, spec.Labels, detectionOptions{
				interval: interval, seriesLimit: m.o.SeriesLimit, forgetAfter: m.o.ForgetAfter,
				now: m.o.Now, partial: m.o.Partial, onEvaluation: m.o.OnEvaluation, skipOutputs: m.o.SkipOutputs, logger: m.log,
			})
			if err != nil {
				errs = append(errs, err)
				continue
			}
			list, detections = append(list, d), append(detections, d)
			continue
		}
		p := r.Prometheus
		expr, err := m.prom.Parser.ParseExpr(p.Expr)
		if err != nil {
			errs = append(errs, fmt.Errorf("group %q, rule %q: %w", spec.Name, p.Record+p.Alert, err))
			continue
		}
		set := promrules.FromMaps(spec.Labels, p.Labels)
		if p.Alert == "" {
			list = append(list, promrules.NewRecordingRule(p.Record, expr, set))
			continue
		}
		list = append(list, promrules.NewAlertingRule(
			p.Alert, expr, time.Duration(p.For), time.Duration(p.KeepFiringFor), set, labels.FromMap(p.Annotations),
			c.external, url, restored, m.log.With("alert", p.Alert),
		))
	}
	return list, detections, errors.Join(errs...)
}
