package change

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/foreshock/foreshock/internal/topology"
)

var builds = Discovery{Kind: "deploy", Versions: "max by (service, version) (build_info)", VersionLabel: "version"}

// vector makes a result of "service:version service:version".
func vector(text string) promql.Vector {
	var v promql.Vector
	for _, f := range strings.Fields(text) {
		service, version, _ := strings.Cut(f, ":")
		v = append(v, promql.Sample{F: 1, Metric: labels.FromStrings("service", service, "version", version)})
	}
	return v
}

func show(list []Change) string {
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s@%d:%s>%s", c.Service, int(c.Time.Sub(start).Minutes()), c.From, c.To))
	}
	return strings.Join(out, " ")
}

func TestDiscover(t *testing.T) {
	for _, c := range []struct {
		name    string
		minutes []string // what runs, minute by minute
		want    string
	}{
		{"first seen", []string{"a:1", "a:1"}, ""},
		{"first seen with two", []string{"a:1 a:2", "a:2"}, ""},
		{"at once", []string{"a:1", "a:2", "a:2"}, "a@1:1>2"},
		{"rolling", []string{"a:1", "a:1 a:2", "a:1 a:2", "a:2", "a:2"}, "a@1:1>2"},
		{"rolled back", []string{"a:1", "a:1 a:2", "a:2", "a:2 a:1", "a:1"}, "a@1:1>2 a@3:2>1"},
		{"rolled back at once", []string{"a:1", "a:2", "a:1"}, "a@1:1>2 a@2:2>1"},
		{"there and back and there", []string{"a:1", "a:2", "a:1", "a:2"}, "a@1:1>2 a@2:2>1 a@3:1>2"},
		{"absent", []string{"a:1", "", "b:1", "a:1"}, ""},
		{"absent and new", []string{"a:1", "", "a:2"}, "a@2:1>2"},
		{"absent while rolling", []string{"a:1", "a:1 a:2", "", "a:2"}, "a@1:1>2"},
		{"newest missing for a minute", []string{"a:1", "a:1 a:2", "a:1", "a:1 a:2"}, "a@1:1>2"},
		{"taken back and tried again", slices.Concat([]string{"a:1", "a:1 a:2"}, slices.Repeat([]string{"a:1"}, 20), []string{"a:1 a:2"}), "a@1:1>2 a@22:1>2"},
		{"after one that was taken back", []string{"a:1", "a:1 a:2", "a:1", "a:1 a:3"}, "a@1:1>2 a@3:1>3"},
		{"two at once", []string{"a:1", "a:3 a:2"}, "a@1:1>3 a@1:1>2"},
		{"next while rolling", []string{"a:1", "a:1 a:2", "a:1 a:2 a:3", "a:3"}, "a@1:1>2 a@2:2>3"},
		{"from the greatest", []string{"a:v1.10 a:v1.9", "a:v1.10 a:v1.9 a:v1.11"}, "a@1:v1.10>v1.11"},
		{"services apart", []string{"a:1 b:1", "a:1 b:2", "a:2 b:2"}, "b@1:1>2 a@2:1>2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := NewTracker()
			for replay := range 2 { // the second time nothing is new
				for i, text := range c.minutes {
					if err := tr.Discover(start.Add(time.Duration(i)*time.Minute), builds, topology.Identity{}, vector(text)); err != nil {
						t.Fatal(err)
					}
				}
				got, want := strings.Fields(show(tr.All())), strings.Fields(c.want)
				slices.Sort(got) // changes at the same time are in the order of their ids
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("replay %d: got %v, want %v", replay, got, want)
				}
			}
		})
	}
}

// A replay after a restart asks once a minute and finds what was known to the second.
func TestDiscoverKnowsWhatWasFoundBefore(t *testing.T) {
	for _, c := range []struct {
		name  string
		known Change
		want  string
	}{
		{"the same", Change{Time: start.Add(25 * time.Second), Service: "a", Kind: "deploy", From: "1", To: "2"}, "a@0:1>2"},
		{"too long ago", Change{Time: start.Add(-time.Minute), Service: "a", Kind: "deploy", From: "1", To: "2"}, "a@-1:1>2 a@1:1>2"},
		{"another service", Change{Time: start.Add(25 * time.Second), Service: "b", Kind: "deploy", From: "1", To: "2"}, "b@0:1>2 a@1:1>2"},
		{"another version", Change{Time: start.Add(25 * time.Second), Service: "a", Kind: "deploy", From: "0", To: "1"}, "a@0:0>1 a@1:1>2"},
	} {
		tr := NewTracker()
		if err := tr.Add(c.known); err != nil {
			t.Fatal(err)
		}
		for minute, runs := range []string{"a:1", "a:2", "a:2"} {
			if err := tr.Discover(start.Add(time.Duration(minute)*time.Minute), builds, topology.Identity{}, vector(runs)); err != nil {
				t.Fatal(err)
			}
		}
		if got := show(tr.All()); got != c.want {
			t.Errorf("%s: changes %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDiscoverReads(t *testing.T) {
	tr := NewTracker()
	discover := func(minute int, d Discovery, v promql.Vector) error {
		return tr.Discover(start.Add(time.Duration(minute)*time.Minute), d, topology.Identity{}, v)
	}
	if err := discover(0, builds, vector("a:1")); err != nil {
		t.Fatal(err)
	}
	v := vector("a:1 a:2 a:3 a: :4")
	v[1].F = 0
	v[2].H = &histogram.FloatHistogram{}
	v[2].F = 0
	if err := discover(1, builds, v); err != nil {
		t.Fatal(err)
	}
	if got := show(tr.All()); got != "a@1:1>3" {
		t.Errorf("got %s: a count of 0 does not run, any histogram does", got)
	}
	if got, want := tr.Stats(), (Stats{Changes: 1, Services: 1, Dropped: 2}); got != want {
		t.Errorf("stats: got %+v, want %+v", got, want)
	}
	// Another discovery has a memory of its own.
	flags := Discovery{Versions: "flags", VersionLabel: "version"}
	if err := discover(2, flags, vector("a:on")); err != nil || len(tr.All()) != 1 {
		t.Errorf("another discovery: got %v, %s", err, show(tr.All()))
	}
	err := discover(3, Discovery{Versions: "q", VersionLabel: "tag"}, vector("a:1"))
	if err == nil || !strings.Contains(err.Error(), `the label "tag"`) {
		t.Errorf("a label that is not there: got %v", err)
	}
	if err := discover(3, Discovery{Versions: "q"}, nil); err == nil {
		t.Error("no label: want an error")
	}
}

func TestDiscoverIsBounded(t *testing.T) {
	tr := NewTracker()
	var text strings.Builder
	for i := range maxVersions + 1 {
		fmt.Fprintf(&text, "a:%d ", i)
	}
	for i := range maxTracked + 1 {
		fmt.Fprintf(&text, "s%d:1 ", i)
	}
	err := tr.Discover(start, builds, topology.Identity{}, vector(text.String()))
	if err == nil || !strings.Contains(err.Error(), "2 services of max by") {
		t.Errorf("first time: got %v", err)
	}
	if err := tr.Discover(start.Add(time.Minute), builds, topology.Identity{}, vector(text.String())); err != nil {
		t.Errorf("second time: got %v, want it said once", err)
	}
	if got := tr.Stats(); got.Services != maxTracked || got.Refused != 4 {
		t.Errorf("got %+v", got)
	}
	// Services that are gone for thirty days make room.
	if err := tr.Discover(start.Add(MaxAge+time.Hour), builds, topology.Identity{}, vector("new:1")); err != nil || tr.Stats().Services != 1 {
		t.Errorf("a month later: got %v, %+v", err, tr.Stats())
	}
}

// The order of series does not matter, and ids are the same each time.
func TestDiscoverIsDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	one, two := NewTracker(), NewTracker()
	for minute := range 100 {
		var text []string
		for range r.IntN(12) {
			text = append(text, fmt.Sprintf("s%d:v%d", r.IntN(4), r.IntN(4)))
		}
		now := start.Add(time.Duration(minute) * time.Minute)
		if err := one.Discover(now, builds, topology.Identity{}, vector(strings.Join(text, " "))); err != nil {
			t.Fatal(err)
		}
		r.Shuffle(len(text), func(i, k int) { text[i], text[k] = text[k], text[i] })
		if err := two.Discover(now, builds, topology.Identity{}, vector(strings.Join(text, " "))); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(one.All(), two.All()) || len(one.All()) < 50 {
		t.Errorf("got %d and %d changes: they differ or are few", len(one.All()), len(two.All()))
	}
}

func TestCompareVersions(t *testing.T) {
	sorted := []string{"", "1", "01", "1.2", "1.9.3", "1.10", "1.10.1", "1.10-rc", "2", "a", "v1.9", "v1.10", "v2026.06.18-1418", "v2026.06.18-1433"}
	sorted[6], sorted[7] = "1.10-rc", "1.10.1"
	for i, a := range sorted {
		for k, b := range sorted {
			got, want := compareVersions(a, b), 0
			if i < k {
				want = -1
			} else if i > k {
				want = 1
			}
			if a == "1" && b == "01" || a == "01" && b == "1" {
				want = -compareVersions(b, a) // equal numbers: any order will do
			}
			if got != want {
				t.Errorf("compareVersions(%q, %q): got %d, want %d", a, b, got, want)
			}
		}
	}
}
