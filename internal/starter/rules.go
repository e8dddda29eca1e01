package starter

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
)

// rules writes rules.yml.
func (w *writer) rules() string {
	var b strings.Builder
	b.WriteString("# Written by the names of the metrics; each rule says why. Change what does not fit.\n")
	b.WriteString(listed("Understood, and left out to keep this file short", w.cut))
	b.WriteString(listed("Not used", w.left))
	if len(w.found) == 0 {
		b.WriteString("# No rule beside those of the packs.\ngroups: []\n")
		return b.String()
	}
	fmt.Fprintf(&b, "groups:\n  - name: services\n    interval: %s\n    rules:\n", duration(w.step()))
	for _, f := range w.found {
		b.WriteString(w.rule(f))
	}
	if w.SourceURL == "" {
		b.WriteString(w.objectives())
	}
	return b.String()
}

// detection is a rule's text.
type detection struct {
	why, name, expr, of, signal, unit, detector, change string
}

func (w *writer) text(d detection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "      # %s\n      - detect: %s\n        expr: |\n          %s\n", d.why, d.name, d.expr)
	if d.of != "" {
		fmt.Fprintf(&b, "        of: |\n          %s\n", d.of)
	}
	fmt.Fprintf(&b, "        signal: %s\n", d.signal)
	for _, f := range [][2]string{{"unit", d.unit}, {"detector", d.detector}, {"false_alarms", w.budget()}, {"min_change", d.change}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "        %s: %s\n", f[0], f[1])
		}
	}
	return b.String()
}

// rule is the text of the rules of a metric.
func (w *writer) rule(f finding) string {
	switch d := (detection{name: w.title(f.Name, "")}); f.role {
	case latency:
		return w.text(w.latency(f, d))
	case waiting:
		d.why = "What waits, waits for somebody else: a symptom like latency."
		d.expr, d.signal, d.unit, d.change = w.aggregate("max", f), "latency", "waiting", "{relative: 100%}"
		return w.text(d)
	case failedRatio, succeededRatio:
		return w.text(w.failedRatio(f, d))
	case failures:
		d.why, d.expr, d.signal = "Failures, by its name.", w.aggregate("sum", f), "errors"
		return w.text(d)
	case traffic:
		d.why, d.expr, d.signal, d.change = "Calls, by its name.", w.aggregate("sum", f), "traffic", "{relative: 50%}"
		return w.text(d) + w.failedCalls(f)
	case saturation:
		return w.text(w.saturation(f, d))
	case edgeLatency:
		return w.network(f, d)
	case edgeFailures:
		_, callee, _ := f.ends()
		d.why, d.signal = "Failed calls count against the service that they were sent to.", "errors"
		d.expr = fmt.Sprintf(`label_replace(sum by (%s) (%s), "%s", "$1", "%s", "(.+)")`, callee, w.value(f), w.service(), callee)
		return w.text(d)
	}
	return ""
}

// selector of a metric, of which label matchers may follow.
func selector(name string, matchers ...string) string {
	if !model.LegacyValidation.IsValidMetricName(name) {
		matchers = slices.Insert(matchers, 0, strconv.Quote(name))
		name = ""
	}
	if len(matchers) == 0 {
		return name
	}
	return name + "{" + strings.Join(matchers, ", ") + "}"
}

// value is a metric as a gauge: counters as rates, of quantiles the one asked for.
func (w *writer) value(f finding, matchers ...string) string {
	if q := f.quantile(); q != "" {
		matchers = append(matchers, fmt.Sprintf("quantile=%q", q))
	}
	s := selector(f.Name, matchers...)
	if f.counter() || strings.HasSuffix(f.Name, "_bucket") {
		return fmt.Sprintf("rate(%s[%s])", s, w.window())
	}
	return s
}

func (w *writer) aggregate(op string, f finding, more ...string) string {
	return fmt.Sprintf("%s by (%s) (%s)", op, w.by(more...), w.value(f))
}

// entries selects the services whose users are people, of those that a metric
// has; all where it has none of them.
func (w *writer) entries(f finding) []string {
	var names []string
	for _, s := range slices.Sorted(slices.Values(w.Entries)) {
		if slices.Contains(f.Labels[w.service()], s) {
			names = append(names, regexp.QuoteMeta(s))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{w.service() + "=~" + strconv.Quote(strings.Join(names, "|"))}
}

// quantile is the largest up to 0.95, or else the smallest; "" where there are none.
func (m Metric) quantile() string {
	best, at := "", 0.0
	for _, text := range m.Labels["quantile"] {
		q, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		if best == "" || q <= 0.95 && (q > at || at > 0.95) || q > 0.95 && at > 0.95 && q < at {
			best, at = text, q
		}
	}
	return best
}

// median is the value of the label quantile that says what half of the calls take.
const median = "0.5"

func (w *writer) latency(f finding, d detection) detection {
	d.why = "A latency, by its name. Latencies have a long tail: judged on a logarithmic scale."
	d.signal, d.detector, d.change = "latency", "{spike: {transform: log}}", "{relative: 50%}"
	if average.MatchString(f.base) {
		d.change = "{relative: 20%}" // means move less than quantiles
	}
	if strings.HasSuffix(f.Name, "_bucket") {
		d.expr = fmt.Sprintf("histogram_quantile(0.9, sum by (%s) (%s))", w.by("le"), w.value(f))
		return d
	}
	d.expr = w.aggregate("max", f)
	if f.has("quantile") && slices.Contains(f.Labels["quantile"], median) && f.quantile() != median {
		d.why += " What half of the calls take moves less by itself than the tail."
		d.expr = fmt.Sprintf("max by (%s) (%s)", w.by("quantile"), selector(f.Name, fmt.Sprintf("quantile=~%q", median+"|"+f.quantile())))
	}
	if calls, ok := w.calls(f); ok {
		d.why += " A mean over one or two calls says little."
		// A service whose calls are not counted is judged all the same.
		d.expr += fmt.Sprintf("\n            unless %s * %g < 3", w.aggregate("sum", calls), w.Interval.Seconds())
	}
	return d
}

// calls is the gauge of calls per second that comes from where the metric does.
func (w *writer) calls(f finding) (finding, bool) {
	for _, o := range w.found {
		if o.role == traffic && prefix(o.base) == prefix(f.base) && strings.HasSuffix(o.base, "_per_second") && !o.counter() && sameLabels(o.Metric, f.Metric) {
			return o, true
		}
	}
	return finding{}, false
}

func sameLabels(a, b Metric) bool {
	for l := range a.Labels {
		if !b.has(l) {
			return false
		}
	}
	return true
}

// failedRatio is judged as failed calls per second where the calls are known:
// one failure of eight calls is no share worth a page.
func (w *writer) failedRatio(f finding, d detection) detection {
	d.why, d.signal = "A share of failures, by its name.", "errors"
	d.expr = w.share(f)
	if calls, ok := w.calls(f); ok {
		d.why = "A share of failures, judged as failures per second: one of a few calls is no reason to wake anybody."
		d.expr = fmt.Sprintf("%s\n            * %s", d.expr, w.aggregate("sum", calls))
		// Three failures between two samples.
		d.unit, d.change = "per second", fmt.Sprintf("{absolute: %.2g}", 3/w.Interval.Seconds())
		return d
	}
	d.unit, d.change = "ratio", "{absolute: 0.01}"
	return d
}

// share is the largest share of failures of a service, from 0 to 1.
func (w *writer) share(f finding, matchers ...string) string {
	op, whole, before := "max", "", ""
	if strings.HasSuffix(f.base, "_percent") {
		whole = " / 100"
	}
	if f.role == succeededRatio {
		op, before = "min", "1 - "
	}
	text := fmt.Sprintf("%s%s by (%s) (%s)%s", before, op, w.by(), w.value(f, matchers...), whole)
	if before+whole != "" {
		text = "(" + text + ")"
	}
	return text
}

func (w *writer) saturation(f finding, d detection) detection {
	d.signal = "saturation"
	var more []string
	if f.has("pod") {
		more = []string{"pod"}
	}
	d.expr = w.aggregate("max", f, more...)
	ratio := strings.HasSuffix(f.base, "_ratio")
	switch {
	case ratio && has(f.base, []string{"hit"}):
		d.why, d.unit, d.change = "What a cache does not answer is work for others.", "ratio", "{absolute: 0.1}"
		d.expr = "1 - " + w.aggregate("min", f, more...)
	case ratio && has(f.base, []string{"memory", "mem"}):
		d.why, d.unit = "Memory moves with every restart; it matters when it is about to run out.", "ratio"
		d.expr = "clamp_min(" + d.expr + ", 0.9)"
	case ratio:
		d.why, d.unit, d.change = "Use of a resource, by its name.", "ratio", "{absolute: 0.1}"
	default:
		d.why, d.change = "Use of a resource or work, by its name.", "{relative: 50%}"
	}
	return d
}

// failedCalls is a second rule over a counter of calls whose label has the result.
func (w *writer) failedCalls(f finding) string {
	label := f.failedCodes()
	if label == "" {
		return ""
	}
	return w.text(detection{
		why: "Calls that were answered with 5xx, as a share of all.", name: w.title(f.Name, "Failed"), signal: "errors", change: "{absolute: 0.01}",
		// A service that has not failed yet is judged too.
		expr: fmt.Sprintf("sum by (%s) (%s)\n            or 0 * %s", w.by(), w.value(f, label+`=~"5.."`), w.aggregate("sum", f)), of: w.aggregate("sum", f),
	})
}

// network is the time of a call between its two ends, where both are measured.
func (w *writer) network(f finding, d detection) string {
	caller, callee, _ := f.ends()
	var here, there string
	for _, pair := range [][2]string{{"source", "destination"}, {"client", "server"}} {
		if slices.Contains(f.Labels["reporter"], pair[0]) && slices.Contains(f.Labels["reporter"], pair[1]) {
			here, there = pair[0], pair[1]
		}
	}
	if here == "" || strings.HasSuffix(f.Name, "_bucket") {
		return ""
	}
	seen := func(by string) string { return w.value(f, fmt.Sprintf("reporter=%q", by)) }
	gap := "edge:" + strings.TrimSuffix(f.base, "_seconds") + "_gap"
	d.name = w.title(f.Name, "Gap")
	d.why = "A slow network is seen on all calls of a service, in and out: hence the least of them."
	d.signal, d.unit, d.change = "saturation", "seconds", "{absolute: 0.01}"
	d.expr = fmt.Sprintf(`min by (%s) (
            label_replace(%s, "%s", "$1", "%s", "(.+)")
              or label_replace(%s, "%s", "$1", "%s", "(.+)"))`, w.service(), gap, w.service(), callee, gap, w.service(), caller)
	return fmt.Sprintf(`      # What a call takes beyond the callee's own time.
      - record: %s
        expr: |
          %s
            - ignoring (reporter) %s
`, gap, seen(here), seen(there)) + w.text(d)
}

// alert is a plain alerting rule.
type alert struct {
	why, name, expr string
	lasts           time.Duration
	severity        string
}

// objectives are plain alerts: with little history they are what is known of harm.
func (w *writer) objectives() string {
	var list []alert
	for _, f := range w.found {
		ratio := strings.HasSuffix(f.base, "_ratio")
		switch {
		case f.role == failedRatio || f.role == succeededRatio:
			list = append(list, w.objective(f))
		case f.role == saturation && ratio && has(f.base, []string{"disk"}):
			list = append(list, alert{"A disk that is full stops the service.", w.title(f.Name, "AlmostFull"), w.aggregate("max", f) + " > 0.9", w.Interval, "page"})
		case f.role == saturation && ratio && !has(f.base, []string{"hit"}):
			list = append(list, alert{"No reason to wake anybody, but where to look first when users suffer.", w.title(f.Name, "NearlyFull"),
				w.aggregate("max", f) + " > 0.9", max(5*time.Minute, w.Interval), "warning"})
		}
	}
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n  - name: objectives\n    rules:\n")
	for _, a := range list {
		fmt.Fprintf(&b, "      # %s\n      - alert: %s\n        expr: |\n          %s\n        for: %s\n        labels: {severity: %s}\n",
			a.why, a.name, a.expr, duration(a.lasts), a.severity)
	}
	return b.String()
}

// objective is an alert on the share of failures that people see; where the
// calls are known, not of a few.
func (w *writer) objective(f finding) alert {
	side := "High"
	if f.role == succeededRatio {
		side = "Low"
	}
	a := alert{"More than a call in twenty fails.", w.title(f.Name, side), w.share(f, w.entries(f)...) + " > 0.05", w.Interval, "page"}
	if calls, ok := w.calls(f); ok {
		a.why = "More than a call in twenty fails, of at least twenty between two samples."
		a.expr += fmt.Sprintf("\n            and %s * %g >= 20", w.aggregate("sum", calls), w.Interval.Seconds())
	}
	return a
}

// title makes the name of a rule, one that is not taken: http_5xx_ratio becomes Http5xxRatio.
func (w *writer) title(name, end string) string {
	var b strings.Builder
	up := true
	for _, c := range strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_bucket") {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			up = true
			continue
		}
		if up {
			c = unicode.ToUpper(c)
		}
		up = false
		b.WriteRune(c)
	}
	base := b.String() + end
	free := base
	for n := 2; w.taken[free]; n++ {
		free = fmt.Sprintf("%s%d", base, n)
	}
	w.taken[free] = true
	return free
}
