package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

type jsonTarget struct {
	DiscoveredLabels   map[string]string `json:"discoveredLabels"`
	Labels             map[string]string `json:"labels"`
	ScrapePool         string            `json:"scrapePool"`
	ScrapeURL          string            `json:"scrapeUrl"`
	GlobalURL          string            `json:"globalUrl"`
	LastError          string            `json:"lastError"`
	LastScrape         time.Time         `json:"lastScrape"`
	LastScrapeDuration number            `json:"lastScrapeDuration"`
	Health             Health            `json:"health"`
	ScrapeInterval     string            `json:"scrapeInterval"`
	ScrapeTimeout      string            `json:"scrapeTimeout"`
}

type jsonDropped struct {
	DiscoveredLabels map[string]string `json:"discoveredLabels"`
	ScrapePool       string            `json:"scrapePool"`
}

type jsonTargets struct {
	Active  []jsonTarget   `json:"activeTargets"`
	Dropped []jsonDropped  `json:"droppedTargets"`
	Counts  map[string]int `json:"droppedTargetCounts"`
}

// apiTargets lists targets in Prometheus's shape; state (active, dropped, any)
// and scrapePool select.
func (s *server) apiTargets(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	pool, state := r.FormValue("scrapePool"), strings.ToLower(r.FormValue("state"))
	active := state == "" || state == "any" || state == "active"
	dropped := state == "" || state == "any" || state == "dropped"
	out := jsonTargets{Active: []jsonTarget{}, Dropped: []jsonDropped{}}
	if dropped {
		out.Counts = map[string]int{}
	}
	for _, p := range s.Targets() {
		if dropped {
			out.Counts[p.Job] = p.DroppedCount
		}
		if pool != "" && p.Job != pool {
			continue
		}
		for i := range p.Targets {
			if active {
				out.Active = append(out.Active, apiTarget(p.Job, &p.Targets[i]))
			}
		}
		for _, labels := range p.Dropped {
			if dropped {
				out.Dropped = append(out.Dropped, jsonDropped{DiscoveredLabels: orEmpty(labels), ScrapePool: p.Job})
			}
		}
	}
	s.respond(w, out)
}

func apiTarget(job string, t *Target) jsonTarget {
	j := jsonTarget{DiscoveredLabels: orEmpty(t.DiscoveredLabels), Labels: orEmpty(t.Labels), ScrapePool: job, ScrapeURL: t.URL, GlobalURL: t.URL,
		LastError: t.Error, LastScrape: t.LastScrape.UTC(), LastScrapeDuration: number(t.Duration.Seconds()), Health: t.Health,
		ScrapeInterval: model.Duration(t.Interval).String(), ScrapeTimeout: model.Duration(t.Timeout).String()}
	if j.Health == "" {
		j.Health = HealthUnknown
	}
	return j
}

func (s *server) apiScrapePools(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	for _, p := range s.Targets() {
		names = append(names, p.Job)
	}
	s.respond(w, map[string][]string{"scrapePools": names})
}

// apiAlertmanagers lists where alerts go to in Prometheus's shape.
func (s *server) apiAlertmanagers(w http.ResponseWriter, _ *http.Request) {
	type one struct {
		URL string `json:"url"`
	}
	active := []one{}
	for _, a := range s.Status().Alertmanagers {
		active = append(active, one{a.URL})
	}
	s.respond(w, map[string][]one{"activeAlertmanagers": active, "droppedAlertmanagers": {}})
}
