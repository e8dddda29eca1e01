package alertmanager

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
	"time"

	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// pathLabel is the label by which Prometheus lets relabelling change the push path.
const pathLabel = "__alerts_path__"

// routing is what the notifier does with an alert and where it sends it, as far as it does not tell:
// which labels arrive, and which client reads from which URL. It is never changed, only replaced.
type routing struct {
	external labels.Labels
	relabel  []*relabel.Config
	sets     []set
}

// set is one entry of `alertmanagers:` with what was discovered for it.
type set struct {
	id      string // as the notifier and discovery call it
	cfg     *config.AlertmanagerConfig
	client  *http.Client // for reading
	targets []string     // push URLs
}

func newRouting(cfg *config.Config) (routing, error) {
	r := routing{
		external: cfg.GlobalConfig.ExternalLabels,
		relabel:  cfg.AlertingConfig.AlertRelabelConfigs,
	}
	byID := cfg.AlertingConfig.AlertmanagerConfigs.ToMap()
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		client, err := commonconfig.NewClientFromConfig(byID[id].HTTPClientConfig, "alertmanager")
		if err != nil {
			r.close()
			return routing{}, fmt.Errorf("alerting: alertmanagers: %s: %w", id, err)
		}
		r.sets = append(r.sets, set{id: id, cfg: byID[id], client: client})
	}
	return r, nil
}

// keepTargets takes over what was discovered for entries that did not change, until discovery reports again.
func (r *routing) keepTargets(old *routing) {
	for i := range r.sets {
		for _, o := range old.sets {
			if reflect.DeepEqual(o.cfg, r.sets[i].cfg) {
				r.sets[i].targets = o.targets
			}
		}
	}
}

// withTargets returns the routing with newly discovered targets; entries that were not reported keep theirs.
func (r routing) withTargets(found map[string][]*targetgroup.Group) routing {
	r.sets = slices.Clone(r.sets)
	for i, s := range r.sets {
		if groups, ok := found[s.id]; ok {
			r.sets[i].targets = pushURLs(groups, s.cfg)
		}
	}
	return r
}

// close ends the idle connections of the reading clients.
func (r *routing) close() {
	for _, s := range r.sets {
		s.client.CloseIdleConnections()
	}
}

// configured reports whether there is any entry of `alertmanagers:`.
func (r *routing) configured() bool { return len(r.sets) > 0 }

// urls returns the push URLs, sorted, each once.
func (r *routing) urls() []string {
	var out []string
	for _, s := range r.sets {
		out = append(out, s.targets...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wires returns the hashes of the label sets under which Alertmanagers see an alert; none when relabelling
// drops it for all of them.
func (r *routing) wires(ls labels.Labels) []uint64 {
	b := labels.NewBuilder(ls)
	r.external.Range(func(l labels.Label) {
		if ls.Get(l.Name) == "" {
			b.Set(l.Name, l.Value)
		}
	})
	if !relabel.ProcessBuilder(b, r.relabel...) {
		return nil
	}
	common := b.Labels()
	var out []uint64
	for _, s := range r.sets {
		b.Reset(common)
		if !relabel.ProcessBuilder(b, s.cfg.AlertRelabelConfigs...) {
			continue
		}
		if h := b.Labels().Hash(); !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// pushURLs returns where the notifier posts for these targets: the scheme and path of the configuration, the labels
// of target and group, and relabelling in between. (The notifier tells only the URLs of all entries
// together, which does not say whose credentials belong to which.)
func pushURLs(groups []*targetgroup.Group, cfg *config.AlertmanagerConfig) []string {
	var out []string
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, g := range groups {
		for _, target := range g.Targets {
			b.Reset(labels.EmptyLabels())
			for name, value := range target {
				b.Set(string(name), string(value))
			}
			b.Set(model.SchemeLabel, cfg.Scheme)
			b.Set(pathLabel, path.Join("/", cfg.PathPrefix, "/api", string(cfg.APIVersion), "alerts"))
			for name, value := range g.Labels {
				if _, own := target[name]; !own {
					b.Set(string(name), string(value))
				}
			}
			if !relabel.ProcessBuilder(b, cfg.RelabelConfigs...) {
				continue
			}
			u := url.URL{Scheme: b.Get(model.SchemeLabel), Host: b.Get(model.AddressLabel), Path: b.Get(pathLabel)}
			if s := u.String(); !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// endpoint is an Alertmanager that can be read.
type endpoint struct {
	url     string
	client  *http.Client
	timeout time.Duration
	signed  bool // it wants AWS signatures
}

// endpoints returns each Alertmanager once, with the client of the first entry that names it.
func (r *routing) endpoints() []endpoint {
	var out []endpoint
	for _, s := range r.sets {
		for _, u := range s.targets {
			if !slices.ContainsFunc(out, func(e endpoint) bool { return e.url == u }) {
				out = append(out, endpoint{u, s.client, time.Duration(s.cfg.Timeout), s.cfg.SigV4Config != nil})
			}
		}
	}
	return out
}

// afterRoutingLocked does what a change of routing asks for: nothing is remembered of Alertmanagers that are gone,
// and what nobody took is sent at once to those that are new.
func (s *Sender) afterRoutingLocked(old *routing) {
	urls := s.routing.urls()
	for target := range s.outages {
		if !slices.Contains(urls, target) {
			delete(s.outages, target)
		}
	}
	if len(urls) > 0 {
		s.alone = false
	}
	known := old.urls()
	if !slices.ContainsFunc(urls, func(u string) bool { return !slices.Contains(known, u) }) {
		return
	}
	for _, e := range s.entries {
		if !e.history.taken {
			e.history = history{}
		}
	}
	s.wakeUp()
}
