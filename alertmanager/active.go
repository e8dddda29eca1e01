package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

const (
	activeLimit = 16 << 20 // bytes of one answer
	readers     = 4        // Alertmanagers that are read at a time
)

// ErrNone is returned by Active when no Alertmanager is configured, or none discovered yet.
var ErrNone = errors.New("no Alertmanager is configured or discovered")

// Active reads the alerts that are active in the Alertmanagers, silenced and inhibited ones included and marked, and
// merges what they answer by label set: the earliest start, the latest end, the annotations last updated;
// silenced or inhibited when all that know the alert say so. The result is sorted by labels. Filters are Alertmanager's
// matchers, for instance `generator="foreshock"`; an alert has to match all.
//
// It fails only when no Alertmanager answered, with all their errors joined. Each is asked within the time-out of its
// configuration and may answer 16 MiB. Alertmanagers behind AWS signatures (sigv4) cannot be read.
func (s *Sender) Active(ctx context.Context, filter ...string) ([]Alert, error) {
	s.mu.Lock()
	endpoints := s.routing.endpoints()
	s.mu.Unlock()
	if len(endpoints) == 0 {
		return nil, fmt.Errorf("read active alerts: %w", ErrNone)
	}
	query := url.Values{
		"active": {"true"}, "silenced": {"true"}, "inhibited": {"true"}, "unprocessed": {"true"},
		"filter": filter,
	}.Encode()

	answers := make([][]activeAlert, len(endpoints))
	errs := make([]error, len(endpoints))
	slots := make(chan struct{}, readers)
	var wg sync.WaitGroup
	for i, e := range endpoints {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = e.read(ctx, query)
		})
	}
	wg.Wait()
	if !slices.Contains(errs, nil) {
		return nil, fmt.Errorf("read active alerts: %w", errors.Join(errs...))
	}
	for i, err := range errs {
		if err != nil {
			s.log.Debug("Alertmanager could not be read; another one was", "alertmanager", endpoints[i].url, "err", err)
		}
	}
	return merge(answers), nil
}

// activeAlert is an alert of Alertmanager's API v2.
type activeAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
	GeneratorURL string            `json:"generatorURL"`
	Status       struct {
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status"`
}

func (e endpoint) read(ctx context.Context, query string) ([]activeAlert, error) {
	if e.signed {
		return nil, fmt.Errorf("%s: its configuration has sigv4, with which alerts are sent but cannot be read", e.url)
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"?"+query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := e.client.Do(req)
	if err != nil {
		// It names method and URL, the long query included.
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err
		}
		return nil, fmt.Errorf("%s: %w", e.url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, activeLimit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: read its answer: %w", e.url, err)
	}
	if resp.StatusCode != http.StatusOK {
		text := strings.TrimSpace(string(body))
		return nil, fmt.Errorf("%s: %s: %s", e.url, resp.Status, strings.ToValidUTF8(text[:min(len(text), excerptLimit)], ""))
	}
	if len(body) > activeLimit {
		return nil, fmt.Errorf("%s: its answer has more than %d MiB; narrow the filter", e.url, activeLimit>>20)
	}
	alerts, err := decodeActive(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.url, err)
	}
	return alerts, nil
}

func decodeActive(body []byte) ([]activeAlert, error) {
	var alerts []activeAlert
	if err := json.Unmarshal(body, &alerts); err != nil {
		return nil, fmt.Errorf("not an answer of Alertmanager's API v2: %w", err)
	}
	return alerts, nil
}

func merge(answers [][]activeAlert) []Alert {
	type merged struct {
		Alert
		updated time.Time
	}
	byLabels := make(map[uint64]*merged)
	for _, answer := range answers {
		for _, a := range answer {
			ls := labels.FromMap(a.Labels)
			silenced, inhibited := len(a.Status.SilencedBy) > 0, len(a.Status.InhibitedBy) > 0
			m := byLabels[ls.Hash()]
			if m == nil {
				m = &merged{Alert: Alert{Labels: ls, StartsAt: a.StartsAt, EndsAt: a.EndsAt, Silenced: silenced, Inhibited: inhibited}}
				byLabels[ls.Hash()] = m
			}
			m.Silenced = m.Silenced && silenced
			m.Inhibited = m.Inhibited && inhibited
			if a.StartsAt.Before(m.StartsAt) {
				m.StartsAt = a.StartsAt
			}
			if a.EndsAt.After(m.EndsAt) {
				m.EndsAt = a.EndsAt
			}
			if m.updated.IsZero() || a.UpdatedAt.After(m.updated) {
				m.updated, m.Annotations, m.GeneratorURL = a.UpdatedAt, labels.FromMap(a.Annotations), a.GeneratorURL
			}
		}
	}
	out := make([]Alert, 0, len(byLabels))
	for _, m := range byLabels {
		out = append(out, m.Alert)
	}
	slices.SortFunc(out, func(a, b Alert) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}
