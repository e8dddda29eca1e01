package ruletest

import (
	"log/slog"
	"testing"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/prometheus/common/model"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// What is left of a rule file without its unknown fields says what Prometheus's
// own code, told to ignore them, reads in it.
func FuzzWithoutUnknown(f *testing.F) {
	for _, s := range []string{
		"groups:\n- name: a\n  owner: me\n  rules:\n  - {record: r, expr: 1}\n",
		"groups:\n-\n  name: a\n  owner: me\n-\n  name: b\n  rules:\n  -\n    record: r\n    x: |\n\n      y\n    expr: 1\n",
		"x: &a {b: c}\ngroups:\n- name: a\n  y: *a\n  rules: [{alert: A, expr: 1, z: 2}]\n",
		"groups: [{name: a, owner: me, rules: [{record: r, expr: '1', note: &n x}]}]\n",
		"groups:\n- owner: &o\n    name: a\n  <<: *o\n  ? {a: b}\n  : c\n", "owner: me\n",
		"groups:\n-\n  name: a\n  b: c\n-\n  name: d\n  rules:\n  -\n    record: |\n\n     r\n    expr: 1", "groups: ~\n", "groups: [~, {rules: ~}]", "- a", "x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, errs := rulefmt.Parse([]byte(text), true, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			return
		}
		if _, err := yamlfile.Parse("r.yml", []byte(text)); err != nil {
			return // stricter than Prometheus: more than one document
		}
		out, err := withoutUnknown("r.yml", []byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got, errs := rulefmt.Parse(out, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatalf("%q became %q: %v", text, out, errs)
		}
		if len(got.Groups) != len(want.Groups) {
			t.Fatalf("%q became %q: %d groups, want %d", text, out, len(got.Groups), len(want.Groups))
		}
		for i, g := range got.Groups {
			if w := want.Groups[i]; g.Name != w.Name || g.Interval != w.Interval || len(g.Rules) != len(w.Rules) {
				t.Errorf("%q became %q: group %+v, want %+v", text, out, g, w)
				continue
			}
			for k, r := range g.Rules {
				if w := want.Groups[i].Rules[k]; r.Record != w.Record || r.Alert != w.Alert || r.Expr != w.Expr || r.For != w.For {
					t.Errorf("%q became %q: rule %+v, want %+v", text, out, r, w)
				}
			}
		}
	})
}
