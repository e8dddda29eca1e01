package rules

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/detectors"
)

// Detection is a detection rule in a group. Its accessors may be used from any
// goroutine; it is evaluated by [Manager.Eval] alone.
type Detection struct {
	spec        *DetectionSpec
	labels      labels.Labels // the group's and the rule's
	annotations labels.Labels
	query       string        // the expression as Prometheus prints it
	of          string        // the same of `of`; empty: none
	window      time.Duration // the longest range in the expression
	o           detectionOptions
	group       *Group // set once, before the first evaluation

	// Used by the evaluation only, which the group keeps to one at a time.
	states *states
	holds  map[string]Hold // in force in this evaluation, by key of the series
	held   *holdSet        // where they are from
	// applied is the set that the states are in line with; nil: not known.
	applied *holdSet
	// refusing: the last evaluation had more series than the limit.
	refusing bool

	mu        sync.Mutex
	health    promrules.RuleHealth
	lastError error
	duration  time.Duration
	evaluated time.Time
	history   history
	stats     stats
	// What the group knows of the other rules.
	dependents, dependencies []promrules.Rule
}

var _ promrules.Rule = (*Detection)(nil)

// detectionOptions are what a rule needs of its manager.
type detectionOptions struct {
	interval     time.Duration
	seriesLimit  int
	forgetAfter  time.Duration
	now          func() time.Time // nil: durations are not measured
	partial      func(context.Context) (context.Context, func() bool)
	onEvaluation func(Evaluation)
	skipOutputs  bool // judge, and write nothing
	logger       *slog.Logger
}

// stats are a rule's figures after its last evaluation.
type stats struct {
	series    int // judged
	anomalies int
	states    int
	stateSize int // bytes of one
	refused   uint64
	forgotten uint64
}

func newDetection(spec *DetectionSpec, groupLabels map[string]string, o detectionOptions) (*Detection, error) {
	d := &Detection{
		spec:        spec,
		labels:      promrules.FromMaps(groupLabels, spec.Labels),
		annotations: labels.FromMap(spec.Annotations),
		query:       spec.Expr.String(),
		window:      windowOf(spec.Expr),
		o:           o,
		health:      promrules.HealthUnknown,
	}
	if spec.Of != nil {
		d.of = spec.Of.String()
	}
	if err := d.begin(); err != nil {
		return nil, fmt.Errorf("%s:%d:%d: %w", spec.File, spec.Line, spec.Column, err)
	}
	return d, nil
}

// begin makes empty states if there are none.
func (d *Detection) begin() error {
	if d.states != nil {
		return nil
	}
	bank, err := d.bank()
	if err != nil {
		return err
	}
	d.states = newStates(bank)
	return nil
}

// bank makes an empty one.
func (d *Detection) bank() (detectors.Bank, error) {
	bank, err := d.spec.Detector.New(d.spec.Options, detectors.Conditions{Budget: d.spec.Budget, Step: d.o.interval})
	if err != nil {
		return nil, fmt.Errorf("detection rule %q: %w", d.spec.Name, err)
	}
	return bank, nil
}

// stateKey names what a state means: rules with equal keys may exchange states.
func (d *Detection) stateKey() string {
	return fmt.Sprintf("%q %q %q %q %q %s %v %s", d.spec.Name, d.query, d.of, d.spec.By, d.spec.Detector.Name, optionsText(d.spec.Options), d.o.interval, d.spec.Budget)
}

func optionsText(o detectors.Options) string {
	v := reflect.ValueOf(o)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return fmt.Sprintf("%+v", v)
}

// give hands the rule a state with the same key that another one learnt.
func (d *Detection) give(st *states) {
	st.reshape(d.shape())
	d.states, d.applied = st, nil
	d.count(0, 0)
}

// takeStates takes the states away, nil if there are none; the rule begins anew
// should it be evaluated again.
func (d *Detection) takeStates() *states {
	st := d.states
	d.states, d.applied = nil, nil
	d.count(0, 0)
	return st
}

func (d *Detection) shape() shape { return shape{name: d.spec.Name, labels: d.labels} }

// count publishes the figures of the states.
func (d *Detection) count(series, anomalies int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats = stats{series: series, anomalies: anomalies}
	if d.states == nil {
		return
	}
	d.stats = stats{
		series: series, anomalies: anomalies, states: d.states.bank.Len(), stateSize: d.states.bank.StateSize(),
		refused: d.states.refused, forgotten: d.states.forgotten,
	}
}

func (d *Detection) figures() stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Name returns the rule's name.
func (d *Detection) Name() string { return d.spec.Name }

// Spec returns the rule as its file says it; it must not be changed.
func (d *Detection) Spec() *DetectionSpec { return d.spec }

// Signal returns latency, traffic, errors or saturation.
func (d *Detection) Signal() string { return string(d.spec.Signal) }

// Unit returns the unit of the values; empty when it is not known.
func (d *Detection) Unit() string { return d.spec.Unit }

// DetectorName returns the name of the rule's detector.
func (d *Detection) DetectorName() string { return d.spec.Detector.Name }

// Labels returns the labels that the rule adds to its results.
func (d *Detection) Labels() labels.Labels { return d.labels }

// Annotations returns the rule's annotations.
func (d *Detection) Annotations() labels.Labels { return d.annotations }

// Query returns the rule's expression.
func (d *Detection) Query() parser.Expr { return d.spec.Expr }

// Group returns the group of the rule.
func (d *Detection) Group() *Group { return d.group }

// Series returns how many series the last evaluation judged.
func (d *Detection) Series() int { return d.figures().series }

// Anomalies returns how many series were anomalous at the last evaluation.
func (d *Detection) Anomalies() int { return d.figures().anomalies }

// History returns the last evaluations, at most twenty, oldest first.
func (d *Detection) History() []EvaluationSummary {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]EvaluationSummary(nil), d.history...)
}

// String returns the rule as YAML, with every field: groups are compared by it.
func (d *Detection) String() string {
	var write []string
	if d.spec.WriteScore {
		write = append(write, "score")
	}
	if d.spec.WriteBand {
		write = append(write, "band")
	}
	out, err := yaml.Marshal(struct {
		Detect      string
		Expr        string
		Of          string
		By          []string
		Up          string
		Signal      Signal
		Detector    string
		Options     string
		Direction   Direction
		FalseAlarms string            `yaml:"false_alarms"`
		MinChange   MinChange         `yaml:"min_change"`
		For         time.Duration     `yaml:"for"`
		Write       []string          `yaml:"write"`
		Unit        string            `yaml:"unit"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}{
		d.spec.Name, d.query, d.of, d.spec.By, d.spec.upQuery(), d.spec.Signal, d.spec.Detector.Name, optionsText(d.spec.Options), d.spec.Direction,
		d.spec.Budget.String(), d.spec.MinChange, d.spec.For, write, d.spec.Unit, d.labels.Map(), maps.Clone(d.spec.Annotations),
	})
	if err != nil {
		return fmt.Sprintf("detection rule %q cannot be written as YAML: %v", d.spec.Name, err)
	}
	return string(out)
}
