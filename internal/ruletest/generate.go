package ruletest

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// maxSamples bounds the samples of one input series.
const maxSamples = 10_000_000

// digits is how many significant ones a generated value has. Sine, logarithm
// and fused operations differ between machines in the last bits of a float, so
// that rounding gives all of them the same series.
const digits = 12

// generate makes a series as they are in production. All times are from the
// start of the test group.
type generate struct {
	For    model.Duration `yaml:"for"` // 0: until the last eval_time
	Base   float64        `yaml:"base"`
	Daily  *rhythm        `yaml:"daily"`
	Weekly *rhythm        `yaml:"weekly"`
	Noise  *noise         `yaml:"noise"`
	Steps  []step         `yaml:"steps"`
	Ramps  []ramp         `yaml:"ramps"`
	Spikes []spike        `yaml:"spikes"`
	Gaps   []gap          `yaml:"gaps"`
	Min    *float64       `yaml:"min"`
	Max    *float64       `yaml:"max"`
	// Counter: the values are rates per second, and the series is the counter
	// that grows by them.
	Counter bool             `yaml:"counter"`
	Resets  []model.Duration `yaml:"resets"`
}

// rhythm adds a wave: highest at the peak (a time of the day, or of the week from
// Monday 00:00, in UTC), lowest half a period later.
type rhythm struct {
	Amplitude float64        `yaml:"amplitude"`
	Peak      model.Duration `yaml:"peak"`
}

// noise adds independent, normally distributed values. Equal seeds give equal
// noise for the same series, and different noise for different ones.
type noise struct {
	Stddev float64 `yaml:"stddev"`
	Seed   uint64  `yaml:"seed"`
}

// step adds By from At on, until Until where that is given.
type step struct {
	At    model.Duration  `yaml:"at"`
	Until *model.Duration `yaml:"until"`
	By    float64         `yaml:"by"`
}

// ramp adds nothing before From, By after To, and in between a share that grows evenly.
type ramp struct {
	From model.Duration `yaml:"from"`
	To   model.Duration `yaml:"to"`
	By   float64        `yaml:"by"`
}

// spike adds By to what is sampled from At on for so long; at least to one sample.
type spike struct {
	At  model.Duration `yaml:"at"`
	For model.Duration `yaml:"for"`
	By  float64        `yaml:"by"`
}

// gap leaves samples out from From until before To; Stale ends the series with
// a stale marker, as a target that is gone does.
type gap struct {
	From  model.Duration `yaml:"from"`
	To    model.Duration `yaml:"to"`
	Stale bool           `yaml:"stale"`
}

// check says what is wrong beside what decoding found.
func (g *generate) check(d *listDecoder, n *yaml.Node) {
	at := func(name string, i int) *yaml.Node {
		if list := yamlfile.Field(n, name); list != nil && i < len(list.Content) {
			return yamlfile.Resolve(list.Content[i])
		}
		return n
	}
	span := func(name string, i int, from, to model.Duration) {
		if to <= from {
			d.fail(at(name, i), "%s: it ends at %s, which is not after its beginning at %s", name, to, from)
		}
	}
	finite := func(n *yaml.Node, name string, values ...float64) {
		for _, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				d.fail(n, "%s: %v is no finite number", name, v)
			}
		}
	}
	finite(n, "base", g.Base)
	if g.Daily != nil {
		finite(n, "daily", g.Daily.Amplitude)
	}
	if g.Weekly != nil {
		finite(n, "weekly", g.Weekly.Amplitude)
	}
	if g.Noise != nil {
		finite(n, "noise", g.Noise.Stddev)
		if g.Noise.Stddev < 0 {
			d.fail(yamlfile.Field(n, "noise"), "noise: the standard deviation is below zero")
		}
	}
	for i, s := range g.Steps {
		finite(at("steps", i), "steps", s.By)
		if s.Until != nil {
			span("steps", i, s.At, *s.Until)
		}
	}
	for i, r := range g.Ramps {
		finite(at("ramps", i), "ramps", r.By)
		span("ramps", i, r.From, r.To)
	}
	for i, s := range g.Spikes {
		finite(at("spikes", i), "spikes", s.By)
	}
	for i, s := range g.Gaps {
		span("gaps", i, s.From, s.To)
	}
	if g.Min != nil && g.Max != nil && *g.Max < *g.Min {
		d.fail(yamlfile.Field(n, "max"), "max: %v is below min, which is %v", *g.Max, *g.Min)
	}
	if len(g.Resets) > 0 && !g.Counter {
		d.fail(yamlfile.Field(n, "resets"), "resets: only a counter is reset: write counter: true")
	}
}

// generator gives the samples of one series in their order.
type generator struct {
	generate
	start time.Time
	every time.Duration
	dice  *rand.Rand
	total float64 // of a counter
	stale bool    // the gap that is running has its marker
	seen  bool    // there was a sample before
}

func newGenerator(g generate, series string, start time.Time, every time.Duration) *generator {
	out := &generator{generate: g, start: start, every: every}
	if g.Noise != nil {
		h := fnv.New64a()
		h.Write([]byte(series)) // never fails
		out.dice = rand.New(rand.NewPCG(g.Noise.Seed, h.Sum64()))
	}
	return out
}

// sample returns the i-th sample; it is asked for each in turn.
func (g *generator) sample(i int) parser.SequenceValue {
	at := time.Duration(i) * g.every
	v := g.value(at)
	if g.Counter {
		v = g.count(i, at, v)
	}
	for _, s := range g.Gaps {
		if at < time.Duration(s.From) || at >= time.Duration(s.To) {
			continue
		}
		if s.Stale && !g.stale && g.seen {
			g.stale = true
			return parser.SequenceValue{Value: staleMarker}
		}
		return parser.SequenceValue{Omitted: true}
	}
	g.stale, g.seen = false, true
	return parser.SequenceValue{Value: v}
}

// count is the counter's value after the rate v since the last sample.
func (g *generator) count(i int, at time.Duration, v float64) float64 {
	for _, r := range g.Resets {
		if at >= time.Duration(r) && at-g.every < time.Duration(r) {
			g.total = 0
			return 0
		}
	}
	if i > 0 && v > 0 {
		g.total = round(g.total + float64(v*g.every.Seconds()))
	}
	return g.total
}

// value is the sum of the parts at a time.
func (g *generator) value(at time.Duration) float64 {
	v := g.Base
	if g.Daily != nil {
		v += g.Daily.at(g.start.Add(at), 0, 24*time.Hour)
	}
	if g.Weekly != nil {
		// The epoch was a Thursday.
		v += g.Weekly.at(g.start.Add(at), 3*24*time.Hour, 7*24*time.Hour)
	}
	if g.dice != nil {
		v += float64(g.Noise.Stddev * g.dice.NormFloat64())
	}
	for _, s := range g.Steps {
		if at >= time.Duration(s.At) && (s.Until == nil || at < time.Duration(*s.Until)) {
			v += s.By
		}
	}
	for _, r := range g.Ramps {
		switch {
		case at >= time.Duration(r.To):
			v += r.By
		case at > time.Duration(r.From):
			v += float64(r.By * (float64(at-time.Duration(r.From)) / float64(r.To-r.From)))
		}
	}
	for _, s := range g.Spikes {
		if from := time.Duration(s.At); at >= from && at < from+max(time.Duration(s.For), g.every) {
			v += s.By
		}
	}
	if g.Min != nil {
		v = max(v, *g.Min)
	}
	if g.Max != nil {
		v = min(v, *g.Max)
	}
	return round(v)
}

// at is the wave's value; the period is counted from shift before the epoch.
func (r *rhythm) at(t time.Time, shift, period time.Duration) float64 {
	into := (t.UnixMilli() + shift.Milliseconds()) % period.Milliseconds()
	phase := float64(into-time.Duration(r.Peak).Milliseconds()) / float64(period.Milliseconds())
	return float64(r.Amplitude * math.Cos(2*math.Pi*phase))
}

func round(v float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return v // rounding up the largest float overflows
	}
	return out
}
