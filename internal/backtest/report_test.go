package backtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reportOf makes a report from lines; see sent.
func reportOf(t *testing.T, truth string, lines ...string) *Report {
	t.Helper()
	r := &Replayed{stats: &statistics{}}
	r.CaseReport = CaseReport{Name: "shop/monday", From: at(t, "00:00:00"), To: at(t, "23:59:59"), Until: at(t, "23:59:59"), Sent: sent(t, lines...)}
	if truth != "" {
		r.Truth = truthOf(t, truth)
	}
	return NewReport("foreshock.yml", []*Replayed{r}, "", GradeOptions{})
}

func TestConditions(t *testing.T) {
	r := reportOf(t, oneIncident, "10:05:00-10:20:00 page web,db", "20:00:00 page web", "21:00:00 ticket web")
	for _, tt := range []struct{ text, want string }{
		{"recall>=1, precision > 0.3", ""},
		{"cause_top1>=0.5", "cause_top1 >= 0.5: it is 0"},
		{"cause_top3 >= 0.5", ""},
		{"false_pages_per_day<1", "false_pages_per_day < 1: it is 1.075"},
		{"false_tickets_per_day<=1.1", ""},
		{"delay_seconds<=300", ""},
		{"lead_seconds>0", "lead_seconds > 0: there is nothing to take it over"},
		{"pages_per_day<=2.1,rules_failing<=0", ""},
	} {
		c, err := ParseConditions([]string{tt.text})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.Unmet(c), "; "); got != tt.want {
			t.Errorf("%s: unmet %q, want %q", tt.text, got, tt.want)
		}
	}
	r.Partial = "stopped"
	c, _ := ParseConditions([]string{"recall>=0"})
	if got := r.Unmet(c); len(got) != 1 || got[0] != "recall >= 0: the report is partial" {
		t.Errorf("a partial report: unmet %q", got)
	}
}

func TestConditionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"recal>=1":    `there is no figure "recal"; known are cause_avg5, `,
		"recall=1":    "want one such as recall>=0.8",
		"recall>=":    "want one such as recall>=0.8",
		"recall>=1e+": `"1e+" is no number`,
		"":            "want one such as recall>=0.8",
	} {
		if _, err := ParseConditions([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want it to contain %q", text, err, want)
		}
	}
}

func TestCompare(t *testing.T) {
	before := reportOf(t, "", "08:00:00-08:20:00 ticket web > cart", "10:05:00-10:30:00 page db > web", "12:00:00-12:30:00 page web", "15:00:00-15:30:00 page db")
	after := reportOf(t, "", "08:00:00-08:20:00 ticket web > cart", "10:03:00-10:30:00 page cache,db > web ! c1", "15:00:00-15:30:00 page db", "18:00:00 ticket web")
	before.Compare(after)
	var got []string
	for _, d := range before.Comparison.Changes {
		got = append(got, d.Kind+" "+d.at().Format("15:04")+" "+strings.Join(d.What, "; "))
	}
	want := []string{
		"moves 10:05 2m0s earlier; cause cache instead of db; change c1 instead of none",
		"vanishes 12:00 ",
		"appears 18:00 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestText(t *testing.T) {
	r := reportOf(t, oneIncident, "10:05:00-10:20:00 page db,web > web ! c1", "20:00:00 ticket web")
	r.Cases[0].Sent[0].Summary = "db fails first; web suffers"
	r.Rules = []RuleStats{
		{Name: "Latency", Kind: "detection", Evaluations: 1440, Series: 3, Episodes: 2, Fired: 9, Sent: 2, False: 1, Seconds: 3},
		{Name: "Gone", Kind: "detection", Evaluations: 1440, Empty: 1440, State: "never has data", Missing: []string{`old_metric{job="x"}`}, Seconds: 1},
	}
	r.Partial = "stopped: interrupt"
	var b bytes.Buffer
	if err := r.WriteText(&b, TextOptions{Sent: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"PARTIAL: stopped: interrupt\n",
		"2026-03-02 10:05:00  page    db fails first; web suffers\n",
		"causes   db, web\n", "effects  web\n", "change   c1\n", "until    2026-03-02 10:20:00, 15m0s later\n", "truth    hit of db-slow\n", "truth    false\n",
		"1 page and 1 ticket in 1.0 days (1.00 and 1.00 a day)",
		"shop: 1 case, 1 false page in 0.93 quiet days = 1.07 per day",
		"precision 0.50, recall 1.00; false pages 0.00 and false tickets 1.07 a day\n",
		"Latency  detection   75%       3   1440       0      0         2     2      1\n",
		`Gone: never has data; nothing ever matched old_metric{job="x"}` + "\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
}

func TestLinesAndJSON(t *testing.T) {
	r := reportOf(t, oneIncident, "10:05:00-10:20:00 page db", "20:00:00 ticket")
	var b bytes.Buffer
	if err := WriteLines(&b, r.All()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"case":"shop/monday","time":"2026-03-02T10:05:00Z","resolved":"2026-03-02T10:20:00Z","severity":"page","causes":["db"],`) ||
		!strings.Contains(lines[1], `"resolved":null,"severity":"ticket","causes":[],`) {
		t.Errorf("lines:\n%s", b.String())
	}
	b.Reset()
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"version", "config", "cases", "grades", "summary", "days", "services", "rules"} {
		if _, ok := back[k]; !ok {
			t.Errorf("the report lacks %q", k)
		}
	}
}
