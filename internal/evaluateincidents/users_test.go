package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/internal/backtest"
)

// TestUsersCount: five hours of a value, of which the last three minutes depart.
func TestUsersCount(t *testing.T) {
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	start := begin.Add(300 * time.Minute)
	c := &labelledCase{Case: &backtest.Case{From: begin, Truth: &backtest.Truth{
		Interval: time.Minute, From: begin.Add(time.Hour), To: start.Add(5 * time.Minute),
		Incidents: []backtest.Label{{Name: "fault", Start: start, End: start.Add(3 * time.Minute)}},
	}}}
	for name, tt := range map[string]struct {
		metric        string
		normal, fault float64
		hours         int
		marked        int
		unknown       int
	}{
		"slower":                     {"http_latency_seconds", 0.1, 0.2, 5, 1, 0},
		"slower by less than counts": {"http_latency_seconds", 0.1, 0.1105, 5, 0, 0},
		"fails":                      {"error_ratio", 0, 0.03, 5, 1, 0},
		"succeeds less":              {"sli_success_ratio", 1, 0.9, 5, 1, 0},
		"a few failures":             {"sli_success_ratio", 1, 0.995, 5, 0, 0},
		"nobody comes":               {"requests_per_second", 50, 5, 5, 1, 0},
		"more come":                  {"requests_per_second", 50, 500, 5, 0, 0},
		"what it calls is slow":      {"http_client_latency_seconds", 0.1, 5, 5, 0, 1},
		"no history":                 {"http_latency_seconds", 0.1, 5, 0, 0, 1},
	} {
		s := &series{labels: labels.FromStrings("__name__", tt.metric, "service", "web")}
		for at := start.Add(-time.Duration(tt.hours) * time.Hour); !at.After(start.Add(3 * time.Minute)); at = at.Add(time.Minute) {
			v := tt.normal * (1 + 0.01*math.Sin(float64(at.Unix())))
			if tt.normal == 1 {
				v = 1
			}
			if at.After(start) {
				v = tt.fault
			}
			s.at, s.value = append(s.at, at.UnixMilli()), append(s.value, v)
		}
		var u users
		u.count(c, []*series{s}, backtest.IncidentGrade{Name: "fault", Start: start, End: start.Add(3 * time.Minute), Hit: true}, false)
		if u.marked != tt.marked || u.unknown != tt.unknown || u.marked+u.clean+u.unknown != 1 || u.markedPaged != 0 || len(u.unpaged) != tt.marked {
			t.Errorf("%s: got %+v, want %d marked and %d unknown", name, u, tt.marked, tt.unknown)
		}
	}
}

func TestSureTable(t *testing.T) {
	var out strings.Builder
	sureTable("How sure", []stated{{0.35, false}, {0.5, true}, {0.6, false}, {0.7, true}, {0.9, true}, {1, true}}, &out)
	for _, want := range []string{
		"| below 0.4: not named | 1 | .35 | .00 |", "| 0.4 to 0.6 | 1 | .50 | 1.00 |", "| 0.6 to 0.8 | 2 | .65 | .50 |",
		"| 0.8 to 0.9 | 0 | - | - |", "| 0.9 to 1 | 2 | .95 | 1.00 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
