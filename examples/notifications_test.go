package examples

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/peers"
	"github.com/foreshock/foreshock/internal/topology"
)

// night is when the incident of the notifications begins.
var night = time.Date(2026, 3, 14, 2, 14, 0, 0, time.UTC)

// nightReading is a series of the night: calm at base, and at peak from some second on.
type nightReading struct {
	service    topology.Service
	rule, unit string
	signal     incident.Signal
	base, peak float64
	after      int // seconds
}

// nightIncident is an incident as the correlator makes it: payments rolls out a version
// whose queries are slow, the database saturates, checkout and the frontend suffer.
// It is returned as a ticket, as a page, and when it is over.
func nightIncident(t *testing.T) (ticket, page, over *incident.Incident) {
	t.Helper()
	c, err := incident.New(incident.Options{
		Mode: incident.ModePage, Interval: 15 * time.Second, Settle: 45 * time.Second, Hold: 5 * time.Minute,
		Command: func(ch change.Change) string {
			return fmt.Sprintf("kubectl -n shop rollout undo deployment/%s && echo <done>", ch.Service)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := topology.NewGraph([]topology.Node{{Service: "frontend", Entry: true}, {Service: "database", Kind: topology.Database}}, []topology.Edge{
		{Caller: "frontend", Callee: "checkout", Rate: 200}, {Caller: "checkout", Callee: "payments", Rate: 100}, {Caller: "payments", Callee: "database", Rate: 300},
		{Caller: "checkout", Callee: "inventory", Rate: 100},
	})
	readings := []nightReading{
		{"payments", "QueryTime", "seconds", incident.Saturation, 0.02, 0.4, 0},
		{"payments", "Latency", "seconds", incident.Latency, 0.084, 1.42, 15},
		{"database", "PoolInUse", "ratio", incident.Saturation, 0.41, 1, 30},
		{"checkout", "Latency", "seconds", incident.Latency, 0.19, 3.1, 45},
		{"frontend", "Errors", "ratio", incident.Errors, 0.001, 0.18, 420},
		{"frontend", "Latency", "seconds", incident.Latency, 0.24, 3.3, 420},
	}
	changes := []change.Change{
		{ID: "a", Time: night.Add(-40 * time.Second), Service: "payments", Kind: "deploy", From: "1.4.2", To: "1.5.0"},
		{ID: "b", Time: night.Add(-3 * time.Minute), Service: "inventory", Kind: "deploy", From: "7.0.3", To: "7.1.0"},
	}
	for now := night.Add(-5 * time.Minute); now.Before(night.Add(40 * time.Minute)); now = now.Add(15 * time.Second) {
		in := incident.Input{Graph: g, Changes: changes}
		second := int(now.Sub(night).Seconds())
		for _, r := range readings {
			in.Readings = append(in.Readings, r.at(now, second))
		}
		if second >= 120 && second < 900 {
			in.Alerts = append(in.Alerts, incident.Alert{Name: "CheckoutSlow", Service: "checkout", Severity: "warning", Since: night.Add(2 * time.Minute), Labels: map[string]string{"alertname": "CheckoutSlow"}})
		}
		for _, i := range c.Step(now, in).Incidents {
			switch {
			case i.State == incident.Resolved:
				return ticket, page, i
			case i.Severity == incident.Ticket:
				ticket = i
			case i.Severity == incident.Page && second < 600:
				page = i
			}
		}
	}
	t.Fatalf("the incident is not over: ticket %v, page %v", ticket != nil, page != nil)
	return nil, nil, nil
}

func (r nightReading) at(now time.Time, second int) incident.Reading {
	wave := 1 - 0.03*math.Abs(math.Sin(float64(second)))
	out := incident.Reading{
		Time: now, Rule: r.rule, Series: fmt.Sprintf("{service=%q}", r.service), Service: r.service, Signal: r.signal, Unit: r.unit,
		Value: r.base * wave, Expected: r.base, Lower: 0.8 * r.base, Upper: 1.2 * r.base, Kind: "shift",
	}
	if second >= r.after && second < 900 {
		rise := 1 - math.Exp(-float64(second-r.after+15)/60)
		out.Value, out.Score, out.Up, out.Anomalous, out.Onset = (r.base+(r.peak-r.base)*rise)*wave, 6, true, true, night.Add(time.Duration(r.after)*time.Second)
	}
	return out
}

// sinks take what Alertmanager sends to Slack, PagerDuty and by mail.
type sinks struct {
	http *httptest.Server
	mail net.Listener

	mu      sync.Mutex
	got     map[string][]string // by sink, in order
	changed chan struct{}
}

func newSinks(t *testing.T) *sinks {
	t.Helper()
	s := &sinks{got: map[string][]string{}, changed: make(chan struct{}, 100)}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		s.add(strings.Trim(r.URL.Path, "/"), readable(body, ""))
		if strings.Contains(r.URL.Path, "pagerduty") {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		fmt.Fprint(w, "ok") // as Slack says it
	}))
	var err error
	if s.mail, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var mails sync.WaitGroup
	mails.Go(func() {
		for {
			conn, err := s.mail.Accept()
			if err != nil {
				return
			}
			mails.Go(func() {
				defer conn.Close()
				if text, err := takeMail(conn); err != nil {
					t.Errorf("mail: %v", err)
				} else if text != "" {
					s.add("mail", text)
				}
			})
		}
	})
	t.Cleanup(func() {
		s.http.Close()
		s.mail.Close()
		mails.Wait()
	})
	return s
}

func (s *sinks) add(sink, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got[sink] = append(s.got[sink], text)
	s.changed <- struct{}{}
}

func (s *sinks) count(sink string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got[sink])
}

// readable writes JSON with its texts as they are, the keys in order.
func readable(v any, indent string) string {
	switch v := v.(type) {
	case map[string]any:
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(v)) {
			text := readable(v[k], indent+"  ")
			if strings.Contains(text, "\n") {
				text = "\n" + strings.TrimPrefix(text, "\n")
			}
			if text != "" && k != "dedup_key" {
				fmt.Fprintf(&b, "\n%s%s: %s", indent, k, text)
			}
		}
		return b.String()
	case []any:
		var b strings.Builder
		for _, item := range v {
			b.WriteString("\n" + indent + "-" + readable(item, indent+"  "))
		}
		return b.String()
	case string:
		if strings.Contains(v, "\n") {
			return indent + strings.ReplaceAll(strings.TrimSpace(v), "\n", "\n"+indent)
		}
		return v
	}
	return fmt.Sprint(v)
}

// takeMail speaks SMTP until the client quits and returns the mail: the subject and its parts.
func takeMail(conn net.Conn) (text string, err error) {
	r := bufio.NewReader(conn)
	say := func(line string) { fmt.Fprint(conn, line+"\r\n") }
	say("220 sink")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return text, nil // it only looked
		}
		switch command := strings.ToUpper(strings.Fields(line + " .")[0]); command {
		case "DATA":
			say("354 go on")
			var raw strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return "", err
				}
				if strings.TrimRight(line, "\r\n") == "." {
					break
				}
				raw.WriteString(strings.TrimPrefix(line, "."))
			}
			if text, err = parts(raw.String()); err != nil {
				return "", err
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return text, nil
		default:
			say("250 sink")
		}
	}
}

func parts(raw string) (string, error) {
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return "", err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return "", err
	}
	out := "To: " + m.Header.Get("To") + "\nSubject: " + subject
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			return "", err
		}
		out += "\n\n--- " + p.Header.Get("Content-Type") + "\n" + strings.ReplaceAll(string(b), "\r\n", "\n")
	}
}

// told is an alert of an incident as the engine hands it to delivery.
type told struct {
	Labels, Annotations map[string]string
	StartsAt            time.Time
}

func toldOf(i *incident.Incident, which int) told {
	an := i.Annotations()
	an["incident_url"], an["runbook_url"] = "https://foreshock.example.org/incidents/"+i.ID, "https://runbooks.example.org/payments"
	return told{i.Sent[which].Labels, an, i.Sent[which].Time}
}

func (a told) alert(ends time.Time) alertmanager.Alert {
	return alertmanager.Alert{
		Labels: labels.FromMap(a.Labels), Annotations: labels.FromMap(a.Annotations), StartsAt: a.StartsAt, EndsAt: ends, GeneratorURL: a.Annotations["incident_url"],
	}
}

// recorded are the alerts of an incident that was lived through once: the ticket,
// then the page, and both when it was over. What an incident says may change
// without another look at the templates; -record lives through it again.
func recorded(t *testing.T) (r struct{ Ticket, Page, TicketOver, PageOver told }) {
	t.Helper()
	file := filepath.Join("testdata", "incident.json")
	if *record {
		ticket, page, over := nightIncident(t)
		if ticket == nil || page == nil {
			t.Fatalf("ticket %v, page %v: want both", ticket != nil, page != nil)
		}
		r.Ticket, r.Page, r.TicketOver, r.PageOver = toldOf(ticket, 0), toldOf(page, 1), toldOf(over, 0), toldOf(over, 1)
		b, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The shipped templates, rendered by the real Alertmanager: a ticket, its page,
// and the end, as Slack, PagerDuty and the mail server get them.
func TestNotifications(t *testing.T) {
	r, later := recorded(t), time.Now().Add(time.Hour)
	s := newSinks(t)
	sender := towards(t, peers.Alertmanager(t, pointed(t, s)))
	until := func(sink string, n int, alerts ...alertmanager.Alert) {
		t.Helper()
		late := time.NewTimer(time.Minute)
		defer late.Stop()
		if len(alerts) > 0 {
			sender.Put(time.Now(), alerts)
		}
		for s.count(sink) < n {
			select {
			case <-s.changed:
			case <-late.C:
				t.Fatalf("%s got %d notifications, want %d", sink, s.count(sink), n)
			}
		}
	}
	until("mail", 1, r.Ticket.alert(later))
	until("slack", 1)
	until("pagerduty", 1, r.Ticket.alert(later), r.Page.alert(later))
	until("slack", 2)
	until("pagerduty", 2, r.TicketOver.alert(time.Now()), r.PageOver.alert(time.Now()))
	until("mail", 2)
	until("slack", 4)

	var b strings.Builder
	for _, sink := range []string{"pagerduty", "slack", "mail"} {
		for n, text := range s.got[sink] {
			if sink == "slack" && n == 3 {
				continue // the ends of ticket and page read the same, in either order
			}
			fmt.Fprintf(&b, "======== %s %d\n%s\n\n", sink, n+1, strings.TrimSpace(text))
		}
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(b.String(), s.http.URL, "http://sink")) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	got := strings.Join(lines, "\n") + "\n"
	golden := filepath.Join("testdata", "notifications.txt")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

// pointed is the shipped configuration with everything sent to the sinks.
func pointed(t *testing.T, s *sinks) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("alertmanager", "notifications.yml"))
	if err != nil {
		t.Fatal(err)
	}
	templates, err := filepath.Abs(filepath.Join("alertmanager", "foreshock.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, r := range [][2]string{
		{"smtp_smarthost: smtp.example.org:587", "smtp_require_tls: false\n  smtp_smarthost: " + s.mail.Addr().String()},
		{"slack_api_url_file: /etc/alertmanager/slack-url", "slack_api_url: " + s.http.URL + "/slack"},
		{"routing_key_file: /etc/alertmanager/pagerduty-key", "routing_key: key\n        url: " + s.http.URL + "/pagerduty"},
		{"templates: [foreshock.tmpl]", "templates: [" + templates + "]"},
		{"group_interval: 1m", "group_interval: 1s"},
	} {
		if !strings.Contains(text, r[0]) {
			t.Fatalf("notifications.yml has no %q any more", r[0])
		}
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	return text
}

// towards runs a sender to an Alertmanager until the test ends.
func towards(t *testing.T, am *peers.Process) *alertmanager.Sender {
	t.Helper()
	s, err := alertmanager.New(alertmanager.Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(fmt.Sprintf("alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}", strings.TrimPrefix(am.URL, "http://")), promslog.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	peers.Run(t, s.Run)
	return s
}
