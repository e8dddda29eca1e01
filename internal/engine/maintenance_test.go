package engine

import (
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

func TestDeclaredMaintenance(t *testing.T) {
	night := time.Date(2026, 6, 18, 22, 0, 0, 0, time.UTC)
	services := []map[string]string{{"namespace": "shop"}}
	e, err := New(Options{Config: Config{
		Mode: incident.ModePage, Interval: 15 * time.Second, Settle: time.Minute, Hold: time.Minute,
		Maintenance: []change.Window{
			{Title: "upgrade", From: night, To: night.Add(time.Hour), Services: services},
			{Title: "later", From: night.Add(time.Hour), To: night.Add(2 * time.Hour), Services: services},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(after time.Duration, want string) {
		t.Helper()
		got := ""
		for _, m := range e.maintenance(night.Add(after)) {
			got += m.Title
			if !m.Covers("shop/cart") || m.Covers("wiki/cart") || m.Covers(topology.Service("")) {
				t.Errorf("%s covers the wrong services", m.Title)
			}
		}
		if got != want {
			t.Errorf("%s after the beginning: got %q, want %q", after, got, want)
		}
	}
	f(-time.Second, "")
	f(0, "upgrade")
	f(59*time.Minute, "upgrade")
	f(time.Hour, "later")
	f(2*time.Hour, "")
	first, second := e.maintenance(night), e.maintenance(night.Add(time.Minute))
	if first[0].ID != second[0].ID {
		t.Errorf("the same maintenance has two names: %s and %s", first[0].ID, second[0].ID)
	}
}
