package rules

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector exposes the figures of a manager's detection rules, which end with
// their rule. Durations of evaluations are in Prometheus's own metrics.
type collector struct{ m *Manager }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("foreshock_"+name, help, labels, nil)
}

type descs struct {
	series, refused, forgotten, anomalies, states, stateBytes *prometheus.Desc
}

func (collector) descs() descs {
	return descs{
		series:     desc("rule_series", "Series that the last evaluation of a detection rule judged.", "rule"),
		refused:    desc("rule_series_refused_total", "Series that a detection rule did not judge because of its limit, counted at each evaluation.", "rule"),
		forgotten:  desc("rule_series_forgotten_total", "Series that vanished and whose state a detection rule forgot.", "rule"),
		anomalies:  desc("anomalies", "Series that were anomalous at the last evaluation of a detection rule.", "rule"),
		states:     desc("detector_states", "States of series that a detector holds.", "detector"),
		stateBytes: desc("detector_state_bytes", "Memory of the states of series, without their labels.", "detector"),
	}
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	d := c.descs()
	for _, desc := range []*prometheus.Desc{d.series, d.refused, d.forgotten, d.anomalies, d.states, d.stateBytes} {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(ch chan<- prometheus.Metric) {
	d := c.descs()
	type use struct{ states, bytes int }
	uses := map[string]use{}
	for _, g := range c.m.Groups() {
		for _, det := range g.Detections() {
			s := det.figures()
			ch <- prometheus.MustNewConstMetric(d.series, prometheus.GaugeValue, float64(s.series), det.Name())
			ch <- prometheus.MustNewConstMetric(d.refused, prometheus.CounterValue, float64(s.refused), det.Name())
			ch <- prometheus.MustNewConstMetric(d.forgotten, prometheus.CounterValue, float64(s.forgotten), det.Name())
			ch <- prometheus.MustNewConstMetric(d.anomalies, prometheus.GaugeValue, float64(s.anomalies), det.Name())
			u := uses[det.DetectorName()]
			u.states += s.states
			u.bytes += s.states * s.stateSize
			uses[det.DetectorName()] = u
		}
	}
	for _, name := range sortedKeys(uses) {
		ch <- prometheus.MustNewConstMetric(d.states, prometheus.GaugeValue, float64(uses[name].states), name)
		ch <- prometheus.MustNewConstMetric(d.stateBytes, prometheus.GaugeValue, float64(uses[name].bytes), name)
	}
}
