package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStoryTruth(t *testing.T) {
	for _, tc := range []struct {
		fault, cause string
		change       *Change
		events       []Action
	}{
		{BadDeploy, "payments", &Change{"payments", "2.3.1", "2.4.0"}, []Action{Rollout, Rollout, Rollout}},
		{SlowDatabase, "database", nil, []Action{Rollout, Slow, Slow}},
		{TrafficSurge, "frontend", nil, []Action{Rollout, Surge, Surge}},
		{DeadService, "inventory", nil, []Action{Rollout, Stop, Restart}},
		{RetryStorm, "checkout", &Change{"checkout", "1.8.0", "1.9.0"}, []Action{Rollout, Rollout, Rollout}},
		{NoFault, "", nil, []Action{Rollout}},
	} {
		bystanders := map[string]bool{}
		for seed := range uint64(50) {
			s, err := NewStory(tc.fault, seed, StoryOptions{})
			if err != nil {
				t.Fatalf("%s: %v", tc.fault, err)
			}
			if s.Cause != tc.cause || !cmp.Equal(s.Change, tc.change) {
				t.Errorf("%s: cause %q, change %v; want %q, %v", tc.fault, s.Cause, s.Change, tc.cause, tc.change)
			}
			var actions []Action
			spec := NewSpec()
			conditions, last := spec.normal(), time.Duration(0)
			for _, e := range s.Events() {
				if actions = append(actions, e.Action); e.At <= last {
					t.Errorf("%s, seed %d: event at %v after one at %v", tc.fault, seed, e.At, last)
				}
				last = e.At
				if conditions, err = conditions.after(spec, e); err != nil {
					t.Errorf("%s, seed %d: %v", tc.fault, seed, err)
				}
				if e.Text == "" {
					t.Errorf("%s: event %s has no text", tc.fault, e.Action)
				}
			}
			if diff := cmp.Diff(tc.events, actions); diff != "" {
				t.Errorf("%s: actions (-want +got):\n%s", tc.fault, diff)
			}
			// In the end all is as before, except for the innocent rollout.
			want := spec.normal()
			want.Releases[spec.index(s.Acquitted.Service)].Version = s.Acquitted.To
			if diff := cmp.Diff(want, conditions); diff != "" {
				t.Errorf("%s, seed %d: conditions in the end (-want +got):\n%s", tc.fault, seed, diff)
			}
			if s.Change != nil && s.Change.Service == s.Acquitted.Service {
				t.Errorf("%s, seed %d: %s is both guilty and innocent", tc.fault, seed, s.Change.Service)
			}
			bystanders[s.Acquitted.Service] = true
			if tc.fault == NoFault {
				continue
			}
			if lead := s.Start - s.Innocent; lead < 20*time.Second || lead > 60*time.Second {
				t.Errorf("%s, seed %d: fault %v after the innocent rollout, want 20s to 60s", tc.fault, seed, lead)
			}
			if s.Repair != s.Start+90*time.Second {
				t.Errorf("%s, seed %d: repaired after %v, want 90s", tc.fault, seed, s.Repair-s.Start)
			}
		}
		if len(bystanders) != len(innocents(tc.fault)) {
			t.Errorf("%s: innocent were %v, want each of %v now and then", tc.fault, bystanders, innocents(tc.fault))
		}
	}
}

func TestStoryIsRepeatable(t *testing.T) {
	unexported := cmp.AllowUnexported(Story{})
	for _, fault := range Faults() {
		a, _ := NewStory(fault, 7, StoryOptions{})
		b, _ := NewStory(fault, 7, StoryOptions{})
		if diff := cmp.Diff(a, b, unexported); diff != "" {
			t.Errorf("%s: the same seed gives another story:\n%s", fault, diff)
		}
		c, _ := NewStory(fault, 8, StoryOptions{})
		if a.Innocent == c.Innocent {
			t.Errorf("%s: another seed gives the same story", fault)
		}
	}
}

func TestStoryErrors(t *testing.T) {
	_, err := NewStory("earthquake", 1, StoryOptions{})
	if err == nil || !strings.Contains(err.Error(), `"earthquake"`) || !strings.Contains(err.Error(), strings.Join(Faults(), ", ")) {
		t.Errorf("unknown fault: error %v, want the name and all known ones", err)
	}
	if _, err := NewStory(BadDeploy, 1, StoryOptions{Lasts: -time.Second}); err == nil {
		t.Error("negative duration: no error")
	}
}
