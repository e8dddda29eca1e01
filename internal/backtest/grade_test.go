package backtest

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The story of all tests here: a day of one-minute samples, graded from 01:00.
const truthHead = `set: shop
case: shop/monday
interval_seconds: 60
data_start: 2026-03-02T00:00:00Z
data_end: 2026-03-03T00:00:00Z
score_from: 2026-03-02T01:00:00Z
`

func at(t *testing.T, clock string) time.Time {
	t.Helper()
	v, err := time.Parse("2006-01-02 15:04:05", "2026-03-02 "+clock)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func truthOf(t *testing.T, text string) *Truth {
	t.Helper()
	_, truth, err := parseTruth("incidents.yml", []byte(truthHead+text))
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// sent writes "HH:MM:SS[-HH:MM:SS] page|ticket cause,cause > effect,effect ! change".
func sent(t *testing.T, lines ...string) []Sent {
	t.Helper()
	var out []Sent
	for _, l := range lines {
		s := Sent{Case: "shop/monday", Causes: []string{}, Effects: []string{}}
		head, change, _ := strings.Cut(l, " ! ")
		head, effects, _ := strings.Cut(head, " > ")
		f := strings.Fields(head)
		begin, end, closed := strings.Cut(f[0], "-")
		s.Time, s.Severity, s.Change = at(t, begin), f[1], change
		if closed {
			r := at(t, end)
			s.Resolved = &r
		}
		if len(f) > 2 {
			s.Causes, s.Known = strings.Split(f[2], ","), true
		}
		if effects != "" {
			s.Effects = strings.Split(effects, ",")
		}
		out = append(out, s)
	}
	return out
}

func gradesOf(t *testing.T, truth string, lines ...string) *Grades {
	t.Helper()
	tr := truthOf(t, truth)
	c := &CaseReport{Name: tr.Case, From: at(t, "00:00:00"), To: at(t, "00:00:00").Add(24 * time.Hour), Sent: sent(t, lines...)}
	c.Until = c.To
	return gradeAll([]*graded{grade(tr, c, GradeOptions{})})
}

const oneIncident = `incidents:
- {name: db-slow, start: 2026-03-02T10:00:00Z, end: 2026-03-02T10:30:00Z, cause: db, fault: latency}
`

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name, truth string
		sent        []string
		want        []string
	}{
		{"within the window", oneIncident, []string{"10:05:00 page db"}, []string{"hit db-slow"}},
		{"at its start and at the end of its grace", oneIncident, []string{"10:00:00 page db", "10:40:00 page db"}, []string{"hit db-slow", "duplicate db-slow"}},
		{"a second before and a second after", oneIncident, []string{"09:59:59 page db", "10:40:01 page db"}, []string{"false ", "false "}},
		{"before the graded span", oneIncident, []string{"00:59:59 page db"}, []string{"warm-up "}},
		{
			"in an ignored span, whose ends belong to it",
			oneIncident + "ignore:\n- {start: 2026-03-02T12:00:00Z, end: 2026-03-02T12:05:00Z, reason: stitch}\n",
			[]string{"12:00:00 page db", "12:05:00 page db", "12:05:01 page db"},
			[]string{"ignored ", "ignored ", "false "},
		},
		{
			"of two incidents the one that started last",
			oneIncident + "- {name: net, start: 2026-03-02T10:20:00Z, end: 2026-03-02T10:25:00Z, cause: net, fault: network}\n",
			[]string{"10:19:00 page db", "10:21:00 page net", "10:37:00 page db"},
			[]string{"hit db-slow", "hit net", "duplicate db-slow"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := truthOf(t, tt.truth)
			c := &CaseReport{Name: tr.Case, Sent: sent(t, tt.sent...)}
			grade(tr, c, GradeOptions{})
			var got []string
			for _, s := range c.Sent {
				got = append(got, s.Verdict+" "+s.Incident)
			}
			// The grace of the later incident ends at 10:35.
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestCauses(t *testing.T) {
	for _, tt := range []struct {
		cause, strip, causes string
		rank                 int
	}{
		{"db", "", "db,web", 1},
		{"db", "", "web,db", 2},
		{"db", "", "web,cart,cache,queue,auth,db", 6},
		{"db", "", "web", 0},
		{"db", "", "", 0},
		{"[db, cache]", "", "web,cache,db", 2},
		{"db-service", "-service", "web-service,web,db", 2}, // the suffix is taken off both, and repetitions go
	} {
		t.Run(fmt.Sprintf("%s in %s", tt.cause, tt.causes), func(t *testing.T) {
			text := "incidents:\n- {name: x, start: 2026-03-02T10:00:00Z, end: 2026-03-02T10:30:00Z, cause: " + tt.cause + ", fault: f}\n"
			if tt.strip != "" {
				text = "rank_strip_suffix: " + tt.strip + "\n" + text
			}
			g := gradesOf(t, text, strings.TrimSpace("10:01:00 page "+tt.causes))
			if got := g.Incidents[0].Rank; got != tt.rank {
				t.Errorf("rank %d, want %d", got, tt.rank)
			}
			all := g.Sets[len(g.Sets)-1].All
			for k, v := range map[int]*float64{1: all.Top1, 3: all.Top3} {
				want := 0.0
				if tt.rank > 0 && tt.rank <= k {
					want = 1
				}
				if v == nil || *v != want {
					t.Errorf("top-%d %v, want %v", k, shown(v, 2), want)
				}
			}
			want := 0.0
			if tt.rank > 0 && tt.rank <= 5 {
				want = float64(6-tt.rank) / 5
			}
			if all.Avg5 == nil || math.Abs(*all.Avg5-want) > 1e-12 {
				t.Errorf("Avg@5 %v, want %v", shown(all.Avg5, 2), want)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		name, label, line string
		want              string
		right, orRelease  int
		innocent          int
	}{
		{"the right one", "change: c1", "10:01:00 page db ! c1", "right", 1, 1, 0},
		{"a short hash of it", "change: 0123456789ab", "10:01:00 page db ! 0123456", "right", 1, 1, 0},
		{"too short a hash", "change: 0123456789ab", "10:01:00 page db ! 012345", "innocent", 0, 0, 1},
		{"none, rightly", `change: ""`, "10:01:00 page db", "right", 1, 1, 0},
		{"none, wrongly", "change: c1", "10:01:00 page db", "none", 0, 0, 0},
		{"another one", "change: c1", "10:01:00 page db ! c2", "innocent", 0, 0, 1},
		{"one where none is to blame", `change: ""`, "10:01:00 page db ! c2", "innocent", 0, 0, 1},
		{"the release that shipped it", "change: c1, release: r7", "10:01:00 page db ! r7", "release", 0, 1, 0},
		{"missed", `change: ""`, "03:00:00-03:05:00 page db", "missed", 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := gradesOf(t, "changes: changes.yml\nincidents:\n- {name: x, start: 2026-03-02T10:00:00Z, end: 2026-03-02T10:30:00Z, cause: db, fault: f, "+tt.label+"}\n", tt.line)
			all := g.Sets[0].All
			if got := g.Incidents[0].ChangeVerdict; got != tt.want {
				t.Errorf("verdict %q, want %q", got, tt.want)
			}
			if all.ChangeRight != tt.right || all.ChangeOrRelease != tt.orRelease || all.InnocentBlamed != tt.innocent {
				t.Errorf("right %d, or release %d, innocent %d; want %d, %d, %d", all.ChangeRight, all.ChangeOrRelease, all.InnocentBlamed, tt.right, tt.orRelease, tt.innocent)
			}
		})
	}
}

func TestFigures(t *testing.T) {
	g := gradesOf(t, oneIncident+
		"- {name: net, start: 2026-03-02T14:00:00Z, end: 2026-03-02T14:10:00Z, cause: net, fault: network, effects: [web, cart], alert: 2026-03-02T14:04:00Z}\n"+
		"- {name: missed, start: 2026-03-02T18:00:00Z, end: 2026-03-02T18:10:00Z, cause: db, fault: latency}\n",
		"02:00:00-02:10:00 ticket web",
		"10:00:01 page db", "10:10:00 page db",
		"14:01:30-14:20:00 page web,net > web",
		"17:00:00 page cart",
	)
	all := g.Sets[1].All
	for name, want := range map[string]string{"recall": "0.67", "sent per hit": "1.50", "delay": "45.50", "samples": "1.50", "lead": "150.00", "top1": "0.33", "top3": "0.67", "jaccard": "0.50"} {
		got := map[string]*float64{"recall": all.Recall, "sent per hit": all.SentPerHit, "delay": all.DelaySeconds, "samples": all.DelaySamples, "lead": all.LabelLead, "top1": all.Top1, "top3": all.Top3, "jaccard": all.EffectsJaccard}[name]
		if shown(got, 2) != want {
			t.Errorf("%s is %s, want %s", name, shown(got, 2), want)
		}
	}
	if all.MissedWhileOpen != 1 {
		t.Errorf("missed while open %d, want 1: the page of 17:00 was never resolved", all.MissedWhileOpen)
	}
	s := g.Sets[1]
	if s.False != 2 || s.FalsePages != 1 || s.FalseTickets != 1 {
		t.Errorf("false %d = %d pages and %d tickets, want 2 = 1 and 1", s.False, s.FalsePages, s.FalseTickets)
	}
	// 23 graded hours less 40, 20 and 20 minutes.
	if want := (23*60 - 80.0) / 1440; math.Abs(s.QuietDays-want) > 1e-9 {
		t.Errorf("quiet days %v, want %v", s.QuietDays, want)
	}
	if shown(s.Precision, 2) != "0.60" {
		t.Errorf("precision %s, want 0.60", shown(s.Precision, 2))
	}
}

func TestOwnAlerts(t *testing.T) {
	tr := truthOf(t, oneIncident)
	c := &CaseReport{Name: tr.Case, Sent: sent(t, "10:02:00 page db"), Alerts: []AlertSpan{
		{Name: "Old", Service: "web", Start: at(t, "09:00:00")},
		{Name: "Slow", Service: "web", Start: at(t, "10:07:00")},
		{Name: "Later", Service: "web", Start: at(t, "10:09:00")},
	}}
	g := gradeAll([]*graded{grade(tr, c, GradeOptions{})})
	if got := g.Incidents[0].OwnLead; got == nil || *got != 300 {
		t.Errorf("lead %v, want 300 s", shown(got, 0))
	}
	if all := g.Sets[0].All; all.OwnAlerted != 1 || all.OwnOnly != 0 {
		t.Errorf("own alerted %d, alone %d; want 1 and 0", all.OwnAlerted, all.OwnOnly)
	}
}

// The layout is that of the data sets' own scorer.
func TestTable(t *testing.T) {
	g := gradesOf(t, oneIncident, "10:05:00 page db,web", "20:00:00 page web", "00:30:00 page web")
	var b bytes.Buffer
	if err := g.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `set / fault  inc  paged  share  open  pg/inc  delay s  smpl  AC@1  AC@3  Avg5  AC@1p  AC@3p  Avg5p  change  innoc
shop           1      1   1.00     0    1.00      300   5.0  1.00  1.00  1.00   1.00   1.00   1.00       -      -
  latency      1      1   1.00     0    1.00      300   5.0  1.00  1.00  1.00   1.00   1.00   1.00       -      -
ALL            1      1   1.00     0    1.00      300   5.0  1.00  1.00  1.00   1.00   1.00   1.00       -      -

shop: 1 case, 1 false page in 0.93 quiet days = 1.07 per day; not counted: 1 page in warm-up, 0 in ignored spans
ALL: 1 case, 1 false page in 0.93 quiet days = 1.07 per day; not counted: 1 page in warm-up, 0 in ignored spans
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTruthErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no mapping", "incidents: [3]", "incidents.yml:1:13: incident:"},
		{"bad time", "incidents:\n- {name: x, start: yesterday, end: 2026-03-02T10:30:00Z}", `incidents.yml:2:20: start: "yesterday" is no time as of RFC 3339`},
		{"missing end", "incidents:\n- {name: x, start: 2026-03-02T10:30:00Z}", `incidents.yml:2:3: incident "x": start and end must be given`},
		{"backwards", "incidents:\n- {name: x, start: 2026-03-02T10:30:00Z, end: 2026-03-02T10:00:00Z}", `incidents.yml:2:3: incident "x" ends before it starts`},
		{"cause", "incidents:\n- {name: x, start: 2026-03-02T10:00:00Z, end: 2026-03-02T10:00:00Z, cause: {a: b}}", "incidents.yml:2:76: cause: want a service or a list of services"},
		{"interval", "interval_seconds: -5", `incidents.yml:1:19: interval_seconds: "-5" is no number of seconds above zero`},
		{"ignore", "ignore:\n- {start: 2026-03-02T10:00:00Z, end: 2026-03-02T09:00:00Z}", "incidents.yml:2:3: ignore: start and end must be times"},
		{"syntax", "incidents: [", "incidents.yml:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parseTruth("incidents.yml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestMisspeltLabels(t *testing.T) {
	tr := truthOf(t, "ignroe: []\npage_service: web\nincidents:\n- {name: x, start: 2026-03-02T10:00:00Z, end: 2026-03-02T10:00:00Z, couse: db, onset: now}\n")
	want := []string{
		`incidents.yml:7:1: the field "ignroe" is not read; did you mean "ignore"?`,
		`incidents.yml:10:69: the field "couse" is not read; did you mean "cause"?`,
	}
	if diff := cmp.Diff(want, tr.Notes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTruthOutsideOfData(t *testing.T) {
	tr := truthOf(t, oneIncident)
	err := tr.checkSpan(at(t, "11:00:00"), at(t, "12:00:00"))
	want := `incidents.yml:8:1: incident "db-slow" (2026-03-02T10:00:00Z to 2026-03-02T10:30:00Z) lies outside of the data, which reach from 2026-03-02T11:00:00Z to 2026-03-02T12:00:00Z`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func FuzzTruth(f *testing.F) {
	f.Add(truthHead + oneIncident)
	f.Add("interval_seconds: 1e300\nincidents:\n- start: 2026-03-02T10:00:00Z\n  end: 2026-03-02T10:00:00Z\n  effects: [a]\n")
	f.Add("ignore:\n- {}\n- null\nincidents: {a: b}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, truth, err := parseTruth("incidents.yml", []byte(text))
		if err != nil {
			return
		}
		c := &CaseReport{Name: truth.Case, Sent: []Sent{{Time: truth.From}, {Time: truth.To}}}
		if g := gradeAll([]*graded{grade(truth, c, GradeOptions{})}); g.Sets[0].All.Incidents != len(truth.Incidents) {
			t.Errorf("%d incidents graded, want %d", g.Sets[0].All.Incidents, len(truth.Incidents))
		}
	})
}

// TestPagesOnly: tickets are left out, and what became a page counts from then.
func TestPagesOnly(t *testing.T) {
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	later := start.Add(3 * time.Minute)
	truth := &Truth{Set: "s", Labelled: true, Interval: time.Minute, From: start, To: start.Add(time.Hour), Incidents: []Label{
		{Name: "a", Start: start, End: start.Add(10 * time.Minute), Causes: []string{"db"}},
		{Name: "b", Start: start.Add(40 * time.Minute), End: start.Add(50 * time.Minute), Causes: []string{"db"}},
	}}
	all := &CaseReport{Name: "s/1", From: start, To: truth.To, Until: truth.To, Sent: []Sent{
		{Time: start.Add(time.Minute), Severity: "page", PagedAt: &later, Causes: []string{"db"}},
		{Time: start.Add(41 * time.Minute), Severity: "ticket", Causes: []string{"db"}},
	}}
	pages := all.PagesOnly()
	for name, c := range map[string]struct {
		report  *CaseReport
		hit     int
		samples float64
	}{"all": {all, 2, 1}, "pages": {pages, 1, 3}} {
		got := Grade([]Labelled{{truth, c.report}, {nil, c.report}}, GradeOptions{}).Sets[0].All
		if got.Hit != c.hit || *got.DelaySamples != c.samples {
			t.Errorf("%s: %d sent after %v samples, want %d after %v", name, got.Hit, *got.DelaySamples, c.hit, c.samples)
		}
	}
	if !all.Sent[0].Time.Equal(start.Add(time.Minute)) {
		t.Error("the report itself was changed")
	}
	if Grade(nil, GradeOptions{}) != nil {
		t.Error("grades of nothing")
	}
}
