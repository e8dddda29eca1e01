package rules

import (
	"slices"
	"time"

	promrules "github.com/prometheus/prometheus/rules"
)

// The rest of Prometheus's interface of a rule: what a group sets and asks.

// SetLastError implements [promrules.Rule].
func (d *Detection) SetLastError(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastError = err
}

// LastError returns the error of the last evaluation, or nil.
func (d *Detection) LastError() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lastError
}

// SetHealth implements [promrules.Rule].
func (d *Detection) SetHealth(h promrules.RuleHealth) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health = h
}

// Health says whether the last evaluation succeeded.
func (d *Detection) Health() promrules.RuleHealth {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.health
}

// SetEvaluationDuration implements [promrules.Rule]. The group calls it after
// each evaluation, so the newest entry of the history is its own.
func (d *Detection) SetEvaluationDuration(duration time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.duration = duration
	if n := len(d.history); n > 0 {
		d.history[n-1].Duration = duration
	}
}

// GetEvaluationDuration returns how long the last evaluation took.
func (d *Detection) GetEvaluationDuration() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.duration
}

// SetEvaluationTimestamp implements [promrules.Rule].
func (d *Detection) SetEvaluationTimestamp(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.evaluated = t
}

// GetEvaluationTimestamp returns when, by the clock, the last evaluation began.
func (d *Detection) GetEvaluationTimestamp() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.evaluated
}

// SetDependentRules implements [promrules.Rule].
func (d *Detection) SetDependentRules(rules []promrules.Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dependents = slices.Clone(rules)
}

// DependentRules returns the rules that depend on this one, as far as known.
func (d *Detection) DependentRules() []promrules.Rule {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dependents
}

// NoDependentRules is never sure: the results have other names than the rule,
// by which Prometheus looks for dependencies.
func (d *Detection) NoDependentRules() bool { return false }

// SetDependencyRules implements [promrules.Rule].
func (d *Detection) SetDependencyRules(rules []promrules.Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dependencies = slices.Clone(rules)
}

// DependencyRules returns the rules that this one depends on, as far as known.
func (d *Detection) DependencyRules() []promrules.Rule {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dependencies
}

// NoDependencyRules is never sure, as NoDependentRules.
func (d *Detection) NoDependencyRules() bool { return false }
