package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bodyLimit bounds one webhook request; Alertmanager's are a few KiB.
const bodyLimit = 4 << 20

// Notification is what Alertmanager sent to a webhook receiver in one request.
type Notification struct {
	Path         string            `json:"-"` // of the webhook's URL, to tell receivers apart
	Receiver     string            `json:"receiver"`
	Status       string            `json:"status"` // firing, or resolved when all its alerts are
	GroupKey     string            `json:"groupKey"`
	GroupLabels  map[string]string `json:"groupLabels"`
	CommonLabels map[string]string `json:"commonLabels"`
	Alerts       []NotifiedAlert   `json:"alerts"`
}

// NotifiedAlert is one alert of a notification.
type NotifiedAlert struct {
	Status       string            `json:"status"` // firing or resolved
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // zero while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// String is one line per alert, for failure messages.
func (n Notification) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s%s, group %v", n.Status, n.Receiver, n.Path, n.GroupLabels)
	for _, a := range n.Alerts {
		fmt.Fprintf(&b, "\n    %s %v since %s", a.Status, a.Labels, a.StartsAt.Format(time.RFC3339))
	}
	return b.String()
}

// WebhookReceiver is a webhook receiver of Alertmanager that records what it gets, in order.
type WebhookReceiver struct {
	URL string // http://127.0.0.1:port, without a trailing slash; every path is received

	mu      sync.Mutex
	got     []Notification
	changed chan struct{} // closed and replaced when got grows
}

// Webhook starts a webhook receiver; it ends with the test.
func Webhook(t testing.TB) *WebhookReceiver {
	t.Helper()
	w := &WebhookReceiver{changed: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var n Notification
		if err := json.NewDecoder(io.LimitReader(r.Body, bodyLimit)).Decode(&n); err != nil {
			t.Errorf("webhook: not a notification of Alertmanager: %v", err)
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		n.Path = r.URL.Path
		w.add(n)
	}))
	t.Cleanup(srv.Close)
	w.URL = srv.URL
	return w
}

func (w *WebhookReceiver) add(n Notification) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, n)
	close(w.changed)
	w.changed = make(chan struct{})
}

// Notifications returns what was received so far, oldest first.
func (w *WebhookReceiver) Notifications() []Notification {
	got, _ := w.snapshot()
	return got
}

func (w *WebhookReceiver) snapshot() ([]Notification, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got), w.changed
}

// Wait returns all notifications as soon as done is true of them; it is asked now and after each
// notification. When ctx ends first, the error lists what was received.
func (w *WebhookReceiver) Wait(ctx context.Context, done func([]Notification) bool) ([]Notification, error) {
	for {
		got, changed := w.snapshot()
		if done(got) {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			lines := make([]string, len(got))
			for i, n := range got {
				lines[i] = fmt.Sprintf("%d. %v", i+1, n)
			}
			return got, fmt.Errorf("wait for notifications: %w; received %d:\n%s", context.Cause(ctx), len(got), strings.Join(lines, "\n"))
		}
	}
}
