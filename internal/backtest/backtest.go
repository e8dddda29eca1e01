// Package backtest runs the engine over the past.
package backtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// Options of a backtest.
type Options struct {
	Config engine.Config // as in production; a case's topology is added to it
	Query  source.QueryOptions
	Logger *slog.Logger
	// Progress is told how far the case is, between 0 and 1; may be nil.
	Progress func(c *Case, done float64)
}

// Sent is one incident that was (or in shadow mode would have been) sent, as
// the first notification said it.
type Sent struct {
	Case       string     `json:"case"`
	Time       time.Time  `json:"time"`
	Resolved   *time.Time `json:"resolved"`
	Severity   string     `json:"severity"`
	Causes     []string   `json:"causes"`
	Known      bool       `json:"known"`
	Effects    []string   `json:"effects"`
	Change     string     `json:"change"`
	Confidence float64    `json:"confidence"`
	Summary    string     `json:"summary"`
}

// Run replays a case and returns what was sent, in order of time. Same case
// and configuration give the same result, byte for byte.
func Run(ctx context.Context, c *Case, o Options) ([]Sent, error) {
	input, err := source.OpenTemporary(source.TemporaryOptions{Query: o.Query, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	defer input.Close()
	if _, _, err := input.LoadOpenMetrics(ctx, c.Files); err != nil {
		return nil, fmt.Errorf("case %s: %w", c.Name, err)
	}
	results, err := source.OpenTemporary(source.TemporaryOptions{Query: o.Query, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	defer results.Close()

	cfg := o.Config
	cfg.Declared = cfg.Declared.Merge(c.Declared)
	changes := change.NewTracker()
	e, err := engine.New(engine.Options{Config: cfg, Changes: changes, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	// Changes become known when they happen, not before.
	pending := c.Changes
	to := c.To.Add(cfg.Settle + 2*cfg.Interval)
	store := engine.ReplayStore(engine.ReplaySource{
		Input: input.Store(), Results: results, Config: cfg, From: c.From, To: to,
	})
	defer store.Close()
	if err := e.Attach(ctx, store, engine.Live{}); err != nil {
		return nil, err
	}
	rec := &recorder{name: c.Name, identity: cfg.Identity, index: map[string]int{}}
	err = e.Replay(ctx, engine.Replay{
		From: c.From, To: to,
		Before: func(now time.Time) error {
			for len(pending) > 0 && !pending[0].Time.After(now) {
				if err := changes.Add(pending[0]); err != nil {
					return fmt.Errorf("case %s: change: %w", c.Name, err)
				}
				pending = pending[1:]
			}
			return nil
		},
		Step: rec.step,
		Progress: func(at time.Time) {
			if o.Progress != nil {
				o.Progress(c, float64(at.Sub(c.From))/float64(to.Sub(c.From)))
			}
		},
	})
	return rec.sent, err
}

// recorder keeps what the first notification of each incident said.
type recorder struct {
	name     string
	identity topology.Identity
	sent     []Sent
	index    map[string]int
}

func (r *recorder) step(now time.Time, incidents []*incident.Incident) {
	for _, i := range incidents {
		if len(i.Sent) == 0 {
			continue
		}
		k, ok := r.index[i.ID]
		if !ok {
			k = len(r.sent)
			r.index[i.ID] = k
			r.sent = append(r.sent, r.first(now, i))
		}
		r.sent[k].Severity = string(i.Severity)
		if i.State == incident.Resolved {
			at := i.Resolved.UTC()
			r.sent[k].Resolved = &at
			delete(r.index, i.ID) // the name may come again
		}
	}
}

func (r *recorder) first(now time.Time, i *incident.Incident) Sent {
	s := Sent{
		Case: r.name, Time: now.UTC(), Known: i.Known, Causes: []string{}, Effects: []string{},
		Summary: i.Headline(),
	}
	for _, c := range i.Causes {
		s.Causes = append(s.Causes, r.service(c.Service))
	}
	for _, e := range i.Effects {
		s.Effects = append(s.Effects, r.service(e.Service))
	}
	if len(i.Causes) > 0 {
		s.Confidence = i.Causes[0].Confidence
	}
	if ch := i.Suspect(); ch != nil {
		s.Change = ch.ID
	}
	return s
}

// service is the label value by which a case names a service, with the further
// identity labels in front where the case has them.
func (r *recorder) service(s topology.Service) string {
	ls := r.identity.Labels(s)
	var parts []string
	for _, n := range r.identity.Names() {
		if ls[n] != "" {
			parts = append(parts, ls[n])
		}
	}
	return strings.Join(parts, "/")
}

// Write writes one JSON object a line.
func Write(w io.Writer, sent []Sent) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, s := range sent {
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return nil
}
