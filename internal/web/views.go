package web

import "time"

// RuleGroup is a group of rules and how its last evaluation went.
type RuleGroup struct {
	File           string
	Name           string
	Interval       time.Duration
	LastEvaluation time.Time // zero: not yet
	Duration       time.Duration
	Missed         int64 // evaluations that did not take place since the start
	Limit          int   // of series of a rule; 0: none
	Rules          []Rule
}

// RuleKind is what a rule does.
type RuleKind string

const (
	Record  RuleKind = "record"
	AlertOn RuleKind = "alert"
	Detect  RuleKind = "detect"
)

// Health of a rule or target, in Prometheus's words.
type Health string

const (
	HealthUnknown Health = "unknown"
	HealthOK      Health = "ok"
	HealthErr     Health = "err"
	HealthUp      Health = "up"
	HealthDown    Health = "down"
)

// Rule is one rule and how its last evaluation went.
type Rule struct {
	Kind        RuleKind
	Name        string
	Query       string
	Labels      map[string]string
	Annotations map[string]string

	Health         Health // unknown, ok, err
	LastError      string
	LastEvaluation time.Time // zero: not yet
	Duration       time.Duration

	// Of detection rules.
	Signal    string // latency, traffic, errors, saturation
	Unit      string // seconds, ratio, requests/s, … : how values are shown; empty: by the signal
	Detector  string
	Series    int // judged at the last evaluation
	Anomalies int // anomalous at the last evaluation
	// Evaluations are the last ones, newest first; at most twenty are shown.
	Evaluations []Evaluation
	// Command asks the source for what the rule last saw: a curl line to copy.
	Command string

	// Of alerting rules.
	State         string // inactive, pending, firing
	For           time.Duration
	KeepFiringFor time.Duration
	Alerts        []RuleAlert
}

// Evaluation is one evaluation of a rule.
type Evaluation struct {
	Time      time.Time
	Duration  time.Duration
	Series    int
	NaN       int // of the series, without a number as value
	Anomalies int
	Error     string
}

// RuleAlert is one pending or firing alert of an alerting rule.
type RuleAlert struct {
	Labels      map[string]string
	Annotations map[string]string
	State       string // pending, firing
	ActiveAt    time.Time
	Value       float64
}

// TargetPool is what one scrape job scrapes.
type TargetPool struct {
	Job     string
	Targets []Target
	// Dropped are the discovered labels of targets that relabelling dropped;
	// DroppedCount is how many there are, of which some may not be listed.
	Dropped      []map[string]string
	DroppedCount int
}

// Target is one scraped endpoint.
type Target struct {
	URL              string
	Health           Health    // unknown, up, down
	LastScrape       time.Time // zero: not yet
	Duration         time.Duration
	Error            string
	Labels           map[string]string
	DiscoveredLabels map[string]string
	Interval         time.Duration
	Timeout          time.Duration
}

// Mode is what the program does with incidents.
type Mode string

const (
	Shadow     Mode = "shadow" // sends nothing, shows what would have been sent
	TicketMode Mode = "ticket" // sends tickets at most
	PageMode   Mode = "page"
)

// Status is how the program is.
type Status struct {
	Version, Revision, Branch, BuildUser, BuildDate, GoVersion string

	Mode          Mode
	Started       time.Time
	Source        string         // where metrics come from: "local" or a URL without credentials
	Alertmanagers []Alertmanager // where alerts go to
	AlertsUnread  bool           // the team's alerts cannot be read from any of them
	Ready         bool
	// Progress of the cold start, one line; empty: it is over.
	Progress string
	// Fraction of the cold start that is done, 0 to 1; below 0: not known.
	Fraction float64
	// ConfigFile and ReloadError: what is loaded, and why the last reload was refused (empty: it was not).
	ConfigFile  string
	LastReload  time.Time
	ReloadError string
	// Retention of the embedded database, in words.
	Retention string
}

// TSDBStatus is what the embedded database holds, in Prometheus's shape.
type TSDBStatus struct {
	HeadStats                   TSDBHead   `json:"headStats"`
	SeriesCountByMetricName     []TSDBStat `json:"seriesCountByMetricName"`
	LabelValueCountByLabelName  []TSDBStat `json:"labelValueCountByLabelName"`
	MemoryInBytesByLabelName    []TSDBStat `json:"memoryInBytesByLabelName"`
	SeriesCountByLabelValuePair []TSDBStat `json:"seriesCountByLabelValuePair"`
}

// TSDBHead is the part of the database that is in memory; times are Unix milliseconds.
type TSDBHead struct {
	NumSeries     uint64 `json:"numSeries"`
	NumLabelPairs int    `json:"numLabelPairs"`
	ChunkCount    int64  `json:"chunkCount"`
	MinTime       int64  `json:"minTime"`
	MaxTime       int64  `json:"maxTime"`
}

// TSDBStat is a name and how many or how much of it there is.
type TSDBStat struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Alertmanager is one receiver of alerts.
type Alertmanager struct {
	URL   string
	Error string // of the last delivery; empty: it went well or none was tried
}
