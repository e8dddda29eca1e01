package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

// updateReal sets rules with the product's own detectors.
func (b *bench) updateReal(rules string) {
	b.Helper()
	f, err := ParseFile("rules.yml", []byte(rules))
	if err != nil {
		b.Fatal(err)
	}
	if err := b.Update([]*File{f}); err != nil {
		b.Fatal(err)
	}
}

const silenceRule = `groups:
- name: g
  interval: 1m
  rules:
  - {detect: S, expr: %s, signal: %s, detector: silence, false_alarms: 1 per 1d, write: [score]%s}
`

// silences evaluates some hours and returns, by key, the minutes at which a
// series was anomalous first and last, with the last kind.
func silences(b *bench, minutes int) string {
	first, last, what := map[string]int{}, map[string]int{}, map[string]string{}
	for i := range minutes {
		e := b.eval(time.Duration(i) * time.Minute)
		if e.Err != nil {
			b.Fatal(e.Err)
		}
		for _, r := range e.Readings {
			if !r.Anomalous {
				continue
			}
			if _, ok := first[r.Key]; !ok {
				first[r.Key] = i
			}
			last[r.Key] = i
			what[r.Key] = fmt.Sprintf("%s, %s: %g, since %d", r.Verdict.Kind, r.Verdict.Silence, r.Verdict.Value, int(r.Onset.Sub(at(0)).Minutes()))
		}
	}
	var out []string
	for _, key := range sortedKeys(first) {
		out = append(out, fmt.Sprintf("%s %d to %d %s", key, first[key], last[key], what[key]))
	}
	return strings.Join(out, "\n")
}

func TestSilenceReasons(t *testing.T) {
	b := newBench(t, `
load 1m
  requests{job="shop",instance="zero"} 5x180 0x59
  requests{job="shop",instance="scrape"} 5x180 stale
  up{job="shop",instance="scrape"} 1x180 0x59
  requests{job="shop",instance="target"} 5x180 stale
  up{job="shop",instance="target"} 1x180 stale
  requests{job="shop",instance="series"} 5x180 stale
  up{job="shop",instance="series"} 1x240
  requests{job="pushed"} 5x180 stale
  requests{job="shop",instance="well"} 5x240
  requests{job="shop",instance="back"} 5x180 stale _x19 5x40
  up{job="shop",instance="back"} 1x180 stale _x19 1x40
  requests{job="shop",instance="never"} 0x240
  requests{job="shop",instance="nan"} 5x180 `+strings.Repeat("NaN ", 59)+`
`, fmt.Sprintf(oneRule, ""))
	b.updateReal(fmt.Sprintf(silenceRule, "requests", "traffic", ""))
	// Kinds are those of the last minute of each.
	got := silences(b, 230)
	same(t, "silences", got, `
{instance="back", job="shop"} 184 to 200 silence, removed target: 0, since 181
{instance="nan", job="shop"} 184 to 229 silence, missing: 0, since 181
{instance="scrape", job="shop"} 184 to 229 silence, failed scrape: 0, since 181
{instance="series", job="shop"} 184 to 229 silence, vanished series: 0, since 181
{instance="target", job="shop"} 184 to 229 silence, removed target: 0, since 181
{instance="zero", job="shop"} 184 to 229 silence, zero: 0, since 181
{job="pushed"} 184 to 229 silence, missing: 0, since 181`)
	if got := b.stored(`anomaly_score{instance="scrape"}`); !strings.Contains(got, " 13200:") || strings.Contains(got, "stale") {
		t.Errorf("the score of a missing series is not written: %s", got)
	}
}

// TestSilenceUp: a rule's own expression tells about targets.
func TestSilenceUp(t *testing.T) {
	load := `
load 1m
  requests{service="a"} 5x180 stale
  requests{service="b"} 5x180 stale
  up{service="a",instance="1"} 1x180 0x59
`
	b := newBench(t, load, fmt.Sprintf(oneRule, ""))
	b.updateReal(fmt.Sprintf(silenceRule, "requests", "traffic", ", up: max by (service) (up)"))
	same(t, "silences", silences(b, 200), `
{service="a"} 184 to 199 silence, failed scrape: 0, since 181
{service="b"} 184 to 199 silence, removed target: 0, since 181`)
}

// TestSilenceBy: a vanished member is silence only if its group does not do
// without it.
func TestSilenceBy(t *testing.T) {
	for _, c := range []struct{ name, load, want string }{
		{"taken over", `
  requests{service="a",pod="1"} 5x180 stale
  requests{service="a",pod="2"} 5x180 10x59`, ""},
		{"replaced", `
  requests{service="a",pod="1"} 5x180 stale
  requests{service="a",pod="2"} _x180 5x59`, ""},
		{"not taken over", `
  requests{service="a",pod="1"} 5x180 stale
  requests{service="a",pod="2"} 5x240`, `{pod="1", service="a"} 184 to 229 silence, missing: 0, since 181`},
		{"all gone", `
  requests{service="a",pod="1"} 5x180 stale
  requests{service="a",pod="2"} 5x180 stale
  requests{service="b",pod="3"} 5x240`, `
{pod="1", service="a"} 184 to 229 silence, missing: 0, since 181
{pod="2", service="a"} 184 to 229 silence, missing: 0, since 181`},
	} {
		b := newBench(t, "load 1m"+c.load+"\n", fmt.Sprintf(oneRule, ""))
		b.updateReal(fmt.Sprintf(silenceRule, "requests", "traffic", ", by: [service]"))
		same(t, c.name, silences(b, 230), c.want)
	}
	b := newBench(t, "load 1m\n  cpu{service=\"a\",pod=\"1\"} 5x180 stale\n  cpu{service=\"a\",pod=\"2\"} 5x240\n", fmt.Sprintf(oneRule, ""))
	b.updateReal(fmt.Sprintf(silenceRule, "cpu", "saturation", ", by: [service]"))
	same(t, "another signal", silences(b, 230), "")
}

// TestSilenceForgotten: a series that is missing for a day is forgotten.
func TestSilenceForgotten(t *testing.T) {
	b := newBench(t, "load 1m\n  requests{job=\"a\"} 5x60 stale\n  requests{job=\"b\"} 5x1600\n", fmt.Sprintf(oneRule, ""))
	b.updateReal(fmt.Sprintf(silenceRule, "requests", "traffic", ""))
	var e Evaluation
	for i := range 61 {
		e = b.eval(time.Duration(i) * time.Minute)
	}
	for i := 65; i < 1560; i += 5 {
		e = b.eval(time.Duration(i) * time.Minute)
		if n := len(e.Readings); (i < 1510) != (n == 2) {
			t.Fatalf("minute %d: %d readings", i, n)
		}
	}
	if n := e.Rule.figures().states; n != 1 {
		t.Errorf("%d states, want 1", n)
	}
}

func TestParseExtra(t *testing.T) {
	parse := func(fields string) (*DetectionSpec, error) {
		f, err := ParseFile("a.yml", []byte("groups: [{name: g, rules: [{detect: D, "+fields+"}]}]"))
		if err != nil {
			return nil, err
		}
		return f.Groups[0].Rules[0].Detection, nil
	}
	for _, c := range []struct {
		expr  string
		event float64
	}{
		{"sum by (service) (rate(x[5m]))", 1.0 / 300}, {"increase(x[1h])", 1}, {"rate(x[1m]) + rate(y[1m])", 1.0 / 60},
		{"rate(x[1m]) or 0 * rate(y[1m])", 1.0 / 60}, {"rate(x[1m]) + rate(y[5m])", 0}, {"60 * rate(x[1m])", 0}, {"x", 0}, {"max by (service) (rate(x[5m]))", 0},
		{"avg_over_time(rate(x[1m])[10m:])", 0},
	} {
		d, err := parse("signal: errors, detector: rate, expr: '" + c.expr + "'")
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Options.(*detectors.RateOptions).Event; got != c.event {
			t.Errorf("%s: an event makes %g, want %g", c.expr, got, c.event)
		}
	}
	d, err := parse("signal: errors, expr: e, of: r")
	if err != nil || d.Detector.Name != "rate" || d.Unit != "ratio" || d.Direction != Up {
		t.Errorf("of: got %+v and %v, want the detector rate and the unit ratio", d, err)
	}
	d, err = parse("signal: latency, expr: e, detector: silence, by: [b, a]")
	if err != nil || d.Direction != Down || fmt.Sprint(d.By) != "[a b]" {
		t.Errorf("silence: got %+v and %v, want the direction down and by [a b]", d, err)
	}
	g := &GroupSpec{Rules: []RuleSpec{{Detection: d}}}
	same(t, "expressions", fmt.Sprint(g.Expressions()), "[e up]")
	for _, c := range []struct{ fields, want string }{
		{"signal: errors, expr: e, detector: silence, by: [a, a]", `by: label "a" is there twice`},
		{"signal: errors, expr: e, detector: silence, by: ['']", `by: "" is no label name`},
		{"signal: errors, expr: e, detector: silence, up: 'x['", `PromQL`},
		{"signal: errors, expr: e, detector: threshold", "neither upper nor lower is set"},
		{"signal: errors, expr: e, up: u", `which detector spike does not judge`},
	} {
		if _, err := parse(c.fields); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to contain %q", c.fields, err, c.want)
		}
	}
}
