package backtest

import "time"

// Grades compare what was sent with labelled incidents.
type Grades struct {
	Sets      []SetGrade      `json:"sets"` // in order of name; the last is ALL
	Incidents []IncidentGrade `json:"incidents"`
}

// SetGrade is the result over all cases of a set.
type SetGrade struct {
	Name   string       `json:"set"`
	Cases  int          `json:"cases"`
	All    Tally        `json:"all"`
	Faults []FaultTally `json:"faults"` // in order of fault; none for ALL
	// False is what was sent outside of all windows, and QuietDays the time there.
	False        int      `json:"false"`
	FalsePages   int      `json:"false_pages"`
	FalseTickets int      `json:"false_tickets"`
	QuietDays    float64  `json:"quiet_days"`
	FalsePerDay  *float64 `json:"false_per_day"`
	// FalseWithChange are those of False that blame a change, where changes are known.
	FalseWithChange int `json:"false_blaming_a_change"`
	WarmUp          int `json:"in_warm_up"`       // sent, not counted
	Ignored         int `json:"in_ignored_spans"` // sent, not counted
	// Precision is the share of what was sent and counted that belongs to an incident; nil when nothing was sent.
	Precision *float64 `json:"precision"`
}

// FaultTally is a tally of the incidents with one fault.
type FaultTally struct {
	Fault string `json:"fault"`
	Tally
}

// Tally is over a number of labelled incidents. nil figures have nothing to be taken over.
type Tally struct {
	Incidents int      `json:"incidents"`
	Hit       int      `json:"hit"`
	Recall    *float64 `json:"recall"`
	// MissedWhileOpen are missed incidents during which something sent earlier was still open.
	MissedWhileOpen int      `json:"missed_while_open"`
	SentPerHit      *float64 `json:"sent_per_hit"`
	DelaySeconds    *float64 `json:"delay_seconds_median"`
	DelaySamples    *float64 `json:"delay_samples_median"`
	// LabelLead is the median lead over the alert that the labels give, in seconds.
	LabelLead *float64 `json:"label_lead_seconds_median"`
	// OwnLead is the median lead over the first of the team's own alerting rules, in seconds;
	// OwnAlerted counts the incidents that one of them fired for, OwnOnly those that were not sent.
	OwnLead    *float64 `json:"own_lead_seconds_median"`
	OwnAlerted int      `json:"own_alerted"`
	OwnOnly    int      `json:"own_only"`

	Causes    int      `json:"causes"`     // incidents with a known cause
	CausesHit int      `json:"causes_hit"` // of those, sent
	Top1      *float64 `json:"top1"`       // over all with a known cause; a missed one is a miss
	Top3      *float64 `json:"top3"`
	Avg5      *float64 `json:"avg5"`
	Top1Hit   *float64 `json:"top1_hit"` // over those that were sent
	Top3Hit   *float64 `json:"top3_hit"`
	Avg5Hit   *float64 `json:"avg5_hit"`

	Changes         int      `json:"changes"` // incidents of cases with a changes file
	ChangeRight     int      `json:"change_right"`
	ChangeShare     *float64 `json:"change_right_share"`
	ChangeOrRelease int      `json:"change_right_or_release"`
	InnocentBlamed  int      `json:"innocent_blamed"`
	EffectsJaccard  *float64 `json:"effects_jaccard_mean"`
}

// IncidentGrade is what became of one labelled incident.
type IncidentGrade struct {
	Case   string    `json:"case"`
	Name   string    `json:"name"`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Causes []string  `json:"cause"` // of the labels; none when nothing inside is to blame
	Fault  string    `json:"fault"`
	Change string    `json:"change"`
	Hit    bool      `json:"hit"`
	Sent   int       `json:"sent"` // incidents sent for it
	// First is what was sent first; nil when it was missed.
	First *Sent `json:"first"`
	// Rank of the true cause in what was sent first, from 1; 0 when it is not in it.
	Rank int `json:"rank"`
	// ChangeVerdict is right, release, none, wrong, innocent or "" where changes are not known.
	ChangeVerdict string `json:"change_verdict,omitempty"`
	// OwnAlert is the first of the team's own alerts in the window.
	OwnAlert *time.Time `json:"own_alert"`
	// OwnLead is by how many seconds that came after what was sent first.
	OwnLead *float64 `json:"own_lead_seconds"`
}
