package backtest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Truth is what incidents.yml says happened: the labelled incidents, against
// which a backtest is graded. The engine never sees it.
type Truth struct {
	File     string
	Set      string
	Case     string
	Interval time.Duration // distance of samples, for delays in samples
	// From and To bound what is graded; what comes before From is warm-up.
	From, To    time.Time
	StripSuffix string // removed from causes before they are compared
	Changes     bool   // changes are known, so blaming one is graded
	// Labelled: the file has a list of incidents, even if an empty one. Without one nothing is graded.
	Labelled  bool
	Incidents []Label
	Ignore    []Ignored
	// Notes are fields that look misspelt.
	Notes []string
}

// Label is one labelled incident.
type Label struct {
	Name       string
	Start, End time.Time
	Causes     []string // any of them is right; none: nothing inside is to blame
	Fault      string
	Change     string // id of the change to blame, "" for none
	Release    string // the deploy that shipped a change which was not rolled out by itself
	Alert      time.Time
	Effects    []string
	HasEffects bool
	line       int
}

// Ignored is a span in which what is sent counts for nothing.
type Ignored struct{ Start, End time.Time }

// truthFile is incidents.yml. Fields that are not listed are notes for people.
type truthFile struct {
	Set         string      `yaml:"set"`
	Case        string      `yaml:"case"`
	Interval    string      `yaml:"interval_seconds"`
	Files       []string    `yaml:"files"`
	Topology    string      `yaml:"topology"`
	Changes     string      `yaml:"changes"`
	DataStart   yaml.Node   `yaml:"data_start"`
	DataEnd     yaml.Node   `yaml:"data_end"`
	ScoreFrom   yaml.Node   `yaml:"score_from"`
	StripSuffix string      `yaml:"rank_strip_suffix"`
	Incidents   []yaml.Node `yaml:"incidents"`
	Ignore      []yaml.Node `yaml:"ignore"`
}

type labelFields struct {
	Name    string    `yaml:"name"`
	Start   yaml.Node `yaml:"start"`
	End     yaml.Node `yaml:"end"`
	Cause   yaml.Node `yaml:"cause"`
	Fault   string    `yaml:"fault"`
	Change  string    `yaml:"change"`
	Release string    `yaml:"release"`
	Alert   yaml.Node `yaml:"alert"`
	Effects *[]string `yaml:"effects"`
}

var (
	headerFields = []string{
		"set", "case", "interval_seconds", "files", "topology", "changes", "data_start", "data_end", "score_from", "rank_strip_suffix",
		"incidents", "ignore", "excluded",
	}
	incidentFields = []string{"name", "start", "end", "cause", "fault", "change", "release", "alert", "effects"}
)

// misspelt says which fields look like one that grading reads, and are none.
// Others are notes for people.
func misspelt(path string, n *yaml.Node, known []string) []string {
	n = yamlfile.Resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []string
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if slices.Contains(known, key.Value) {
			continue
		}
		if near, ok := yamlfile.Nearest(key.Value, known); ok && yamlfile.Field(n, near) == nil {
			out = append(out, yamlfile.At(path, key, "the field %q is not read; did you mean %q?", key.Value, near).Error())
		}
	}
	return out
}

// parseTruth reads an incidents.yml. Errors are [yamlfile.Error] values, joined.
func parseTruth(path string, data []byte) (*truthFile, *Truth, error) {
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return nil, nil, err
	}
	var f truthFile
	if root != nil {
		if err := root.Decode(&f); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	t := &Truth{Notes: misspelt(path, root, headerFields), File: path, Set: f.Set, Case: f.Case, StripSuffix: f.StripSuffix, Changes: f.Changes != "", Interval: time.Minute}
	var errs []error
	fail := func(n *yaml.Node, format string, args ...any) {
		errs = append(errs, yamlfile.At(path, n, format, args...))
	}
	if f.Interval != "" {
		s, err := strconv.ParseFloat(f.Interval, 64)
		if err != nil || !(s > 0) || s > 86400*366 {
			_, n := yamlfile.Lookup(root, "interval_seconds")
			fail(n, "interval_seconds: %q is no number of seconds above zero", f.Interval)
			s = 60
		}
		t.Interval = time.Duration(math.Round(s * float64(time.Second)))
	}
	instant := func(n *yaml.Node, name string) time.Time {
		if n.Kind == 0 || n.Tag == "!!null" {
			return time.Time{}
		}
		at, err := time.Parse(time.RFC3339, n.Value)
		if err != nil {
			fail(n, "%s: %q is no time as of RFC 3339: write one such as 2026-06-18T14:59:30Z", name, n.Value)
			return time.Time{}
		}
		return at.UTC()
	}
	t.From, t.To = instant(&f.DataStart, "data_start"), instant(&f.DataEnd, "data_end")
	if from := instant(&f.ScoreFrom, "score_from"); !from.IsZero() {
		t.From = from
	}
	t.Labelled = f.Incidents != nil
	for i := range f.Incidents {
		n := &f.Incidents[i]
		t.Notes = append(t.Notes, misspelt(path, n, incidentFields)...)
		var l labelFields
		if err := n.Decode(&l); err != nil {
			fail(n, "incident: %v", err)
			continue
		}
		out := Label{
			Name: l.Name, Fault: l.Fault, Change: l.Change, Release: l.Release, line: n.Line,
			Start: instant(&l.Start, "start"), End: instant(&l.End, "end"), Alert: instant(&l.Alert, "alert"),
		}
		if l.Effects != nil {
			out.Effects, out.HasEffects = *l.Effects, true
		}
		var cause error
		if out.Causes, cause = causes(&l.Cause); cause != nil {
			fail(&l.Cause, "cause: %v", cause)
		}
		switch {
		case out.Start.IsZero() || out.End.IsZero():
			if len(errs) == 0 {
				fail(n, "incident %q: start and end must be given", l.Name)
			}
		case out.End.Before(out.Start):
			fail(n, "incident %q ends before it starts", l.Name)
		}
		t.Incidents = append(t.Incidents, out)
	}
	for i := range f.Ignore {
		var s struct {
			Start yaml.Node `yaml:"start"`
			End   yaml.Node `yaml:"end"`
		}
		if err := f.Ignore[i].Decode(&s); err != nil {
			fail(&f.Ignore[i], "ignore: %v", err)
			continue
		}
		g := Ignored{instant(&s.Start, "start"), instant(&s.End, "end")}
		if g.Start.IsZero() || g.End.Before(g.Start) {
			fail(&f.Ignore[i], "ignore: start and end must be times, the end not before the start")
		}
		t.Ignore = append(t.Ignore, g)
	}
	slices.SortStableFunc(t.Incidents, func(a, b Label) int { return cmp.Or(a.Start.Compare(b.Start)) })
	return &f, t, errors.Join(errs...)
}

// causes reads a name, a list of names, or nothing.
func causes(n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == 0 || n.Tag == "!!null":
		return nil, nil
	case n.Kind == yaml.SequenceNode:
		var out []string
		return out, n.Decode(&out)
	case n.Kind == yaml.ScalarNode && n.Value == "":
		return nil, nil
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	}
	return nil, errors.New("want a service or a list of services")
}

// checkSpan says which labels lie outside of the data.
func (t *Truth) checkSpan(from, to time.Time) error {
	var errs []error
	for _, l := range t.Incidents {
		if l.End.Before(from) || l.Start.After(to) {
			errs = append(errs, &yamlfile.Error{File: t.File, Line: l.line, Column: 1, Msg: fmt.Sprintf(
				"incident %q (%s to %s) lies outside of the data, which reach from %s to %s", l.Name,
				l.Start.Format(time.RFC3339), l.End.Format(time.RFC3339), from.Format(time.RFC3339), to.Format(time.RFC3339))})
		}
	}
	return errors.Join(errs...)
}

// strip removes the suffix that all names of a set may have.
func (t *Truth) strip(name string) string {
	if t.StripSuffix == "" {
		return name
	}
	return strings.TrimSuffix(name, t.StripSuffix)
}
