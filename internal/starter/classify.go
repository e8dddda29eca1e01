package starter

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// role is what a metric is used for.
type role int

const (
	skipped role = iota
	failedRatio
	succeededRatio
	failures
	latency
	waiting
	traffic
	saturation
	edgeLatency
	edgeTraffic
	edgeFailures
)

// finding is a metric with its role.
type finding struct {
	Metric
	role role
	base string // the name without _bucket and _total
}

// Words of names. A word of the list matches a part of the name between
// underscores that begins with it.
var (
	errorWords   = []string{"error", "err", "5xx", "fail", "timeout", "timedout", "reject", "drop", "panic", "crash", "denied", "exception", "unavailable", "throttle"}
	successWords = []string{"success", "availability", "available"}
	waitWords    = []string{"queue", "backlog", "buffer", "lag", "pending", "waiting", "age"}
	latencyWords = []string{"latency", "latencies", "duration", "delay", "responsetime", "elapsed"}
	callWords    = []string{"request", "requests", "req", "call", "calls", "rpc", "message", "messages", "record", "records", "event", "events", "order", "orders", "transaction", "transactions", "operation", "operations"}
	useWords     = []string{"cpu", "memory", "mem", "disk", "usage", "used", "use", "utilization", "utilisation", "working", "connection", "connections", "thread", "threads", "goroutines", "pool", "throttled", "consumed", "rows", "query", "queries", "hit"}
	// notUse are parts of names that say how much there is, not how much is used.
	notUse = []string{"limit", "requested", "capacity_total", "total_bytes", "size"}
)

var (
	perTime  = regexp.MustCompile(`(_per_(second|sec|minute|min)|_rps|_qps|_rate)$`)
	codeName = []string{"code", "status", "status_code", "http_status_code", "http_response_status_code", "response_code"}
	code5xx  = regexp.MustCompile(`^5(\d\d|xx)$`)
)

// has reports whether a part of the name is one of the words, or begins with one
// that has at least four letters.
func has(name string, words []string) bool {
	for part := range strings.SplitSeq(name, "_") {
		for _, w := range words {
			if part == w || len(w) > 3 && strings.HasPrefix(part, w) {
				return true
			}
		}
	}
	return false
}

// ends are the labels with the two ends of a call.
func (m Metric) ends() (caller, callee string, ok bool) {
	for _, l := range [][2]string{{"client", "server"}, {"source", "destination"}, {"caller", "callee"}, {"source_workload", "destination_workload"}} {
		if len(m.Labels[l[0]]) > 0 && len(m.Labels[l[1]]) > 0 {
			return l[0], l[1], true
		}
	}
	return "", "", false
}

func (m Metric) has(label string) bool { return len(m.Labels[label]) > 0 }

// counter: by its type, or by its name where no type is told.
func (m Metric) counter() bool {
	return m.Type == "counter" || m.Type == "" && strings.HasSuffix(m.Name, "_total")
}

// classify says what a metric is used for. The first rule that fits counts.
func (w *writer) classify(m Metric) (role, string) {
	name := strings.ToLower(m.Name)
	base := strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_bucket")
	ratio := strings.HasSuffix(base, "_ratio") || strings.HasSuffix(base, "_percent")
	counted := m.counter() || perTime.MatchString(base) || strings.HasSuffix(base, "_count")
	histogram := strings.HasSuffix(name, "_bucket") && m.has("le")
	_, _, edge := m.ends()
	switch {
	case strings.HasSuffix(name, "_bucket") != histogram, !histogram && m.Type == "histogram", m.Type == "summary" && !m.has("quantile"):
		return skipped, base // the sum and count of a histogram or summary
	case edge && isLatency(base):
		return edgeLatency, base
	case edge && counted && has(base, errorWords):
		return edgeFailures, base
	case edge && (counted || has(base, callWords)):
		return edgeTraffic, base
	case edge, !m.has(w.service()):
		return skipped, base
	// A node's figure that is repeated on its pods would blame all of them.
	case m.has("pod") && slices.Contains(strings.Split(base, "_"), "node"):
		return skipped, base
	case ratio && has(base, successWords):
		return succeededRatio, base
	case has(base, errorWords) && !has(base, []string{"cpu"}) && ratio:
		return failedRatio, base
	case has(base, errorWords) && !has(base, []string{"cpu"}) && counted:
		return failures, base
	case has(base, waitWords) && !m.counter():
		return waiting, base
	case isLatency(base) && !m.counter():
		return latency, base
	case strings.Contains(base, "_per_request"), has(base, useWords) && !has(base, notUse) && (!m.counter() || has(base, []string{"cpu"})):
		return saturation, base
	case counted && has(base, callWords) && !strings.HasSuffix(base, "_bytes"):
		return traffic, base
	}
	return skipped, base
}

func isLatency(base string) bool {
	return has(base, latencyWords) || strings.Contains(base, "response_time")
}

// sort gives each metric its role, leaves out what another one says better, and
// puts them in order.
func (w *writer) sort() {
	var all []finding
	for _, name := range w.names {
		if w.packed[name] != "" {
			continue
		}
		r, base := w.classify(w.metrics[name])
		if w.Brief && (runtime.MatchString(name) || bound.MatchString(base)) {
			r = skipped
		}
		all = append(all, finding{w.metrics[name], r, base})
	}
	own := map[role]bool{}
	for _, f := range all {
		own[f.role] = true
	}
	for _, f := range all {
		switch {
		case f.role == skipped, w.saidBetter(f, all):
			w.left = append(w.left, f.Name)
		case f.role == edgeFailures && (own[failures] || own[failedRatio] || own[succeededRatio]):
		// Edges stand for the services that they lead to only where these say nothing themselves.
		default:
			w.found = append(w.found, f)
		}
	}
	slices.SortStableFunc(w.found, func(a, b finding) int { return cmp.Or(cmp.Compare(a.role, b.role), cmp.Compare(a.Name, b.Name)) })
	most := maxRules
	if w.Brief {
		most = briefRules
		w.thin()
	}
	if len(w.found) > most {
		for _, f := range w.found[most:] {
			w.cut = append(w.cut, f.Name)
		}
		w.found = w.found[:most]
	}
	slices.Sort(w.cut)
}

// runtime are metrics of what every process of a kind has: causes at most, and many.
var runtime = regexp.MustCompile(`^(go|promhttp|net_conntrack|process_(max|open|virtual|start|network|resident))_`)

// bound are gauges of how much there may be, or whether at all, which is no use of it.
var bound = regexp.MustCompile(`_(capacity|max|min|limit|enabled)(_bytes|_seconds)?$`)

// thin leaves a few metrics of each prefix and role: those of calls first, then
// those with fewer words, which are the more general ones.
func (w *writer) thin() {
	calls := func(f finding) int {
		if has(f.base, callWords) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(w.found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.role, b.role), cmp.Compare(calls(a), calls(b)), cmp.Compare(strings.Count(a.base, "_"), strings.Count(b.base, "_")))
	})
	type alike struct {
		prefix string
		role   role
	}
	count := map[alike]int{}
	w.found = slices.DeleteFunc(w.found, func(f finding) bool {
		a := alike{prefix(f.base), f.role}
		count[a]++
		if count[a] > briefAlike {
			w.cut = append(w.cut, f.Name)
		}
		return count[a] > briefAlike
	})
}

var (
	unit    = regexp.MustCompile(`_(ratio|percent|cores|bytes|seconds|milliseconds)$`)
	average = regexp.MustCompile(`_(average|avg|mean)(_|$)`)
)

// saidBetter reports whether another metric of the same role says the same:
//   - a ratio of the limit says more than cores or bytes;
//   - a mean adds up along calls, a quantile of few calls jumps;
//   - what a client sees of its calls is the callees' time, where servers are measured.
func (w *writer) saidBetter(f finding, all []finding) bool {
	stem := unit.ReplaceAllString(f.base, "")
	return slices.ContainsFunc(all, func(o finding) bool {
		if o.role != f.role || o.Name == f.Name {
			return false
		}
		switch {
		case f.role == saturation && !strings.HasSuffix(f.base, "_ratio"):
			return o.base == stem+"_ratio"
		case f.role == latency && !average.MatchString(f.base) && average.MatchString(o.base):
			return average.ReplaceAllString(o.base, "$2") == f.base
		case f.role == latency && has(f.base, []string{"client"}):
			return strings.Replace(f.base, "client", "server", 1) == o.base
		}
		return false
	})
}

// failedCodes is the label of a counter of calls whose values include failures.
func (m Metric) failedCodes() string {
	for _, l := range codeName {
		if slices.ContainsFunc(m.Labels[l], code5xx.MatchString) {
			return l
		}
	}
	return ""
}

// prefix is what comes before the part of a name that says what is measured:
// metrics with the same one come from the same place.
func prefix(base string) string {
	p, _, _ := strings.Cut(base, "_")
	return p
}
