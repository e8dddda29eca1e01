package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A group's scenario is a text file in testdata/peers, with step, budget, seed
// and terms as in a [scenario]:
//
//	common TERM…                    added to all members
//	member NAME TERM…               a member's samples; after their end it is gone
//	expect NAME fires FROM TO       at least one score ≥ 1 in [FROM, TO), durations from the start
//	expect NAME quiet FROM TO       none; NAME may be all
type groupScenario struct {
	scenario
	names   []string
	members [][]float64
	common  []float64
}

func readGroupScenario(text string) (*groupScenario, error) {
	s := &groupScenario{scenario: scenario{step: minute, budget: DefaultBudgetText}}
	r := rand.New(rand.NewPCG(0, 7))
	terms := func(list []string) (out []float64, err error) {
		for _, term := range list {
			values, err := expand(term, s.step, time.Duration(len(out))*s.step, r)
			if err != nil {
				return nil, err
			}
			out = append(out, values...)
		}
		return out, nil
	}
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		var err error
		switch {
		case f[0] == "common":
			s.common, err = terms(f[1:])
		case f[0] == "member" && len(f) > 1:
			var values []float64
			values, err = terms(f[2:])
			s.names, s.members = append(s.names, f[1]), append(s.members, values)
		default:
			err = s.scenario.common(i+1, f, r)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return s, nil
}

// play returns the verdicts of each member.
func (s *groupScenario) play(t *testing.T) [][]Verdict {
	g := newTeam(t, s.budget, s.step)
	out := make([][]Verdict, len(s.members))
	longest := 0
	for _, values := range s.members {
		longest = max(longest, len(values))
	}
	for i := range longest {
		row := make([]float64, len(s.members))
		for k, values := range s.members {
			row[k] = math.NaN()
			if i < len(values) {
				row[k] = values[i]
			}
			if i < len(s.common) {
				row[k] += s.common[i]
			}
		}
		for k, m := range g.observe(start+int64(i)*s.step.Milliseconds(), row...) {
			out[k] = append(out[k], m.Verdict)
		}
	}
	return out
}

func TestPeersCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/peers/*.txt")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d scenarios in testdata/peers, error %v; want at least 7", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := readGroupScenario(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			verdicts := s.play(t)
			for _, e := range s.expect {
				if e.detector != "all" && !slices.Contains(s.names, e.detector) {
					t.Fatalf("%s:%d: no member %q", file, e.line, e.detector)
				}
				for k, name := range s.names {
					if e.detector != "all" && name != e.detector {
						continue
					}
					v := verdicts[k][int(e.from/s.step):int(e.to/s.step)]
					if n := alarms(v); (n > 0) != e.fires {
						t.Errorf("%s:%d: %s has %d scores of 1 or more from %v to %v, the highest %.2f", file, e.line, name, n, e.from, e.to, highest(v))
					}
				}
			}
		})
	}
}
