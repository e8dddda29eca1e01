package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// The shapes below are the API's contract: they change only by addition,
// whatever happens to the types that they are made from.

type jsonIncident struct {
	ID        string          `json:"id"`
	URL       string          `json:"url"`
	State     string          `json:"state"`
	Severity  string          `json:"severity"`
	Onset     time.Time       `json:"onset"`
	Opened    time.Time       `json:"opened,omitzero"`
	Resolved  time.Time       `json:"resolved,omitzero"`
	Why       string          `json:"why,omitempty"`
	Known     bool            `json:"known"`
	Guess     bool            `json:"guess"`
	Causes    []jsonCandidate `json:"causes"`
	Effects   []jsonEffect    `json:"effects"`
	Changes   []jsonSuspect   `json:"changes"`
	Rollback  *jsonRollback   `json:"rollback,omitempty"`
	Harm      []string        `json:"harm"`
	Anomalies []jsonAnomaly   `json:"anomalies"`
	NotPaged  []string        `json:"not_paged"`
	First     time.Time       `json:"first_alert,omitzero"`
	Lead      *number         `json:"lead_seconds,omitempty"`
	// Of one incident alone.
	Annotations map[string]string `json:"annotations,omitempty"`
	Sent        []jsonSent        `json:"sent"`
	Services    []string          `json:"services"`
	Last        time.Time         `json:"last,omitzero"`
	Log         []jsonNote        `json:"log"`
}

type jsonCandidate struct {
	Service    string    `json:"service"`
	Confidence number    `json:"confidence"`
	Reason     string    `json:"reason"`
	Onset      time.Time `json:"onset,omitzero"`
}

type jsonEffect struct {
	Service string    `json:"service"`
	Onset   time.Time `json:"onset"`
	Offset  number    `json:"offset_seconds"`
	What    string    `json:"what"`
	Suffers bool      `json:"suffers"`
}

type jsonChange struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Service string    `json:"service"`
	Kind    string    `json:"kind"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Title   string    `json:"title,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

// jsonRollback is what undoes the change with the id.
type jsonRollback struct {
	Change  string `json:"change"`
	Text    string `json:"text"`
	Command string `json:"command,omitempty"`
}

type jsonSuspect struct {
	jsonChange
	Suspect bool   `json:"suspect"`
	Reason  string `json:"reason"`
}

type jsonAnomaly struct {
	Incident string      `json:"incident,omitempty"`
	Rule     string      `json:"rule"`
	Series   string      `json:"series"`
	Service  string      `json:"service"`
	Caller   string      `json:"caller,omitempty"`
	Signal   string      `json:"signal"`
	Kind     string      `json:"kind"`
	Up       bool        `json:"up"`
	Onset    time.Time   `json:"onset"`
	End      time.Time   `json:"end,omitzero"`
	Value    number      `json:"value"`
	Expected number      `json:"expected"`
	Score    number      `json:"score"`
	Unit     string      `json:"unit,omitempty"`
	Unsure   bool        `json:"unsure,omitempty"`
	Doubts   []string    `json:"doubts,omitempty"`
	Limit    *jsonLimit  `json:"limit,omitempty"`
	Trail    []jsonPoint `json:"trail,omitempty"`
}

// jsonLimit is when a trend reaches its limit; without latest perhaps never.
type jsonLimit struct {
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest,omitzero"`
}

type jsonPoint struct {
	Time     time.Time `json:"time"`
	Value    number    `json:"value"`
	Expected number    `json:"expected"`
	Lower    number    `json:"lower"`
	Upper    number    `json:"upper"`
	Score    number    `json:"score"`
}

type jsonSent struct {
	Severity string            `json:"severity"`
	Time     time.Time         `json:"time"`
	Labels   map[string]string `json:"labels"`
}

type jsonNote struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// apiIncidents lists incidents without their trails.
func (s *server) apiIncidents(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	state := r.FormValue("state")
	switch state {
	case "", string(incident.Open), string(incident.Resolved), string(incident.Forming):
	default:
		s.respondError(w, errorBadData, invalidParam("state", fmt.Errorf("%q is not a state: use open, resolved or forming", plot.Clip(state, 100))))
		return
	}
	since, err := paramTime(r, "since", time.Time{})
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	list := []jsonIncident{}
	for _, inc := range s.Incidents() {
		if state != "" && string(inc.State) != state || lastSeen(inc, s.Now()).Before(since) {
			continue
		}
		list = append(list, s.jsonIncident(inc, false))
	}
	s.respond(w, map[string]any{"incidents": list, "mode": s.Status().Mode})
}

// lastSeen is when an incident was last there: open ones are there now.
func lastSeen(inc *incident.Incident, now time.Time) time.Time {
	if inc.State == incident.Resolved {
		return inc.Resolved
	}
	return now
}

func (s *server) apiIncident(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	inc := s.find(id)
	if inc == nil {
		s.respondError(w, errorNotFound, errUnknownIncident(id))
		return
	}
	j := s.jsonIncident(inc, true)
	if j.Annotations = inc.Annotations(); s.Annotations != nil {
		j.Annotations = s.Annotations(inc)
	}
	s.respond(w, j)
}

func errUnknownIncident(id string) error {
	return fmt.Errorf("no incident %q: it may have been dropped from the history", plot.Clip(id, 100))
}

// apiAnomalies lists the anomalies of all incidents that are not over, in the
// incidents' order.
func (s *server) apiAnomalies(w http.ResponseWriter, _ *http.Request) {
	list := []jsonAnomaly{}
	for _, inc := range s.Incidents() {
		if inc.State == incident.Resolved {
			continue
		}
		for i := range inc.Anomalies {
			a := s.jsonAnomaly(&inc.Anomalies[i], false)
			a.Incident = inc.ID
			list = append(list, a)
		}
	}
	s.respond(w, map[string]any{"anomalies": list})
}

func (s *server) jsonIncident(inc *incident.Incident, trails bool) jsonIncident {
	j := jsonIncident{
		ID: inc.ID, URL: s.external("/incidents/" + pathEscape(inc.ID)), State: string(inc.State), Severity: string(inc.Severity),
		Onset: inc.Onset.UTC(), Opened: inc.Opened.UTC(), Resolved: inc.Resolved.UTC(), Why: inc.Why, Known: inc.Known, Guess: inc.Guess,
		Causes: []jsonCandidate{}, Effects: []jsonEffect{}, Changes: []jsonSuspect{}, Harm: append([]string{}, inc.Harm...),
		Anomalies: []jsonAnomaly{}, NotPaged: append([]string{}, inc.NotPaged...), Sent: []jsonSent{}, Log: []jsonNote{},
		Services: []string{}, Last: inc.Last.UTC(),
	}
	if lead, ok := inc.Lead(); ok {
		seconds := number(lead.Seconds())
		j.First, j.Lead = inc.FirstAlert.UTC(), &seconds
	}
	for _, c := range inc.Causes {
		j.Causes = append(j.Causes, jsonCandidate{Service: s.ServiceName(c.Service), Confidence: number(c.Confidence), Reason: c.Reason, Onset: c.Onset.UTC()})
	}
	for _, e := range inc.Effects {
		j.Effects = append(j.Effects, jsonEffect{Service: s.ServiceName(e.Service), Onset: e.Onset.UTC(), Offset: number(e.Offset.Seconds()), What: e.What, Suffers: e.Suffers})
	}
	for _, c := range inc.Changes {
		j.Changes = append(j.Changes, jsonSuspect{jsonChange: s.jsonChange(c.Change), Suspect: c.Suspect, Reason: c.Reason})
	}
	if r := inc.Rollback; r != nil {
		j.Rollback = &jsonRollback{Change: r.Change.ID, Text: r.Text, Command: r.Command}
	}
	for i := range inc.Anomalies {
		j.Anomalies = append(j.Anomalies, s.jsonAnomaly(&inc.Anomalies[i], trails))
	}
	for _, v := range inc.Sent {
		j.Sent = append(j.Sent, jsonSent{Severity: string(v.Severity), Time: v.Time.UTC(), Labels: orEmpty(v.Labels)})
	}
	for _, v := range inc.Services {
		j.Services = append(j.Services, s.ServiceName(v))
	}
	for _, n := range inc.Log {
		j.Log = append(j.Log, jsonNote{Time: n.Time.UTC(), Text: n.Text})
	}
	return j
}

func (s *server) jsonAnomaly(a *incident.Anomaly, trail bool) jsonAnomaly {
	j := jsonAnomaly{
		Rule: a.Rule, Series: a.Series, Service: s.ServiceName(a.Service), Signal: string(a.Signal), Kind: a.Kind, Up: a.Up,
		Onset: a.Onset.UTC(), End: a.End.UTC(), Value: number(a.Value), Expected: number(a.Expected), Score: number(a.Score),
		Unit: s.unitName(a), Unsure: a.Unsure, Doubts: a.Doubts,
	}
	if a.Caller != "" {
		j.Caller = s.ServiceName(a.Caller)
	}
	if f := a.Limit; !f.Earliest.IsZero() {
		j.Limit = &jsonLimit{Earliest: f.Earliest.UTC(), Latest: f.Latest.UTC()}
	}
	if trail {
		for _, p := range a.Trail {
			j.Trail = append(j.Trail, jsonPoint{Time: p.Time.UTC(), Value: number(p.Value), Expected: number(p.Expected),
				Lower: number(p.Lower), Upper: number(p.Upper), Score: number(p.Score)})
		}
	}
	return j
}

func (s *server) jsonChange(c change.Change) jsonChange {
	return jsonChange{ID: c.ID, Time: c.Time.UTC(), Service: s.ServiceName(c.Service), Kind: c.Kind, From: c.From, To: c.To, Title: c.Title, Until: c.Until.UTC()}
}

// defaultPast is how far back the lists of changes reach unless told otherwise.
const defaultPast = 24 * time.Hour

func (s *server) apiChanges(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	since, err := paramTime(r, "since", s.Now().Add(-defaultPast))
	if err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	list := []jsonChange{}
	for _, c := range s.Changes(since) {
		list = append(list, s.jsonChange(c))
	}
	s.respond(w, map[string]any{"changes": list})
}

// refused answers to whoever may not change anything here, and says so.
func (s *server) refused(w http.ResponseWriter, r *http.Request, what string) bool {
	if s.ChangesToken == "" {
		s.respondErrorCode(w, http.StatusForbidden, errorUnavailable,
			fmt.Errorf("%s is off: start with --web.changes-token-file=FILE and send the token in that file as `Authorization: Bearer TOKEN`", what))
		return true
	}
	if !authorized(r, s.ChangesToken) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="changes"`)
		s.respondErrorCode(w, http.StatusUnauthorized, errorBadData,
			errors.New("wrong or missing token: send the one of --web.changes-token-file as `Authorization: Bearer TOKEN`"))
		return true
	}
	return false
}

// apiAct takes what an operator does with an open incident: accept the present
// level as normal, mark it as false, or close it.
func (s *server) apiAct(w http.ResponseWriter, r *http.Request) {
	kind := r.PathValue("act")
	if !slices.Contains(incident.ActKinds(), kind) {
		s.respondError(w, errorNotFound, fmt.Errorf("there is no act %q: POST to …/%s", kind, strings.Join(incident.ActKinds(), ", …/")))
		return
	}
	if s.Act == nil {
		s.respondErrorCode(w, http.StatusForbidden, errorUnavailable, errors.New("this server takes no acts"))
		return
	}
	if s.refused(w, r, "acting on incidents") {
		return
	}
	inc := s.find(r.PathValue("id"))
	if inc == nil {
		s.respondError(w, errorNotFound, errUnknownIncident(r.PathValue("id")))
		return
	}
	if inc.State != incident.Open {
		s.respondErrorCode(w, http.StatusConflict, errorBadData, fmt.Errorf("incident %s is %s: only an open one can be accepted, marked as false or closed", inc.ID, inc.State))
		return
	}
	if err := s.Act(incident.Act{Incident: inc.ID, Kind: kind, Time: s.Now()}); err != nil {
		s.respondError(w, errorUnavailable, err)
		return
	}
	s.respond(w, map[string]string{"id": inc.ID, "act": kind})
}

// apiAddChange takes a change, of one service or of several, from whoever knows the token.
func (s *server) apiAddChange(w http.ResponseWriter, r *http.Request) {
	if s.AddChange == nil {
		s.respondErrorCode(w, http.StatusForbidden, errorUnavailable, errors.New("this server takes no changes"))
		return
	}
	if s.refused(w, r, "posting changes") {
		return
	}
	list, err := s.DecodeChange(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			s.respondErrorCode(w, http.StatusRequestEntityTooLarge, errorBadData, fmt.Errorf("the change is larger than %d bytes", tooLarge.Limit))
			return
		}
		s.respondError(w, errorBadData, fmt.Errorf("the change cannot be read: %w", err))
		return
	}
	kept := make([]jsonChange, 0, len(list))
	for _, c := range list {
		err := s.AddChange(r.Context(), c)
		var taken change.ErrTaken
		switch {
		case errors.As(err, &taken):
			s.respondErrorCode(w, http.StatusConflict, errorBadData, fmt.Errorf("the change was not kept: %w", err))
			return
		case err != nil:
			s.Logger.Error("a posted change was not kept", "err", err)
			s.respondError(w, errorInternal, fmt.Errorf("the change was not kept: %w", err))
			return
		}
		kept = append(kept, s.jsonChange(c))
	}
	if len(kept) == 1 {
		s.respond(w, kept[0])
		return
	}
	s.respond(w, map[string]any{"changes": kept})
}
