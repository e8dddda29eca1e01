package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/storage"

	"github.com/foreshock/foreshock/internal/incident"
)

// An open incident is a series for each alert, which ends with it; one that
// only forms, and the past, are none. A store that fails stops nothing.
func TestIncidentsAsSeries(t *testing.T) {
	db := temporary(t)
	var log strings.Builder
	e := &Engine{live: true, store: db.Store(), warned: map[string]bool{}, log: slog.New(slog.NewTextHandler(&log, nil))}
	one := func(id string, state incident.State, severities ...incident.Severity) *incident.Incident {
		i := &incident.Incident{ID: id, State: state}
		for _, s := range severities {
			i.Sent = append(i.Sent, incident.Sent{Severity: s, Labels: map[string]string{"alertname": "ForeshockIncident", "incident": id, "severity": string(s), "service": "db"}})
		}
		return i
	}
	begin := time.Unix(shopBegin, 0)
	want := func(after int, n ...string) {
		t.Helper()
		v, err := db.Store().Query(t.Context(), IncidentName, begin.Add(time.Duration(after)*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range v {
			got = append(got, fmt.Sprintf("%s %s %v", s.Metric.Get("incident"), s.Metric.Get("severity"), s.F))
		}
		slices.Sort(got)
		if g, w := strings.Join(got, "; "), strings.Join(n, "; "); g != w {
			t.Errorf("after %d minutes: got %q, want %q", after, g, w)
		}
	}
	for k, open := range [][]*incident.Incident{
		{one("a", incident.Open, "ticket"), one("c", incident.Forming)},
		{one("a", incident.Open, "ticket", "page"), one("b", incident.Open, "ticket")},
		{one("b", incident.Open, "ticket"), one("a", incident.Resolved, "ticket", "page")},
		{},
	} {
		e.open = open
		e.record(t.Context(), begin.Add(time.Duration(k)*time.Minute))
	}
	want(0, "a ticket 1")
	want(1, "a page 1", "a ticket 1", "b ticket 1")
	want(2, "b ticket 1")
	want(3)

	e.store.Appendable = broken{db.Store().Appendable}
	e.open = []*incident.Incident{one("d", incident.Open, "page")}
	for k := range 3 {
		e.record(t.Context(), begin.Add(time.Duration(4+k)*time.Minute))
	}
	if n := strings.Count(log.String(), "disk full"); n != 1 {
		t.Errorf("the failure is in the log %d times, want once:\n%s", n, &log)
	}
	e.store.Appendable = db.Store().Appendable
	e.record(t.Context(), begin.Add(7*time.Minute))
	want(7, "d page 1")

	e.live, e.open = false, []*incident.Incident{one("e", incident.Open, "page")}
	e.record(t.Context(), begin.Add(8*time.Minute))
	want(8, "d page 1")
	if !Outputs(Config{})[IncidentName] {
		t.Errorf("%s is no output of ours: it could become evidence", IncidentName)
	}
}

// broken takes samples and cannot commit them.
type broken struct{ storage.Appendable }

type brokenAppender struct{ storage.Appender }

func (b brokenAppender) Commit() error {
	return errors.Join(errors.New("disk full"), b.Appender.Rollback())
}

func (b broken) Appender(ctx context.Context) storage.Appender {
	return brokenAppender{b.Appendable.Appender(ctx)}
}
