package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
)

func acts(b *bench, series int) string {
	return b.Groups()[0].Detections()[0].states.bank.(*stepBank).states[series].acts
}

func TestHolds(t *testing.T) {
	b := newBench(t, "", fmt.Sprintf(oneRule, ""), withQuery(vector(1), vector(50), vector(50), vector(1, 1), vector(1, 1), vector(1, 1)))
	key, other := `{i="0"}`, `{i="1"}`
	b.eval(0)
	b.Hold([]Hold{
		{Rule: "D", Series: key, Since: at(30 * time.Second)},
		{Rule: "D", Series: other, Since: at(40 * time.Second), Until: at(4 * time.Minute)},
		{Rule: "Other", Series: key},
	})
	same(t, "not before the evaluation", acts(b, 0), "")
	same(t, "held", readings(b.eval(time.Minute)), key+`=50 score 4.9 anomalous since 60`)
	same(t, "not learnt", readings(b.eval(2*time.Minute)), key+`=50 score 4.9 anomalous since 60`)
	same(t, "acts", acts(b, 0), "hold 30;")

	b.Hold([]Hold{{Rule: "D", Series: key, Accept: true}, {Rule: "D", Series: other, Since: at(40 * time.Second), Until: at(4 * time.Minute)}})
	b.eval(3 * time.Minute)
	same(t, "held on, its end changed", acts(b, 0), "hold 30;")
	same(t, "a new series is held from the beginning", acts(b, 1), "hold 40;")
	b.Hold([]Hold{{Rule: "D", Series: other, Since: at(40 * time.Second), Until: at(4 * time.Minute)}})
	b.eval(4 * time.Minute)
	same(t, "released as its hold said last", acts(b, 0), "hold 30;release true;")
	same(t, "ended by itself", acts(b, 1), "hold 40;release false;")
	b.Hold(nil)
	b.eval(5 * time.Minute)
	same(t, "nothing more", acts(b, 0)+acts(b, 1), "hold 30;release true;hold 40;release false;")
}

func TestUpdateKeepsWhatIsTheSame(t *testing.T) {
	const file = `groups:
- name: g
  interval: 1m
  rules:
  - {detect: D, expr: %s, signal: saturation, write: [score]%s}
`
	for _, tc := range []struct {
		name, before, after string
		keeps               bool
	}{
		{"same", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "load", ""), true},
		{"labels", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "load", ", labels: {a: b}"), true},
		{"another group", fmt.Sprintf(file, "load", ""), strings.Replace(fmt.Sprintf(file, "load", ""), "name: g", "name: h", 1), true},
		{"spelling", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "(load)", ""), false},
		{"expression", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "load + 0", ""), false},
		{"detector", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "load", ", detector: other"), false},
		{"options", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "load", ", detector: {spike: {unit: 9}}"), false},
		{"budget", fmt.Sprintf(file, "load", ""), fmt.Sprintf(file, "load", ", false_alarms: 1 per 1d"), false},
		{"interval", fmt.Sprintf(file, "load", ""), strings.Replace(fmt.Sprintf(file, "load", ""), "1m", "2m", 1), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "load 1m\n  load 1 2 3\n", tc.before)
			b.eval(0)
			before := b.Groups()[0]
			b.update(tc.after)
			after := b.Groups()[0]
			if got := before == after; got != (tc.name == "same") {
				t.Errorf("got the same group: %v", got)
			}
			r := b.eval(time.Minute).Readings
			if len(r) != 1 || (r[0].Verdict.Learnt == 1) != tc.keeps {
				t.Errorf("got %+v, want what was learnt kept: %v", r, tc.keeps)
			}
			if before != after {
				b.evaluations = nil
				b.Eval(context.Background(), before, at(2*time.Minute))
				if len(b.evaluations) > 0 {
					t.Error("a group that was replaced was evaluated")
				}
			}
		})
	}
}

// A rule whose labels change ends the series that it wrote before.
func TestUpdateStaleness(t *testing.T) {
	b := newBench(t, "load 1m\n  load 1x10\n", fmt.Sprintf(oneRule, ", write: [score]"))
	b.eval(0)
	b.eval(time.Minute)
	b.update(fmt.Sprintf(oneRule, ", write: [score], labels: {a: b}"))
	b.eval(2 * time.Minute)
	same(t, "written", b.stored("anomaly_score"), `
{__name__="anomaly_score", a="b", rule="D"} 120:0
{__name__="anomaly_score", rule="D"} 60:0 120:stale`)
}

func TestUpdateErrors(t *testing.T) {
	b := newBench(t, "load 1m\n  load 1x10\n", fmt.Sprintf(oneRule, ""))
	parse := func(path, text string) *File {
		t.Helper()
		f, err := ParseFile(path, []byte(text), catalogue()...)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	broken := stepDetector("spike")
	before := b.Groups()[0]
	f := parse("a.yml", fmt.Sprintf(oneRule, ""))
	for name, tc := range map[string]struct {
		files []*File
		want  string
	}{
		"name twice": {[]*File{f, parse("b.yml", fmt.Sprintf(oneRule, ""))}, `b.yml:5:14: detection rule "D" is also at a.yml:5:14`},
		"file twice": {[]*File{{Path: "a.yml", Groups: []*GroupSpec{{Name: "g"}}}, {Path: "a.yml", Groups: []*GroupSpec{{Name: "g"}}}}, `a.yml: group "g" is there twice`},
		"detector": {func() []*File {
			bad := parse("a.yml", fmt.Sprintf(oneRule, ""))
			broken.New = failingBank
			bad.Groups[0].Rules[0].Detection.Detector = broken
			return []*File{bad}
		}(), `a.yml:5:14: detection rule "D": no memory`},
	} {
		b.Configure(time.Hour, time.Hour, labels.FromStrings("a", "b"))
		if err := b.Update(tc.files); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		if g := b.Groups(); len(g) != 1 || g[0] != before || g[0].QueryOffset() != 0 {
			t.Errorf("%s: the groups changed", name)
		}
	}
	if err := b.Update(b.files); err != nil || b.Groups()[0] != before {
		t.Errorf("after errors: got %v and another group, want the group to stay", err)
	}
}

func TestConfigure(t *testing.T) {
	b := newBench(t, "", `groups: [{name: g, rules: [{alert: A, expr: vector(1), annotations: {a: '{{ $externalLabels.dc }}'}}]}]`)
	if got := b.Groups()[0].Interval(); got != time.Minute {
		t.Errorf("interval: got %v, want the default of 1m", got)
	}
	b.Configure(time.Minute, 30*time.Second, labels.FromStrings("dc", "north"))
	before := b.Groups()[0]
	if err := b.Update(b.files); err != nil {
		t.Fatal(err)
	}
	if b.Groups()[0] == before {
		t.Error("new external labels did not reach the alerts")
	}
	b.eval(time.Minute)
	if a := b.ActiveAlerts(); len(a) != 1 || a[0].Annotations.Get("a") != "north" || b.Groups()[0].QueryOffset() != 30*time.Second {
		t.Errorf("got %+v and offset %v, want the external label and 30s", a, b.Groups()[0].QueryOffset())
	}
}

func TestCopyDetections(t *testing.T) {
	b := newBench(t, "load 1m\n  load 1 2 50 50\n", fmt.Sprintf(oneRule, ""))
	b.eval(0)
	b.Hold([]Hold{{Rule: "D", Series: "{}", Since: at(0)}})
	b.eval(time.Minute)
	cold := b.Manager
	b.Manager = b.manager()
	b.update(fmt.Sprintf(oneRule, ""))
	b.CopyDetections(cold)
	e := b.eval(2 * time.Minute)
	same(t, "learnt, and still held", readings(e), `{}=50 score 4.9 anomalous since 120`)
	same(t, "acts", acts(b, 0), "hold 0;")
	b.Eval(context.Background(), cold.Groups()[0], at(3*time.Minute))
	if got := cold.Groups()[0].Detections()[0].Series(); got != 1 {
		t.Errorf("the other manager judged %d series, want 1, anew", got)
	}
}

func TestNew(t *testing.T) {
	query := results()
	reg := prometheus.NewRegistry()
	b := newBench(t, "", "")
	for name, o := range map[string]Options{
		"no query": {}, "no appendable": {Query: query},
		"interval": {Query: query, Appendable: b.storage, EvaluationInterval: -1},
		"limit":    {Query: query, Appendable: b.storage, SeriesLimit: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	o := Options{Query: query, Appendable: b.storage, Registerer: reg}
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if already := new(prometheus.AlreadyRegisteredError); !errors.As(second(o), already) {
		t.Error("two managers with one registry gave no error")
	}
}

func second(o Options) error {
	_, err := New(o)
	return err
}

// String has every field: what differs in one is another rule.
func TestDetectionString(t *testing.T) {
	seen := map[string]string{}
	for _, fields := range []string{"", ", unit: x", ", for: 1m", ", write: []", ", write: [band]", ", direction: down", ", labels: {a: b}", ", annotations: {a: b}",
		", min_change: {absolute: 1}", ", min_change: {relative: 1}", ", detector: other", ", detector: {spike: {wait: 1m}}", ", false_alarms: 2 per 30d"} {
		b := newBench(t, "", fmt.Sprintf(oneRule, fields))
		s := b.Groups()[0].Rules()[0].String()
		if other, ok := seen[s]; ok {
			t.Errorf("%q and %q are the same", fields, other)
		}
		seen[s] = fields
	}
}
