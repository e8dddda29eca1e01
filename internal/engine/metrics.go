package engine

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/topology"
)

type metrics struct {
	incidents         *prometheus.GaugeVec
	opened            *prometheus.CounterVec
	anomalies         prometheus.Gauge
	refused           prometheus.Gauge
	discoveryFailures *prometheus.CounterVec
	journalFailures   prometheus.Counter
	lead              *prometheus.HistogramVec
}

// newMetrics makes the metrics of an engine. known is asked at each scrape.
func newMetrics(reg prometheus.Registerer, gaps func() topology.Gaps, known func() (topology.Stats, change.Stats)) *metrics {
	m := &metrics{
		incidents: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "foreshock_incidents", Help: "Incidents by state and severity.",
		}, []string{"state", "severity"}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foreshock_incidents_resolved_total", Help: "Incidents that were resolved, by severity.",
		}, []string{"severity"}),
		anomalies: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "foreshock_incident_anomalies", Help: "Series that are part of open incidents.",
		}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "foreshock_incidents_refused", Help: "Incidents that were not formed since too many are open.",
		}),
		discoveryFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foreshock_discovery_failures_total", Help: "Queries for edges and versions that failed.",
		}, []string{"for"}),
		journalFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "foreshock_journal_failures_total", Help: "Transitions of incidents that could not be journalled.",
		}),
		lead: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "foreshock_incident_lead_seconds",
			Help:    "How much earlier than the first of the team's own alerts an incident was decided to be sent, or would have been in shadow mode; below zero: later. Observed when it is resolved, of incidents with such an alert.",
			Buckets: []float64{-3600, -900, -300, -120, -60, 0, 60, 120, 300, 900, 3600},
		}, []string{"severity"}),
	}
	// What has not happened yet is 0, not missing: increase() needs a beginning.
	for _, what := range []string{"edges", "versions"} {
		m.discoveryFailures.WithLabelValues(what)
	}
	for _, severity := range []incident.Severity{incident.Ticket, incident.Page} {
		m.opened.WithLabelValues(string(severity))
		m.lead.WithLabelValues(string(severity))
	}
	if reg != nil {
		gauge := func(name, help string, f func() int) prometheus.Collector {
			return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f()) })
		}
		reg.MustRegister(
			gauge("foreshock_topology_unconnected_services", "Services with readings, but without a known caller or callee.", func() int { return len(gaps().Unconnected) }),
			gauge("foreshock_topology_unread_services", "Services that are called, but have no readings.", func() int { return len(gaps().Unread) }),
		)
		reg.MustRegister(stock{known})
		reg.MustRegister(m.incidents, m.opened, m.anomalies, m.refused, m.discoveryFailures, m.journalFailures, m.lead)
	}
	return m
}

// observe counts what a step has left. Lead times are of what was lived
// through, not of a replayed past.
func (m *metrics) observe(incidents []*incident.Incident, refused int, live bool) {
	m.incidents.Reset()
	n := 0
	for _, i := range incidents {
		if i.State == incident.Resolved {
			m.opened.WithLabelValues(string(i.Severity)).Inc()
			if lead, ok := i.Lead(); ok && live {
				m.lead.WithLabelValues(string(i.Severity)).Observe(lead.Seconds())
			}
			continue
		}
		m.incidents.WithLabelValues(string(i.State), string(i.Severity)).Inc()
		n += len(i.Anomalies)
	}
	m.anomalies.Set(float64(n))
	m.refused.Set(float64(refused))
}

// stock collects what the graph and the changes hold, and what they did not take.
type stock struct {
	known func() (topology.Stats, change.Stats)
}

var (
	descEdges = prometheus.NewDesc("foreshock_topology_edges", "Edges of the dependency graph.", []string{"from"}, nil)
	descLeft  = prometheus.NewDesc("foreshock_topology_edges_left_out_total",
		"Series of discovery queries that gave no edge: without one of the two services (dropped), of a service that calls itself (self), or over the limit (limit).",
		[]string{"reason"}, nil)
	descChanges     = prometheus.NewDesc("foreshock_changes", "Changes that are kept.", nil, nil)
	descChangesLeft = prometheus.NewDesc("foreshock_changes_left_out_total",
		"Changes that had to go for newer ones (evicted), series of discovery queries without service or version (dropped), services and versions over the limit (limit).",
		[]string{"reason"}, nil)
)

// Describe implements [prometheus.Collector].
func (stock) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descEdges, descLeft, descChanges, descChangesLeft} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (s stock) Collect(ch chan<- prometheus.Metric) {
	t, c := s.known()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(descEdges, prometheus.GaugeValue, float64(t.Declared), "file")
	send(descEdges, prometheus.GaugeValue, float64(t.Discovered), "discovery")
	send(descLeft, prometheus.CounterValue, float64(t.Dropped), "dropped")
	send(descLeft, prometheus.CounterValue, float64(t.SelfEdges), "self")
	send(descLeft, prometheus.CounterValue, float64(t.Refused), "limit")
	send(descChanges, prometheus.GaugeValue, float64(c.Changes))
	send(descChangesLeft, prometheus.CounterValue, float64(c.Evicted), "evicted")
	send(descChangesLeft, prometheus.CounterValue, float64(c.Dropped), "dropped")
	send(descChangesLeft, prometheus.CounterValue, float64(c.Refused), "limit")
}
