//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pager takes alerts as an Alertmanager does and watches over them: a label set
// fires once and is resolved once, does not lapse, and keeps its start.
type pager struct {
	*httptest.Server

	mu     sync.Mutex
	seen   map[string]*paged // by labels
	wrong  []string          // what must not happen
	onPost func()            // called before a post of ours is answered; may be nil
}

// paged is one label set.
type paged struct {
	labels       map[string]string
	starts, ends time.Time
	resolved     bool
	posts        int
	last         time.Time
}

func newPager(t *testing.T) *pager {
	t.Helper()
	p := &pager{seen: map[string]*paged{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "[]") // it is asked what fires
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was killed within it: nothing was taken
		}
		var posted []struct {
			Labels           map[string]string `json:"labels"`
			StartsAt, EndsAt time.Time
		}
		if err := json.Unmarshal(body, &posted); err != nil {
			p.say("a post that is no alerts: %v: %.200s", err, body)
			return
		}
		for _, a := range posted {
			if a.Labels["generator"] == "foreshock" {
				p.take(a.Labels, a.StartsAt, a.EndsAt)
			}
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *pager) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *pager) take(labels map[string]string, starts, ends time.Time) {
	now := time.Now()
	var key strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&key, "%s=%q,", k, labels[k])
	}
	p.mu.Lock()
	wrong := func(format string, args ...any) {
		p.wrong = append(p.wrong, now.Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...)+": "+key.String())
	}
	was := p.seen[key.String()]
	resolved := !ends.After(now)
	switch {
	case was == nil && resolved:
		wrong("resolved before it fired")
		fallthrough
	case was == nil:
		was = &paged{labels: labels, starts: starts}
		p.seen[key.String()] = was
	case was.resolved && !resolved:
		wrong("fires again after it was resolved at %s", was.ends.Format(time.TimeOnly))
	case !was.resolved && was.ends.Before(now):
		wrong("lapsed at %s", was.ends.Format(time.TimeOnly))
	case !was.starts.Equal(starts):
		wrong("starts at %s, before at %s", starts, was.starts)
	case was.resolved && !was.ends.Equal(ends):
		wrong("resolved at %s, before at %s", ends, was.ends)
	}
	was.ends, was.resolved, was.last = ends, resolved, now
	was.posts++
	do := p.onPost
	p.mu.Unlock()
	if do != nil {
		do()
	}
}

// of returns the label sets of a service.
func (p *pager) of(service string) (out []paged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.seen {
		if a.labels["service"] == service {
			out = append(out, *a)
		}
	}
	return out
}

// await waits for what a service's label sets come to.
func (p *pager) await(t *testing.T, log *buffer, what, service string, ok func([]paged) bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok(p.of(service)) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute: the label sets of %s are %+v\n%s", what, service, p.of(service), log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// check fails the test for what must not have happened.
func (p *pager) check(t *testing.T, when string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		t.Errorf("%s: %s", when, w)
	}
	if len(p.wrong) > 0 {
		t.FailNow()
	}
}
