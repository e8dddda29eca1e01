package web

import (
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

// TestLimit: when a trend reaches its limit is on the page and in the API.
func TestLimit(t *testing.T) {
	inc := openIncident()
	inc.Anomalies[1].Limit = incident.Forecast{Earliest: onset.Add(time.Hour), Latest: onset.Add(2 * time.Hour)}
	h := serve(t, func(o *Options) {
		o.Incidents = func() []*incident.Incident { return []*incident.Incident{inc} }
	})
	const text = "at its limit between 03:14 and 04:14"
	if page := ask(h, "GET", "/incidents/"+inc.ID, "").Body.String(); !strings.Contains(page, text) {
		t.Errorf("the incident's page does not say %q", text)
	}
	list := decode[jsonAny](t, ask(h, "GET", "/api/v1/anomalies", "")).Data["anomalies"].([]any)
	limit, _ := list[1].(map[string]any)["limit"].(map[string]any)
	if limit["earliest"] != "2026-03-14T03:14:10Z" || limit["latest"] != "2026-03-14T04:14:10Z" {
		t.Errorf("limit of %v: got %v, want 03:14:10 to 04:14:10", list[1], limit)
	}
	if other := list[0].(map[string]any)["limit"]; other != nil {
		t.Errorf("an anomaly without a limit has %v", other)
	}
}
