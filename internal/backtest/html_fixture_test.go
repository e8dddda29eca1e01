package backtest

import (
	"fmt"
	"math"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

var htmlStart = time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)

func htmlAt(hours float64) time.Time {
	return htmlStart.Add(time.Duration(hours * float64(time.Hour))).Truncate(time.Second)
}

func ptr[T any](v T) *T { return &v }

// wave is a trail that jumps at the onset, with its band.
func wave(onset time.Time, base, jump float64) []incident.Point {
	var points []incident.Point
	for i := range 120 {
		at := onset.Add(time.Duration(i-30) * 15 * time.Second)
		v := base * (1 + 0.08*math.Sin(float64(i)/3) + 0.03*math.Sin(float64(i)*1.7))
		if i >= 30 && i < 95 {
			v += jump * (1 - math.Exp(-float64(i-29)/6))
		}
		points = append(points, incident.Point{Time: at, Value: v, Expected: base, Lower: base * 0.8, Upper: base * 1.2, Score: 1})
	}
	return points
}

func htmlIncidentOf(onset time.Time) *incident.Incident {
	return &incident.Incident{Anomalies: []incident.Anomaly{
		{Rule: "DatabaseLatency", Series: `{db="orders",service="orders-db"}`, Signal: incident.Latency, Onset: onset, End: onset.Add(16 * time.Minute), Value: 0.84, Expected: 0.012, Score: 5.2, Trail: wave(onset, 0.012, 0.8)},
		{Rule: "CheckoutErrors", Series: `{service="checkout"}`, Signal: incident.Errors, Unit: "ratio", Onset: onset.Add(40 * time.Second), Value: 0.21, Expected: 0.002, Score: 4.4, Trail: wave(onset, 0.002, 0.2)},
		{Rule: "NoTrail", Series: `{service="checkout"}`, Onset: onset.Add(45 * time.Second), Value: 1, Expected: math.NaN(), Score: math.NaN()},
		{Rule: "FrontendTraffic", Series: `{service="frontend"}`, Signal: incident.Traffic, Onset: onset.Add(time.Minute), Value: 40, Expected: 220, Score: 2.1, Trail: wave(onset, 220, -180)},
		{Rule: "BasketLatency", Series: `{service="basket"}`, Signal: incident.Latency, Onset: onset.Add(time.Minute), Value: 1, Expected: 0.5, Score: 1.1, Trail: wave(onset, 0.5, 0.5)},
	}}
}

func htmlSentAt(name string, hours float64, severity, cause, verdict string) Sent {
	at := htmlAt(hours)
	s := Sent{Case: name, Time: at, Severity: severity, Onset: at.Add(-70 * time.Second), Causes: []string{cause, "checkout", "payments"}, Known: true, Effects: []string{"checkout", "frontend"},
		Confidence: 0.82, Summary: cause + " fails first: latency 840 ms, expected 12 ms; checkout and frontend suffer", Rules: []string{"CheckoutErrors", "DatabaseLatency"},
		Resolved: ptr(at.Add(31 * time.Minute)), Verdict: verdict, Last: htmlIncidentOf(at.Add(-70 * time.Second))}
	if severity == "page" {
		s.PagedAt = &s.Time
	}
	return s
}

// htmlReport has something in every section.
func htmlReport() *Report {
	shop := CaseReport{Name: "shop/week-11", From: htmlStart, To: htmlAt(168), Until: htmlAt(168), Notes: []string{"incident shop-9 lies outside of the data and is not graded"},
		Uncounted: []Span{{htmlStart, htmlAt(12)}, {htmlAt(140), htmlAt(146)}},
		Alerts:    []AlertSpan{{Name: "CheckoutDown", Service: "checkout", Severity: "critical", Start: htmlAt(26.2), End: ptr(htmlAt(26.9))}, {Name: "SlowQueries", Service: "orders-db", Start: htmlAt(96.1)}}}
	for i, v := range []struct {
		hours                    float64
		severity, cause, verdict string
	}{{5, "ticket", "search", "warm-up"}, {26.05, "page", "orders-db", "hit"}, {26.3, "ticket", "frontend", "duplicate"}, {50, "ticket", "cart", "false"}, {73.1, "page", "checkout", "hit"}, {96.3, "page", "payments", "hit"}, {120, "page", "search", "false"}, {150, "ticket", "orders-db", "hit"}} {
		s := htmlSentAt(shop.Name, v.hours, v.severity, v.cause, v.verdict)
		switch i {
		case 1:
			s.Change, s.OwnAlert, s.Incident = "deploy-orders-8f3e", ptr(htmlAt(26.2)), "shop-1"
		case 4:
			s.Known = false
		case 5:
			s.Change, s.OwnAlert, s.Incident = "flag-new-cart", ptr(htmlAt(96.1)), "shop-3"
		case 7:
			s.Resolved = nil
		}
		shop.Sent = append(shop.Sent, s)
	}
	other := CaseReport{Name: "shop/week-12", From: htmlAt(168), To: htmlAt(240), Until: htmlAt(216), Partial: "interrupted"}
	other.Sent = []Sent{htmlSentAt(other.Name, 180, "page", "orders-db", "hit")}

	tally := Tally{Incidents: 6, Hit: 5, Recall: ptr(5. / 6), MissedWhileOpen: 1, SentPerHit: ptr(1.2), DelaySeconds: ptr(135.), DelaySamples: ptr(3.), OwnLead: ptr(540.), OwnAlerted: 3, OwnOnly: 1,
		Causes: 6, CausesHit: 5, Top1: ptr(0.5), Top3: ptr(0.8333), Avg5: ptr(0.72), Top1Hit: ptr(0.6), Top3Hit: ptr(1.), Avg5Hit: ptr(0.86), Changes: 6, ChangeRight: 4, ChangeShare: ptr(4. / 6), InnocentBlamed: 1, EffectsJaccard: ptr(0.61)}
	set := SetGrade{Name: "shop", Cases: 2, All: tally, False: 2, FalsePages: 1, FalseTickets: 1, QuietDays: 7.4, FalsePerDay: ptr(0.27), WarmUp: 1, Precision: ptr(0.75),
		Faults: []FaultTally{{"cpu", tally}, {"error return", Tally{Incidents: 1}}, {"network delay", tally}}}
	all := set
	all.Name, all.Faults = "ALL", nil
	grade := func(name string, start float64, cause, fault string, first *Sent, rank int, verdict string) IncidentGrade {
		g := IncidentGrade{Case: shop.Name, Name: name, Start: htmlAt(start), End: htmlAt(start + 1), Causes: []string{cause}, Fault: fault, Change: "deploy-orders-8f3e", Hit: first != nil, First: first, Rank: rank, ChangeVerdict: verdict}
		if first != nil {
			g.Sent = 1
		}
		return g
	}
	grades := &Grades{Sets: []SetGrade{set, all}, Incidents: []IncidentGrade{
		grade("shop-1", 26, "orders-db", "network delay", &shop.Sent[1], 1, "right"), grade("shop-2", 73, "orders-db", "cpu", &shop.Sent[4], 2, "none"),
		grade("shop-3", 96, "orders-db", "cpu", &shop.Sent[5], 0, "innocent"), grade("shop-4", 130, "cart", "error return", nil, 0, "missed"), grade("shop-5", 150, "", "region down", &shop.Sent[7], 0, "right"),
	}}
	grades.Incidents[0].Sent, grades.Incidents[0].OwnLead, grades.Incidents[0].OwnAlert = 2, ptr(540.), ptr(htmlAt(26.2))
	grades.Incidents[2].OwnLead, grades.Incidents[3].OwnAlert, grades.Incidents[4].Causes = ptr(-720.), ptr(htmlAt(130.2)), nil
	r := &Report{Version: 1, Config: "examples/shop/foreshock.yml", Cases: []CaseReport{shop, other}, Grades: grades,
		Summary:  Summary{Days: 9, Pages: 5, Tickets: 4, OwnAlerts: 2, LeadMedian: ptr(-90.), LeadOver: 2},
		Days:     []DayCount{{"2026-03-09", "search", 0, 1}, {"2026-03-10", "frontend", 0, 1}, {"2026-03-10", "orders-db", 1, 0}, {"2026-03-11", "cart", 0, 1}, {"2026-03-12", "checkout", 1, 0}, {"2026-03-13", "payments", 1, 0}, {"2026-03-14", "search", 1, 0}, {"2026-03-15", "orders-db", 0, 1}, {"2026-03-16", "orders-db", 1, 0}},
		Services: []Count{{"orders-db", 2, 1}, {"search", 1, 1}, {"checkout", 1, 0}, {"payments", 1, 0}, {"cart", 0, 1}, {"frontend", 0, 1}},
		Rules: []RuleStats{
			{Name: "CheckoutErrors", Kind: "detection", File: "rules/shop.yml", Group: "checkout", Evaluations: 40320, Series: 12, Fired: 190, Episodes: 9, Sent: 6, False: 1, Seconds: 3.1},
			{Name: "DatabaseLatency", Kind: "detection", File: "rules/shop.yml", Group: "data", Evaluations: 40320, Failed: 3, Series: 4, Fired: 210, Episodes: 7, Sent: 8, False: 2, Seconds: 7.4},
			{Name: "OldBilling", Kind: "alerting", File: "rules/legacy.yml", Group: "billing", Evaluations: 10080, Empty: 10080, State: "never has data", Missing: []string{`billing_requests_total{job="billing"}`}, Seconds: 0.08},
			{Name: "job:broken:rate5m", Kind: "recording", File: "rules/legacy.yml", Group: "billing", Evaluations: 10080, Failed: 10080, State: "always fails", LastError: "found duplicate series for the match group on the right hand side", Seconds: 0.4},
			{Name: "DiskFull", Kind: "alerting", File: "rules/nodes.yml", Group: "nodes", Evaluations: 10080, Series: 3, State: "never fires", Seconds: 0.2},
			{Name: "Watchdog", Kind: "alerting", File: "rules/nodes.yml", Group: "nodes", Evaluations: 10080, Series: 1, Fired: 10080, Episodes: 1, State: "always fires", Seconds: 0.05},
		}}
	second := *r
	second.Grades = &Grades{Sets: []SetGrade{all}}
	second.Grades.Sets[0].False, second.Grades.Sets[0].FalsePages, second.Grades.Sets[0].Precision = 1, 0, ptr(0.86)
	second.Summary.Pages = 4
	second.Grades.Sets[0].All.DelaySeconds = ptr(165.)
	moved := shop.Sent[4]
	moved.Time = moved.Time.Add(-4 * time.Minute)
	r.Comparison = &Comparison{Config: "examples/shop/strict.yml", Other: &second, Changes: []Difference{
		{Kind: "moves", Before: &shop.Sent[4], After: &moved, What: []string{"4 min earlier", "cause orders-db instead of checkout"}}, {Kind: "vanishes", Before: &shop.Sent[6]}, {Kind: "appears", After: &other.Sent[0]}}}
	return r
}

// hugeReport is beyond each bound.
func hugeReport() *Report {
	r := htmlReport()
	c := &r.Cases[0]
	c.Sent, c.Alerts, r.Grades.Incidents, r.Comparison.Changes = nil, nil, nil, nil
	base := htmlSentAt(c.Name, 0, "page", "", "false")
	for i := range 1200 {
		s := base
		s.Time, s.Causes, s.Summary = htmlAt(float64(i)/20), []string{fmt.Sprintf("service-%d", i)}, fmt.Sprintf("service-%d fails first", i)
		c.Sent = append(c.Sent, s)
		c.Alerts = append(c.Alerts, AlertSpan{Name: fmt.Sprintf("Own%d", i), Start: s.Time})
		r.Grades.Incidents = append(r.Grades.Incidents, IncidentGrade{Case: c.Name, Name: fmt.Sprintf("label-%d", i), Start: s.Time, End: s.Time.Add(time.Minute)})
		r.Rules = append(r.Rules, RuleStats{Name: fmt.Sprintf("rule-%d", i), Missing: make([]string, 100)})
		r.Services = append(r.Services, Count{fmt.Sprintf("service-%d", i), 1, 1})
		r.Comparison.Changes = append(r.Comparison.Changes, Difference{Kind: "appears", After: &s})
		r.Grades.Sets[0].Faults = append(r.Grades.Sets[0].Faults, FaultTally{Fault: fmt.Sprintf("fault-%d", i)})
		r.Cases = append(r.Cases, CaseReport{Name: fmt.Sprintf("case-%d", i), From: htmlStart, To: htmlAt(1e5), Until: htmlAt(1e5), Notes: []string{"a note"}, Partial: "cut"})
		c = &r.Cases[0]
	}
	return r
}
