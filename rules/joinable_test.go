package rules

import (
	"strings"
	"testing"
)

func TestJoinable(t *testing.T) {
	for _, c := range []struct{ expr, of, want string }{
		// What may join.
		{"x", "y", ""},
		{"sum by (a) (x)", "y", ""},
		{"x", "sum by (a) (y)", ""},
		{"sum by (a, b) (x)", "sum by (a) (y)", ""},
		{"sum by (a) (x)", "sum(y)", ""},
		{"sum by (a) (x)", "vector(3)", ""},
		{"sum by (a) (x)", "scalar(sum(y))", ""},
		{"sum(x)", "3", ""},
		{"sum without (b) (x)", "sum by (a) (y)", ""},
		{"sum by (a) (x)", `label_replace(sum by (b) (y), "a", "$1", "b", "(.*)") and on (a) z`, `label "b"`},
		{"sum by (a) (x)", `sum by (a) (label_replace(y, "a", "$1", "b", "(.*)"))`, ""},
		{`label_replace(sum by (b) (x), "a", "$1", "b", "(.*)")`, "sum by (a) (y)", ""},
		{"sum by (a) (x) * on (a) group_left (b) z", "sum by (a, b) (y)", ""},
		{"z * on (a) group_right (b) sum by (a) (x)", "sum by (b) (y)", ""},
		{"sum by (a) (x) or sum by (b) (x)", "sum by (b) (y)", ""},
		{"sum by (a) (x) or z", "sum by (b) (y)", ""},
		{"topk(3, x)", "sum by (b) (y)", ""},
		{`count_values("a", x)`, "sum by (a) (y)", ""},
		{`absent(x{a="1"})`, "sum by (a) (y)", ""},
		{`rate(x{job="1"}[5m])`, `rate(y{job="1"}[5m])`, ""},
		{`x{job="1"}`, `y{job=~"2"}`, ""},
		{`x{job!="1"}`, `y{job="2"}`, ""},
		{`x{job="1"} or x{job="2"}`, `y{job="2"}`, ""},
		{`sum by (a) (x{job="1"})`, `sum by (a) (y{job="2"})`, ""},
		{"histogram_quantile(0.9, sum by (a, le) (x))", "sum by (a) (y)", ""},
		// What cannot.
		{"sum by (a) (x)", "sum by (b) (y)", `label "b", which those of expr cannot have`},
		{"sum by (a) (x)", "sum by (a, b) (y)", `label "b"`},
		{"sum(x)", "sum by (b) (y)", `label "b"`},
		{"sum without (a) (x)", "sum by (a) (y)", `label "a"`},
		{"sum by (a) (x)", `y{job="1"}`, `label "job"`},
		{`x{job="1"}`, `y{job="2"}`, `job="2", those of expr job="1"`},
		{`sum by (job) (x{job="1"})`, `sum by (job) (y{job="2"})`, `job="2", those of expr job="1"`},
		{`x{a=""}`, "sum by (a) (y)", `label "a"`},
		{"-(sum by (a) (x) > 3)", "sum by (b) (y) / 2", `label "b"`},
		{"3 * sum by (a) (x)", "(max by (b) (y))", `label "b"`},
		{"x / on (a) z", "sum by (b) (y)", `label "b"`},
		{"x / ignoring (b) z", "sum by (b) (y)", `label "b"`},
		{"sum by (a) (x) or sum by (c) (x)", "sum by (b) (y)", `label "b"`},
		{"sum by (a) (x) unless z", "sum by (b) (y)", `label "b"`},
		{"histogram_quantile(0.9, sum by (a, le) (x))", "sum by (a, le) (y)", `label "le"`},
		{"max_over_time(sum by (a) (x)[5m:])", "sum by (b) (y)", `label "b"`},
		{"time()", "sum by (b) (y)", `label "b"`},
		{"sum by (a) (x @ 3)", "sum by (b) (y)", `label "b"`},
	} {
		parse := newPromQLParser()
		expr, err := parse.ParseExpr(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		of, err := parse.ParseExpr(c.of)
		if err != nil {
			t.Fatal(err)
		}
		err = joinable(expr, of)
		if c.want == "" && err != nil {
			t.Errorf("%s of %s: %v, want none", c.expr, c.of, err)
		} else if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s of %s: error %v, want it to contain %q", c.expr, c.of, err, c.want)
		}
	}
}
