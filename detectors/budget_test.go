package detectors

import (
	"encoding"
	"strings"
	"testing"
	"time"
)

var (
	_ encoding.TextMarshaler   = Budget{}
	_ encoding.TextUnmarshaler = (*Budget)(nil)
)

func TestParseBudget(t *testing.T) {
	for _, c := range []struct {
		in     string
		want   Budget
		text   string
		period time.Duration
	}{
		{"1 per 30d", Budget{1, 30 * day}, "1 per 30d", 30 * day},
		{"3 per 1w", Budget{3, week}, "3 per 1w", week / 3},
		{"1 per 7d", Budget{1, week}, "1 per 1w", week},
		{"  1   per 12h ", Budget{1, 12 * time.Hour}, "1 per 12h", 12 * time.Hour},
		{"0.5 per 1h30m", Budget{0.5, 90 * time.Minute}, "0.5 per 1h30m", 3 * time.Hour},
		{"2 per 1y", Budget{2, year}, "2 per 1y", year / 2},
		{"1 per 5000ms", Budget{1, 5 * time.Second}, "1 per 5s", 5 * time.Second},
	} {
		got, err := ParseBudget(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseBudget(%q) = %v, %v; want %v", c.in, got, err, c.want)
			continue
		}
		if got.String() != c.text || got.Period() != c.period {
			t.Errorf("ParseBudget(%q): String %q, Period %v; want %q, %v", c.in, got.String(), got.Period(), c.text, c.period)
		}
	}
	if got := mustBudget(t, DefaultBudgetText); got != DefaultBudget() {
		t.Errorf("DefaultBudgetText is %v, DefaultBudget %v", got, DefaultBudget())
	}
}

func TestParseBudgetErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "not of the form"},
		{"1 in 30d", "not of the form"},
		{"one per 30d", "positive number, not \"one\""},
		{"-1 per 30d", "positive number"},
		{"NaN per 30d", "positive number"},
		{"1 per 30", "the units are"},
		{"1 per d", "whole number"},
		{"1 per 1h2d", "the units are"},
		{"1 per 1h1h", "the units are"},
		{"1 per 0s", "longer than zero"},
		{"1 per 10ms", "outside the allowed range"},
		{"1e9 per 1h", "outside the allowed range"},
		{"0.001 per 1y", "outside the allowed range"},
		{"1 per 999y", "longer than 292 years"},
		{"1 per 99999999999999999999d", "too large"},
	} {
		_, err := ParseBudget(c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `such as "1 per 30d"`) {
			t.Errorf("ParseBudget(%q): error %v; want it to contain %q and the form", c.in, err, c.want)
		}
	}
}

func TestBudgetText(t *testing.T) {
	var b Budget
	if err := b.UnmarshalText([]byte("2 per 1d")); err != nil {
		t.Fatal(err)
	}
	text, err := b.MarshalText()
	if err != nil || string(text) != "2 per 1d" {
		t.Errorf("MarshalText = %q, %v; want 2 per 1d", text, err)
	}
	if err := b.UnmarshalText([]byte("2 a day")); err == nil || b != (Budget{2, day}) {
		t.Errorf("UnmarshalText of a bad text: error %v, value %v; want an error and no change", err, b)
	}
}

func FuzzParseBudget(f *testing.F) {
	for _, s := range []string{"1 per 30d", "3 per 1w", "0.25 per 1y2w3d4h5m6s7ms", "1 per 1h2d", "1e3 per 1h", "per per per"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBudget(s)
		if err != nil {
			return
		}
		if p := b.Period(); p < minPeriod/2 || p > maxPeriod+time.Second {
			t.Errorf("ParseBudget(%q) has period %v", s, p)
		}
		again, err := ParseBudget(b.String())
		if err != nil || again != b {
			t.Errorf("ParseBudget(%q) = %v; its String %q gives %v, %v", s, b, b.String(), again, err)
		}
	})
}

func TestNames(t *testing.T) {
	d := DoubtWarmingUp | DoubtShortHistory | DoubtAfterGap | DoubtConstant | DoubtHeld | DoubtPartial | DoubtInherited
	want := "warming up, short history, after a gap, constant, held, partial, inherited"
	if d.String() != want {
		t.Errorf("all doubts: %q, want %q", d.String(), want)
	}
	if Doubt(0).Strings() != nil {
		t.Errorf("no doubt: %q, want nil", Doubt(0).Strings())
	}
	for k, want := range map[Kind]string{KindNone: "", KindSpike: "spike", KindShift: "shift", KindLimit: "limit", KindTrend: "trend", 77: ""} {
		if k.String() != want {
			t.Errorf("Kind(%d) = %q, want %q", k, k.String(), want)
		}
	}
}
