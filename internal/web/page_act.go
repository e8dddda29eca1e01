package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/foreshock/foreshock/internal/incident"
)

// actCSP lets the page of acts send its form to this server, and nothing else more.
const actCSP = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// actView is the form to end an incident. It has a page of its own: that of the
// incident loads itself anew, which would empty the field of the token.
type actView struct {
	ID, Link, Headline string
	Acts               []actRow
	Error              string
}

type actRow struct{ Kind, Name, Text string }

func actRows() []actRow {
	return []actRow{
		{"close", "Close", "End it without a word about the level."},
		{"accept", "Accept", "Take the present level as normal."},
		{"false", "False alarm", "Take the present level as normal; nobody should have been told."},
	}
}

// mayAct reports whether an operator can end the incident on a page.
func (s *server) mayAct(inc *incident.Incident) bool {
	return s.Act != nil && s.ChangesToken != "" && inc.State == incident.Open
}

// pageAct shows the form, takes it, and goes back to the incident.
func (s *server) pageAct(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	inc := s.find(id)
	switch {
	case inc == nil:
		s.pageError(w, http.StatusNotFound, errUnknownIncident(id))
		return
	case s.Act == nil || s.ChangesToken == "":
		s.pageError(w, http.StatusForbidden, errors.New("acting on incidents is off: start with --web.changes-token-file=FILE"))
		return
	case inc.State != incident.Open:
		s.pageError(w, http.StatusConflict, fmt.Errorf("incident %s is %s: only an open one can be accepted, marked as false or closed", inc.ID, inc.State))
		return
	}
	v := actView{ID: inc.ID, Link: "/incidents/" + pathEscape(inc.ID), Headline: s.headline(inc), Acts: actRows()}
	code := http.StatusOK
	if r.Method == http.MethodPost {
		kind := r.PostFormValue("act")
		given, want := sha256.Sum256([]byte(r.PostFormValue("token"))), sha256.Sum256([]byte(s.ChangesToken))
		switch {
		case subtle.ConstantTimeCompare(given[:], want[:]) != 1:
			code, v.Error = http.StatusUnauthorized, "Wrong or missing token: it is the one of --web.changes-token-file."
		case !slices.Contains(incident.ActKinds(), kind):
			code, v.Error = http.StatusBadRequest, "Choose one of the three."
		default:
			if err := s.Act(incident.Act{Incident: inc.ID, Kind: kind, Time: s.Now()}); err != nil {
				s.pageError(w, http.StatusServiceUnavailable, err)
				return
			}
			http.Redirect(w, r, s.link(v.Link), http.StatusSeeOther)
			return
		}
	}
	w.Header().Set("Content-Security-Policy", actCSP)
	s.render(w, code, "act", frame{Title: "End " + v.Headline, Section: "incidents", Page: v})
}
