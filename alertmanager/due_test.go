package alertmanager

import (
	"testing"
	"time"
)

var testPace = pace{resend: time.Minute, retry: 5 * time.Second, retention: 15 * time.Minute}

func TestDue(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, tc := range []struct {
		name     string
		resolved bool
		history  history
		want     bool
	}{
		{"never sent", false, history{}, true},
		{"never sent, resolved", true, history{}, true},
		{"taken just now", false, history{sent: now, taken: true, tries: 1}, false},
		{"taken almost a resend delay ago", false, history{sent: ago(time.Minute - 1), taken: true, tries: 1}, false},
		{"taken a resend delay ago", false, history{sent: ago(time.Minute), taken: true, tries: 1}, true},
		{"resolved since it was taken", true, history{sent: now, taken: true, tries: 1}, true},
		{"resolved since nobody took it", true, history{sent: now, tries: 4}, true},
		{"fires again since it was resolved", false, history{sent: now, resolved: true, taken: true, tries: 1}, true},
		{"resolution taken", true, history{sent: ago(59 * time.Second), resolved: true, taken: true, tries: 1}, false},
		{"resolution taken a resend delay ago", true, history{sent: ago(time.Minute), resolved: true, taken: true, tries: 1}, true},
		{"first try, before the retry delay", false, history{sent: ago(5*time.Second - 1), tries: 1}, false},
		{"first try, after the retry delay", false, history{sent: ago(5 * time.Second), tries: 1}, true},
		{"second try, before twice the delay", false, history{sent: ago(9 * time.Second), tries: 2}, false},
		{"second try, after twice the delay", false, history{sent: ago(10 * time.Second), tries: 2}, true},
		{"many tries, before the resend delay", false, history{sent: ago(59 * time.Second), tries: 1 << 30}, false},
		{"many tries, after the resend delay", false, history{sent: ago(time.Minute), tries: 1 << 30}, true},
		{"taken after many tries waits for the resend delay", false, history{sent: ago(10 * time.Second), taken: true, tries: 9}, false},
		{"sent a little ahead of now", false, history{sent: now.Add(time.Second), taken: true, tries: 1}, false},
		{"the clock was put back by an hour", false, history{sent: now.Add(time.Hour), taken: true, tries: 1}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := due(now, tc.resolved, tc.history, testPace); got != tc.want {
				t.Errorf("due(now, %t, %+v) = %t, want %t", tc.resolved, tc.history, got, tc.want)
			}
		})
	}
}

func TestWait(t *testing.T) {
	want := []time.Duration{5, 10, 20, 40, 60, 60, 60}
	for i, w := range want {
		if got := testPace.wait(history{tries: i + 1}); got != w*time.Second {
			t.Errorf("wait after try %d = %s, want %s", i+1, got, w*time.Second)
		}
	}
	if got := (pace{resend: time.Second, retry: time.Minute}).wait(history{tries: 1}); got != time.Second {
		t.Errorf("wait with a retry delay above the resend delay = %s, want the resend delay 1s", got)
	}
}

func TestResolvedAndExpired(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name              string
		endsAt            time.Time
		resolved, expired bool
	}{
		{"end in the future", now.Add(1), false, false},
		{"end now", now, true, false},
		{"end at the edge of the retention", now.Add(-15 * time.Minute), true, false},
		{"end before the retention", now.Add(-15*time.Minute - 1), true, true},
	} {
		if got := resolvedAt(now, tc.endsAt); got != tc.resolved {
			t.Errorf("%s: resolvedAt = %t, want %t", tc.name, got, tc.resolved)
		}
		if got := expired(now, tc.endsAt, testPace); got != tc.expired {
			t.Errorf("%s: expired = %t, want %t", tc.name, got, tc.expired)
		}
	}
	if resolvedAt(now, time.Time{}) {
		t.Error("resolvedAt without an end = true, want false: it is open")
	}
}
