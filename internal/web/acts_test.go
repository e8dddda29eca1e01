package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foreshock/foreshock/internal/incident"
)

func TestActs(t *testing.T) {
	var got []incident.Act
	h := serve(t, func(o *Options) { o.Act = func(a incident.Act) error { got = append(got, a); return nil } })
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
	full := serve(t, func(o *Options) { o.Act = func(incident.Act) error { return errors.New("1000 acts wait") } })
	if w := ask(full, http.MethodPost, open+"/close", "", "Authorization", token); w.Code != http.StatusServiceUnavailable {
		t.Errorf("when it cannot be taken in: status %d, want 503", w.Code)
	} else {
		wantIn(t, w.Body.String(), "1000 acts wait")
	}
	off := serve(t, func(o *Options) { o.Act, o.ChangesToken = func(incident.Act) error { return nil }, "" })
	if w := ask(off, http.MethodPost, open+"/close", ""); w.Code != http.StatusForbidden {
		t.Errorf("without a token on the server: status %d, want 403", w.Code)
	}
}

// The form of the page does the same as the API, with the token in a field.
func TestActPage(t *testing.T) {
	var got []incident.Act
	h := serve(t, func(o *Options) { o.Act = func(a incident.Act) error { got = append(got, a); return nil } })
	const open, form = "/incidents/20260314-021410-7c2f", "application/x-www-form-urlencoded"
	wantIn(t, ask(h, http.MethodGet, open, "").Body.String(), `href="`+open+`/act"`)
	w := ask(h, http.MethodGet, open+"/act", "")
	wantIn(t, w.Body.String(), `action="`+open+`/act"`, `name="token" type="password"`, `value="accept"`, `value="false"`, `value="close"`)
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self'") {
		t.Errorf("the policy %q forbids the form", policy)
	}
	for _, tt := range []struct {
		address, body string
		code          int
		text          string
	}{
		{open, "act=close&token=wrong", http.StatusUnauthorized, "Wrong or missing token"},
		{open, "act=close", http.StatusUnauthorized, "Wrong or missing token"},
		{open, "act=destroy&token=s3cret", http.StatusBadRequest, "one of the three"},
		{"/incidents/nope", "act=close&token=s3cret", http.StatusNotFound, "nope"},
		{"/incidents/20260312-191410-0b11", "act=close&token=s3cret", http.StatusConflict, "only an open one"},
	} {
		w := ask(h, http.MethodPost, tt.address+"/act", tt.body, "Content-Type", form)
		if w.Code != tt.code {
			t.Errorf("%s with %s: status %d, want %d", tt.address, tt.body, w.Code, tt.code)
		}
		wantIn(t, w.Body.String(), tt.text)
	}
	if len(got) > 0 {
		t.Fatalf("acts that were refused came through: %+v", got)
	}
	w = ask(h, http.MethodPost, open+"/act", "act=accept&token=s3cret", "Content-Type", form)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != open || len(got) != 1 || got[0].Kind != "accept" {
		t.Errorf("status %d to %q, acts %+v; want 303 to the incident and one act", w.Code, w.Header().Get("Location"), got)
	}
	off := serve(t, func(o *Options) { o.Act, o.ChangesToken = func(incident.Act) error { return nil }, "" })
	if body := ask(off, http.MethodGet, open, "").Body.String(); strings.Contains(body, "/act") {
		t.Error("without a token on the server the page offers to act")
	}
	if w := ask(off, http.MethodPost, open+"/act", "act=close&token=", "Content-Type", form); w.Code != http.StatusForbidden {
		t.Errorf("without a token on the server: status %d, want 403", w.Code)
	}
}
