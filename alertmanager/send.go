package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

const (
	answerLimit  = 64 << 10 // bytes read of an answer to a send
	excerptLimit = 200      // bytes of an answer that a message shows
)

// outage is a time in which an Alertmanager takes nothing.
type outage struct {
	since    time.Time
	attempts int
}

// send is the notifier's HTTP request: it sees each attempt, and through the payload which alerts it was for.
func (s *Sender) send(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.sends++
	if client != nil {
		s.clients[client] = struct{}{}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sends--; s.sends == 0 {
			s.idle.Broadcast()
		}
	}()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.abandoned, cancel)()

	target := req.URL.String()
	alerts, err := payload(req)
	if err != nil {
		return nil, fmt.Errorf("read the alerts of a request to %s: %w", target, err)
	}
	resp, err := s.exchange(ctx, client, req)
	switch {
	case err != nil:
		s.failed(target, alerts, err.Error())
		return nil, err
	case resp.StatusCode/100 != 2:
		s.failed(target, alerts, refusal(resp))
	default:
		s.taken(target, alerts)
	}
	return resp, nil
}

// exchange returns an answer whose body is in memory, so that the request's context can end with send.
func (s *Sender) exchange(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	if err := s.abandoned.Err(); err != nil {
		return nil, fmt.Errorf("shutting down: %w", err)
	}
	resp, err := s.opts.do(ctx, client, req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	// The answer's status decides; a body that breaks off after it changes nothing.
	_ = resp.Body.Close()
	if err != nil {
		body = nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// refusal says what an answer that is not 2xx says, and leaves its body as it was.
func refusal(resp *http.Response) string {
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	text := strings.TrimSpace(string(body))
	if err != nil || text == "" {
		return resp.Status
	}
	if len(text) > excerptLimit {
		text = strings.ToValidUTF8(text[:excerptLimit], "") + " …"
	}
	return resp.Status + ": " + text
}

// wireAlert is what identifies an alert in a request.
type wireAlert struct {
	hash   uint64
	endsAt int64 // Unix milliseconds, the precision of the payload
}

func payload(req *http.Request) ([]wireAlert, error) {
	if req.GetBody == nil {
		return nil, fmt.Errorf("its body cannot be read twice")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	var posted []struct {
		Labels map[string]string `json:"labels"`
		EndsAt time.Time         `json:"endsAt"`
	}
	if err := json.NewDecoder(body).Decode(&posted); err != nil {
		return nil, err
	}
	out := make([]wireAlert, len(posted))
	for i, a := range posted {
		out[i] = wireAlert{hash: labels.FromMap(a.Labels).Hash(), endsAt: a.EndsAt.UnixMilli()}
	}
	return out, body.Close()
}

// taken notes that an Alertmanager took these alerts.
func (s *Sender) taken(target string, alerts []wireAlert) {
	s.metrics.sent.Add(float64(len(alerts)))
	sent := make(map[uint64]int64, len(alerts))
	for _, a := range alerts {
		sent[a.hash] = a.endsAt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		for _, w := range e.wires {
			// A late answer to an earlier send must not count for a resolution sent since: the ends differ.
			if endsAt, ok := sent[w]; ok && endsAt == e.endsAt {
				e.history.taken = true
			}
		}
	}
	if o := s.outages[target]; o != nil {
		delete(s.outages, target)
		s.log.Info("Alertmanager takes alerts again", "alertmanager", target,
			"after", time.Since(o.since).Round(time.Second), "failed_attempts", o.attempts)
	}
}

// failed notes that an Alertmanager did not take these alerts; it is said in the log once per outage.
func (s *Sender) failed(target string, alerts []wireAlert, reason string) {
	s.metrics.failed.Add(float64(len(alerts)))
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outages[target]
	if o == nil {
		o = &outage{since: time.Now()}
		s.outages[target] = o
		s.log.Warn("Alertmanager does not take alerts; they are sent again until one does", "alertmanager", target, "err", reason)
	}
	o.attempts++
}

// awaitSends returns when no request is under way. Each ends by its own time-out, or by abandon.
func (s *Sender) awaitSends() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sends > 0 {
		s.idle.Wait()
	}
}

// closeClients ends the connections that the notifier's and our clients keep open.
func (s *Sender) closeClients() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		c.CloseIdleConnections()
	}
	clear(s.clients)
	s.routing.close()
}

// attemptsToDebug is the notifier's log: its two messages that come once per attempt are for debugging only,
// since an outage is logged here once, when it begins and when it ends.
type attemptsToDebug struct{ slog.Handler }

func (h attemptsToDebug) Handle(ctx context.Context, r slog.Record) error {
	switch r.Message {
	case "Error sending alerts", "Alert notification queue full, dropping alerts":
		if !h.Enabled(ctx, slog.LevelDebug) {
			return nil
		}
		r.Level = slog.LevelDebug
	}
	return h.Handler.Handle(ctx, r)
}

func (h attemptsToDebug) WithAttrs(attrs []slog.Attr) slog.Handler {
	return attemptsToDebug{h.Handler.WithAttrs(attrs)}
}

func (h attemptsToDebug) WithGroup(name string) slog.Handler {
	return attemptsToDebug{h.Handler.WithGroup(name)}
}
