package web

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foreshock/foreshock/internal/incident"
)

func TestActs(t *testing.T) {
	var got []incident.Act
	h := serve(t, func(o *Options) { o.Act = func(a incident.Act) { got = append(got, a) } })
	const open, token = "/api/v1/incidents/20260314-021410-7c2f", "Bearer s3cret"
	const resolved = "/api/v1/incidents/20260312-191410-0b11"
	for _, tt := range []struct {
		address, auth string
		code          int
		text          string
	}{
		{open + "/accept", token, http.StatusOK, `"act":"accept"`},
		{open + "/false", token, http.StatusOK, `"act":"false"`},
		{open + "/close", token, http.StatusOK, `"act":"close"`},
		{open + "/close", "Bearer wrong", http.StatusUnauthorized, "wrong or missing token"},
		{open + "/close", "", http.StatusUnauthorized, "wrong or missing token"},
		{open + "/destroy", token, http.StatusNotFound, `there is no act \"destroy\"`},
		{"/api/v1/incidents/nope/close", token, http.StatusNotFound, "nope"},
		{resolved + "/close", token, http.StatusConflict, "only an open one can be accepted"},
	} {
		w := ask(h, http.MethodPost, tt.address, "", "Authorization", tt.auth)
		if w.Code != tt.code {
			t.Errorf("%s with %q: status %d, want %d", tt.address, tt.auth, w.Code, tt.code)
		}
		wantIn(t, w.Body.String(), tt.text)
	}
	var want []incident.Act
	for _, kind := range incident.ActKinds() {
		want = append(want, incident.Act{Incident: "20260314-021410-7c2f", Kind: kind, Time: now})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	off := serve(t, func(o *Options) { o.Act, o.ChangesToken = func(incident.Act) {}, "" })
	if w := ask(off, http.MethodPost, open+"/close", ""); w.Code != http.StatusForbidden {
		t.Errorf("without a token on the server: status %d, want 403", w.Code)
	}
}
