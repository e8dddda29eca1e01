package incident

import (
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// Signal is the golden signal that a rule measures.
type Signal string

const (
	Latency    Signal = "latency"    // seconds
	Traffic    Signal = "traffic"    // requests per second
	Errors     Signal = "errors"     // failed requests per second, or a ratio
	Saturation Signal = "saturation" // use of a resource, work or queue
)

// Reading is one verdict on one series, anomalous or not.
type Reading struct {
	Time     time.Time
	Rule     string
	Series   string // the series' labels in PromQL notation, unique within the rule
	Service  topology.Service
	Caller   topology.Service // of a reading of the calls from Caller to Service: time or requests lost, calls per call; "" otherwise
	Signal   Signal
	Value    float64
	Expected float64
	Lower    float64
	Upper    float64
	Score    float64 // 1 = as rare as the budget allows, +1 per factor of ten; NaN while unknown
	Up       bool
	// Anomalous is the rule's decision: score, direction, least change and `for` taken together.
	Anomalous bool
	Onset     time.Time // first departing sample; zero when nothing departs
	Limit     Forecast  // when a trend reaches its limit
	Kind      string    // spike, shift, …
	Unsure    bool      // the verdict carries a doubt under which it may join an incident but never opens a page alone
	Doubts    []string
	Unit      string // how values are shown: "seconds", "ratio", "" …
}

// Blind is a rule that could not see at a step: it failed, or found no series, or none with a number.
type Blind struct {
	Rule   string
	Since  time.Time
	Reason string // failed, empty, only NaN
	Error  string
}

// Alert is a firing alert of the team's own.
type Alert struct {
	Name     string
	Service  topology.Service
	Severity string
	Since    time.Time
	Labels   map[string]string
	Summary  string
	Muted    Muting
}

// Muting says that nobody is told of an alert by itself: somebody silenced it,
// or another alert inhibits it. It is evidence as before, but asks for nothing,
// since what the team has muted shall not come through another door.
type Muting string

const (
	NotMuted  Muting = ""
	Silenced  Muting = "silenced"
	Inhibited Muting = "inhibited"
)

// Act is what an operator did with an incident.
type Act struct {
	Incident string
	Kind     string // accept, false, close
	Time     time.Time
}

// ActKinds are what an operator can do with an open incident: accept the
// present level as normal, mark the incident as false, or close it.
func ActKinds() []string { return []string{"accept", "false", "close"} }

// Input is all that a step sees.
type Input struct {
	Readings []Reading // each series' newest verdict that arrived since the last step
	Blind    []Blind
	Alerts   []Alert // all that fire now
	Changes  []change.Change
	Acts     []Act
	// Maintenance is all that was declared and lasts now.
	Maintenance []Maintenance
	Graph       *topology.Graph
	// Foreign are the incidents that other replicas keep open; only needed
	// when [Correlator.Opening] says so.
	Foreign []Foreign
}

// Foreign is an open incident of another replica, as the Alertmanager shows it.
type Foreign struct {
	ID       string
	Labels   map[string]string
	Severity Severity
	StartsAt time.Time
	Services []topology.Service // all that it names: cause and effects
}

// Output is what a step decided.
type Output struct {
	// Incidents are all that are open, and those that ended in this step, oldest
	// first. Later outputs may share their lists: readers do not change them.
	Incidents []*Incident
	Holds     []Hold
}

// Hold asks that a series shall not learn.
type Hold struct {
	Rule, Series string
	Since        time.Time
	Accept       bool // when the hold ends: take the present level as normal
}

// State of an incident.
type State string

const (
	Forming  State = "forming" // evidence is there, nothing was decided yet
	Open     State = "open"
	Resolved State = "resolved"
)

// Severity of what was (or in shadow mode would have been) sent.
type Severity string

const (
	None   Severity = ""
	Ticket Severity = "ticket"
	Page   Severity = "page"
)

// Incident is what belongs together: anomalies and alerts on connected services.
type Incident struct {
	ID       string    `json:"id"`
	State    State     `json:"state"`
	Severity Severity  `json:"severity"`
	Onset    time.Time `json:"onset"`  // first departing sample of all
	Opened   time.Time `json:"opened"` // when it was decided to send it; startsAt of its alerts
	Resolved time.Time `json:"resolved,omitzero"`
	Why      string    `json:"why,omitempty"` // why it was resolved: quiet, new level, closed, …

	Causes  []Candidate   `json:"causes"`  // ranked, at most 100; the first is the cause when Known
	Known   bool          `json:"known"`   // the first candidate is confident enough to be named
	Guess   bool          `json:"guess"`   // no calls between its services are known: they began together, and who causes what is a guess
	Effects []Effect      `json:"effects"` // services that merely suffer, in order of onset
	Changes []Attribution `json:"changes"` // suspects first, then the acquitted
	Harm    []string      `json:"harm"`    // who suffers, one sentence each
	// Anomalies are the involved series, in order of onset.
	Anomalies []Anomaly `json:"anomalies"`
	// Rollback is what to go back to; nil where the evidence points at no change.
	Rollback *Rollback `json:"rollback,omitempty"`
	// Demand: the trouble begins with more requests from outside than usual.
	Demand bool `json:"demand,omitempty"`
	// FirstAlert is when the first of the team's own alerts that belong to it
	// began to fire; zero while none has. Muted ones do not count.
	FirstAlert time.Time `json:"first_alert,omitzero"`
	// NotPaged are the team's own alerts that are only effects.
	NotPaged []string `json:"not_paged"`

	Services []topology.Service `json:"services"` // all that are or were involved, sorted
	Last     time.Time          `json:"last"`     // last evidence

	// Blind says which rules could not see when the incident was last looked at.
	Blind []string `json:"blind,omitempty"`

	Sent []Sent `json:"sent"` // what was handed to delivery; labels never change
	Log  []Note `json:"log"`  // timeline, oldest first, bounded
}

// Candidate is a service that may be the cause.
type Candidate struct {
	Service    topology.Service `json:"service"`
	Confidence float64          `json:"confidence"` // 0 to 1; all candidates of an incident sum to at most 1
	Reason     string           `json:"reason"`     // one sentence with numbers that a person can check
	Onset      time.Time        `json:"onset"`
}

// Effect is a service that suffers.
type Effect struct {
	Service topology.Service `json:"service"`
	Onset   time.Time        `json:"onset"`
	Offset  time.Duration    `json:"offset_seconds"` // after the incident's onset
	What    string           `json:"what"`
	Suffers bool             `json:"suffers"` // it is slower or fails, or an alert fires; else it is only more or less busy
}

// Attribution is a change near the onset, suspected or acquitted.
type Attribution struct {
	change.Change
	Suspect bool   `json:"suspect"`
	Reason  string `json:"reason"`
}

// Rollback says how to undo the change that is suspected.
type Rollback struct {
	Change  change.Change `json:"change"`
	Text    string        `json:"text"`              // what to do, in a few words
	Command string        `json:"command,omitempty"` // the user's template for this change; for people, nothing runs it
}

// Anomaly is one series out of its normal.
type Anomaly struct {
	Rule     string           `json:"rule"`
	Series   string           `json:"series"`
	Service  topology.Service `json:"service"`
	Caller   topology.Service `json:"caller,omitempty"` // where the calls from Caller to Service are measured
	Signal   Signal           `json:"signal"`
	Kind     string           `json:"kind"`
	Up       bool             `json:"up"`
	Onset    time.Time        `json:"onset"`
	End      time.Time        `json:"end,omitzero"`
	Value    float64          `json:"value"` // at its worst
	Expected float64          `json:"expected"`
	Score    float64          `json:"score"`
	Unit     string           `json:"unit,omitempty"`
	Unsure   bool             `json:"unsure,omitempty"`
	Doubts   []string         `json:"doubts,omitempty"`
	Limit    Forecast         `json:"limit,omitzero"`  // when its trend reaches its limit, while it lasts
	Trail    []Point          `json:"trail,omitempty"` // bounded, from just before the onset
}

// Point is one verdict of a trail.
type Point struct {
	Time                          time.Time
	Value, Expected, Lower, Upper float64
	Score                         float64
}

// Sent is one alert that was handed to delivery.
type Sent struct {
	Severity Severity          `json:"severity"`
	Time     time.Time         `json:"time"`
	Labels   map[string]string `json:"labels"`
}

// Note is one line of an incident's timeline.
type Note struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}
