package engine

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/foreshock/foreshock/alertmanager"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

// lapse is how far in the future the end of an open incident's alert lies, in
// holds: a crash shorter than lapse × hold resolves nothing.
const lapse = 2

// leastLapse is how far it lies at least: several times as far as delivery takes
// to send it again.
const leastLapse = 4 * time.Minute

// resolvedFor is how long a resolved incident is still handed to delivery.
const resolvedFor = 15 * time.Minute

// deliver hands all alerts to delivery that shall be alive. While the past is
// replayed, and in shadow mode, nothing is; what ended in the past and was
// never told to anybody is not told now.
func (e *Engine) deliver(now time.Time) {
	if !e.live || e.o.Deliver == nil || e.config.Mode == incident.ModeShadow {
		return
	}
	var out []alertmanager.Alert
	for _, i := range e.open {
		if i.State == incident.Open {
			e.told[i.ID] = true
			out = append(out, e.alertsOf(i, e.lapses(now))...)
		}
	}
	// Replicas resolve by lapse: one that has seen enough must not end what
	// another still sees.
	if e.o.Active == nil {
		for k := len(e.recent) - 1; k >= 0 && now.Sub(e.recent[k].Resolved) < resolvedFor; k-- {
			if e.told[e.recent[k].ID] {
				// After the clock was set back the end would lie ahead, and the alert fire again.
				ends := e.recent[k].Resolved
				if ends.After(now) {
					ends = now
				}
				out = append(out, e.alertsOf(e.recent[k], ends)...)
			}
		}
	}
	e.o.Deliver(now, out)
}

// Carry hands the alerts of incidents that the journal has open to delivery,
// so that they stay alive while the past is still being replayed.
func (e *Engine) Carry(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live || e.o.Deliver == nil || e.o.Journal == nil || e.config.Mode == incident.ModeShadow {
		return
	}
	var out []alertmanager.Alert
	for _, i := range e.o.Journal.Past() {
		if i.State == incident.Open {
			out = append(out, e.alertsOf(i, e.lapses(now))...)
		}
	}
	e.o.Deliver(now, out)
}

// lapses is when the alert of an open incident ends unless it is sent again.
func (e *Engine) lapses(now time.Time) time.Time {
	return now.Add(max(lapse*e.config.Hold, leastLapse))
}

func (e *Engine) alertsOf(i *incident.Incident, ends time.Time) []alertmanager.Alert {
	annotations := e.annotations(i, e.topology.At(e.lastTick))
	var out []alertmanager.Alert
	for _, s := range i.Sent {
		out = append(out, alertmanager.Alert{
			Labels:      labels.FromMap(s.Labels),
			Annotations: labels.FromMap(annotations),
			StartsAt:    s.Time, EndsAt: ends, GeneratorURL: annotations["incident_url"],
		})
	}
	return out
}

// Annotations are the words of an incident's alert as they are now.
func (e *Engine) Annotations(i *incident.Incident) map[string]string {
	return e.annotations(i, e.Graph())
}

func (e *Engine) annotations(i *incident.Incident, g *topology.Graph) map[string]string {
	out := i.Annotations()
	if e.o.ExternalURL != nil {
		out["incident_url"] = strings.TrimSuffix(e.o.ExternalURL.String(), "/") + "/incidents/" + i.ID
	}
	if len(i.Causes) > 0 && i.Known {
		if n, ok := g.Node(i.Causes[0].Service); ok && n.Runbook != "" {
			out["runbook_url"] = n.Runbook
		}
	}
	return out
}
