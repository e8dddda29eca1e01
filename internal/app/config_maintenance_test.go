package app

import (
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/change"
)

func TestMaintenanceAndRollback(t *testing.T) {
	c, err := LoadConfig(files(t, "foreshock.yml", `
changes:
  rollout: 3m
  rollback: kubectl -n {{ .namespace }} rollout undo deployment/{{ .service }}
incidents:
  maintenance:
  - title: upgrade
    services: [{namespace: shop, service: database}, {cluster: eu}]
    from: 2026-06-18T22:00:00Z
    to: 2026-06-19T01:00:00+02:00
  - services: [{service: search}]
    time_intervals:
    - times: [{start_time: '03:00', end_time: '04:00'}]
      weekdays: ['monday:friday']
`))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Engine
	if e.Rollout != 3*time.Minute || len(e.Maintenance) != 2 {
		t.Fatalf("got rollout %s, %d windows, want 3m and 2", e.Rollout, len(e.Maintenance))
	}
	if got, want := e.Rollback.Expand(change.Change{Kind: "deploy", Service: "shop/cart"}), "kubectl -n shop rollout undo deployment/cart"; got != want {
		t.Errorf("rollback: got %s, want %s", got, want)
	}
	f := func(w int, at string, want bool) {
		t.Helper()
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, got := e.Maintenance[w].At(now); got != want {
			t.Errorf("window %d at %s: got %t, want %t", w, at, got, want)
		}
	}
	f(0, "2026-06-18T22:59:59Z", true)
	f(0, "2026-06-18T23:00:00Z", false)
	f(1, "2026-06-18T03:30:00Z", true)
	f(1, "2026-06-20T03:30:00Z", false)
	if !e.Maintenance[0].Covers(e.Identity, "eu/any/thing") || e.Maintenance[0].Covers(e.Identity, "wiki/database") {
		t.Error("the first window covers the wrong services")
	}
}

func TestMaintenanceAndRollbackErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		path := files(t, "foreshock.yml", text)
		_, err := LoadConfig(path)
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(want, "FILE", path)) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
	f("incidents:\n  maintenance:\n  - from: 2026-06-18T22:00:00Z\n", "FILE:3:5: the maintenance has no services")
	f("incidents:\n  maintenance:\n  - services: [{service: a}]\n", "FILE:3:5: the maintenance has no time")
	f("incidents:\n  maintenance:\n  - services: [{service: a}]\n    from: today\n", `FILE:4:11: "today" is no time as of RFC 3339`)
	f("incidents:\n  maintenance:\n  - services: [{sevice: a}]\n", `FILE:3:25: unknown label "sevice"; did you mean "service"?`)
	f("incidents:\n  maintenance:\n  - services: [{service: a}]\n    time_intervals:\n    - times: [{start_time: '23:00', end_time: '02:00'}]\n", "FILE:5:15: the time ends before it begins")
	f("incidents:\n  maintenance:\n  - services: [{service: a}]\n    time_interval: []\n", `did you mean "time_intervals"?`)
	f("changes:\n  rollout: 0s\n", "FILE:2:12: rollout is 0s: it must be more than zero")
	f("changes:\n  rollback: 'undo {{ .servcie }}'\n", "FILE:2:22: rollback: unknown field .servcie; known are")
	f("changes:\n  rollback: |\n    first\n    undo {{ .service\n", "FILE:4:10: rollback: unclosed action")
}
