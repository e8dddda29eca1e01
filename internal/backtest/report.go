package backtest

import (
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

// Report is all that a backtest found. Its JSON is the machine-readable
// report; every figure but the cost is the same in each run.
type Report struct {
	Version int    `json:"version"` // of this format; 1
	Config  string `json:"config"`  // path of the configuration
	// Partial says why the backtest ended before its span did; "" when it is whole.
	Partial string       `json:"partial,omitempty"`
	Cases   []CaseReport `json:"cases"`
	// Grades are nil where nothing is labelled.
	Grades     *Grades     `json:"grades,omitempty"`
	Summary    Summary     `json:"summary"`
	Days       []DayCount  `json:"days"`     // in order of day and service; only where something was sent
	Services   []Count     `json:"services"` // by service of the first cause, most sent first
	Rules      []RuleStats `json:"rules"`    // in order of file, group and place
	Comparison *Comparison `json:"comparison,omitempty"`
}

// Summary counts what was sent over all cases.
type Summary struct {
	Days    float64 `json:"days"` // replayed
	Pages   int     `json:"pages"`
	Tickets int     `json:"tickets"`
	// OwnAlerts are the times that one of the team's own alerting rules began to fire.
	OwnAlerts int `json:"own_alerts"`
	// LeadMedian is over what was sent and had an own alert on a service
	// involved, in seconds; positive when the own alert came later. nil when there was none.
	LeadMedian *float64 `json:"lead_seconds_median"`
	LeadOver   int      `json:"lead_over"` // number of incidents that the median is over
}

// CaseReport is one replayed span.
type CaseReport struct {
	Name  string    `json:"case"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Until time.Time `json:"until"` // how far the replay came
	// Partial says why the replay ended before To; "" when it is whole.
	Partial string      `json:"partial,omitempty"`
	Sent    []Sent      `json:"sent"`   // in order of time
	Alerts  []AlertSpan `json:"alerts"` // the team's own, in order of start
	// Uncounted are the spans in which what is sent counts for nothing: the
	// warm-up and what the labels leave out. In order of start; for the time line.
	Uncounted []Span `json:"uncounted,omitempty"`
	// Notes are what a reader has to know of the input: truth outside the data, samples left out.
	Notes []string `json:"notes,omitempty"`
}

// Span is from a time to a time.
type Span struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Sent is one incident that was (or in shadow mode would have been) sent, as
// the first notification said it.
type Sent struct {
	Case       string     `json:"case"`
	Time       time.Time  `json:"time"`     // of the first notification
	Resolved   *time.Time `json:"resolved"` // nil while it is open at the end
	Severity   string     `json:"severity"` // page or ticket; the highest that it reached
	Causes     []string   `json:"causes"`   // ranked
	Known      bool       `json:"known"`
	Effects    []string   `json:"effects"`
	Change     string     `json:"change"` // id of the suspect, "" for none
	Confidence float64    `json:"confidence"`
	Summary    string     `json:"summary"`
	Onset      time.Time  `json:"onset"`
	Rules      []string   `json:"rules"` // whose anomalies or alerts it was made of, sorted
	// PagedAt is when it became a page; nil for a ticket.
	PagedAt *time.Time `json:"paged_at"`
	// OwnAlert is the first of the team's own alerts on a service involved; nil when none fired.
	OwnAlert *time.Time `json:"own_alert"`
	// Incident is the labelled incident that it belongs to; Verdict is hit,
	// duplicate, false, warm-up or ignored. Both are "" where nothing is labelled.
	Incident string `json:"incident,omitempty"`
	Verdict  string `json:"verdict,omitempty"`

	// Last is the incident as it was when last seen, with its trails; for plots.
	Last *incident.Incident `json:"-"`
}

// AlertSpan is one of the team's own alerts from when it began to fire to when it ended.
type AlertSpan struct {
	Name     string     `json:"alertname"`
	Service  string     `json:"service"`
	Severity string     `json:"severity"`
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end"` // nil while it fires at the end
}

// DayCount is what was sent for a service on a day.
type DayCount struct {
	Day     string `json:"day"` // 2006-01-02, UTC
	Service string `json:"service"`
	Pages   int    `json:"pages"`
	Tickets int    `json:"tickets"`
}

// Count is what was sent for a service.
type Count struct {
	Service string `json:"service"`
	Pages   int    `json:"pages"`
	Tickets int    `json:"tickets"`
}

// RuleStats is what a rule did over all cases.
type RuleStats struct {
	Name  string `json:"rule"`
	Kind  string `json:"kind"` // recording, alerting or detection
	File  string `json:"file"`
	Group string `json:"group"`
	// Evaluations, how many of them failed, and how many found no series.
	Evaluations int `json:"evaluations"`
	Failed      int `json:"failed"`
	Empty       int `json:"empty"`
	// OnlyNaN is how many found series, and no number (detection rules).
	OnlyNaN   int    `json:"only_nan,omitempty"`
	LastError string `json:"last_error,omitempty"`
	Series    int    `json:"series"` // most at once
	// Fired is the number of evaluations at which an alert fired or a series was anomalous.
	Fired int `json:"fired"`
	// Episodes are the times that a series began to be anomalous, or an alert to fire.
	Episodes int `json:"episodes"`
	// Sent is how many incidents it was part of when they were sent; False how many of those were false.
	Sent  int `json:"sent"`
	False int `json:"false"`
	// State is "" or what is odd: never has data, only NaN, always fails, never fires, always fires.
	State string `json:"state,omitempty"`
	// Missing are the selectors of the rule that no series ever matched.
	Missing []string `json:"missing,omitempty"`
	// Seconds were spent on it: wall time, not the same in each run.
	Seconds float64 `json:"seconds"`
}

// Comparison is how a second configuration differs over the same cases.
type Comparison struct {
	Config string  `json:"config"`
	Other  *Report `json:"other"`
	// Changes are in order of case and time.
	Changes []Difference `json:"changes"`
}

// Difference is one incident that only one configuration sends, or that both
// send in another way.
type Difference struct {
	Kind   string   `json:"kind"` // appears, vanishes or moves
	Before *Sent    `json:"before"`
	After  *Sent    `json:"after"`
	What   []string `json:"what"` // what moved: "4m earlier", "cause db instead of checkout", …
}
