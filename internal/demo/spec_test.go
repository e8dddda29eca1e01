package demo

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestRhythm(t *testing.T) {
	r := Rhythm{Mean: 16, Swing: 0.25, Peak: 13 * time.Hour}
	berlin := time.FixedZone("UTC+2", 2*3600)
	for _, tc := range []struct {
		at   time.Time
		want float64
	}{
		{time.Date(2024, 5, 6, 13, 0, 0, 0, time.UTC), 20},
		{time.Date(2024, 5, 7, 1, 0, 0, 0, time.UTC), 12},
		{time.Date(2024, 5, 7, 7, 0, 0, 0, time.UTC), 16},
		{time.Date(2024, 5, 6, 15, 0, 0, 0, berlin), 20},
	} {
		if got := r.At(tc.at); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("At(%v) = %v, want %v", tc.at, got, tc.want)
		}
	}
}

func TestSpecValidate(t *testing.T) {
	if err := NewSpec().validate(); err != nil {
		t.Fatalf("the shop itself: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"no services":     {func(s *Spec) { s.Services = nil }, "no services"},
		"no traffic":      {func(s *Spec) { s.Traffic.Mean = 0 }, "mean above 0"},
		"endless users":   {func(s *Spec) { s.Patience = time.Hour }, "patience"},
		"unknown callee":  {func(s *Spec) { s.Services[0].Calls[0].Callee = "basket" }, `"basket"`},
		"circle":          {func(s *Spec) { s.Services[2].Calls[0].Callee = "checkout" }, `"checkout"`},
		"no time-out":     {func(s *Spec) { s.Services[0].Calls[0].Timeout = 0 }, "time-out"},
		"pool too large":  {func(s *Spec) { s.Services[4].Pool.Size = 256 }, "1 to 255"},
		"pool that calls": {func(s *Spec) { s.Services[2].Pool = &Pool{Size: 1} }, "no calls"},
	} {
		spec := NewSpec()
		tc.change(&spec)
		if err := spec.validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
}

func TestConditionsAfter(t *testing.T) {
	spec := NewSpec()
	for name, tc := range map[string]struct {
		event Event
		want  string
	}{
		"unknown service":  {Event{Action: Stop, Service: "basket"}, `"basket"`},
		"unknown action":   {Event{Action: "burn", Service: "payments"}, `"burn"`},
		"no version":       {Event{Action: Rollout, Service: "payments", Release: Release{Service: "payments"}}, "version"},
		"foreign release":  {Event{Action: Rollout, Service: "payments", Release: Release{Service: "checkout", Version: "2"}}, "same service"},
		"factor 0":         {Event{Action: Surge}, "factor 0"},
		"factor too large": {Event{Action: Slow, Service: "database", Factor: 1000}, "at most"},
		"factor NaN":       {Event{Action: Surge, Factor: math.NaN()}, "factor NaN"},
	} {
		if _, err := spec.normal().after(spec, tc.event); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
	before := spec.normal()
	after, err := before.after(spec, Event{Action: Stop, Service: "payments"})
	if err != nil || before.Stopped[2] || !after.Stopped[2] {
		t.Errorf("stop: before %v, after %v, error %v; want only the copy to be stopped", before.Stopped, after.Stopped, err)
	}
}

func TestDice(t *testing.T) {
	spec := NewSpec()
	d := newDice(&spec, 1, 1)
	var latency, gap, failures, backoff float64
	const n = 200_000
	for range n {
		latency += float64(d.around(20000))
		gap += d.arrival()
		backoff += float64(d.backoff(100, 1))
		if d.fails() {
			failures++
		}
	}
	// A log-normal with median m has mean m·exp(σ²/2).
	for _, tc := range []struct {
		name      string
		got, want float64
		tolerance float64
	}{
		{"mean latency", latency / n, 20000 * math.Exp(spec.Spread*spec.Spread/2), 50},
		{"mean gap", gap / n, 1, 0.01},
		{"mean second backoff", backoff / n, 200, 1},
		{"failures", failures / n, spec.Failure, 0.0003},
	} {
		if math.Abs(tc.got-tc.want) > tc.tolerance {
			t.Errorf("%s = %v, want %v ± %v", tc.name, tc.got, tc.want, tc.tolerance)
		}
	}
	if got := d.backoff(0, 3); got != 0 {
		t.Errorf("backoff without a base = %d, want 0", got)
	}
}
