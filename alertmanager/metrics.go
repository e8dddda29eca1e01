package alertmanager

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent, failed, dropped prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *Sender) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "foreshock", Subsystem: "alerts", Name: name, Help: help})
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "foreshock", Subsystem: "alerts", Name: name, Help: help}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(value())
		})
	}
	m := &metrics{
		sent:    counter("sent_total", "Alerts that an Alertmanager took, counted per Alertmanager and attempt."),
		failed:  counter("failed_total", "Alerts that an Alertmanager did not take, counted per Alertmanager and attempt."),
		dropped: counter("dropped_total", "Alerts dropped because the queue was full or closed. Those that are kept alive are queued again."),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.sent, m.failed, m.dropped,
		gauge("queue_length", "Alerts waiting to be handed to the notifier.", func() int { return len(s.queue) }),
		gauge("queue_capacity", "Alerts that can wait.", func() int { return s.opts.QueueCapacity }),
		gauge("kept", "Alerts that are kept alive, those resolved a short while ago included.", func() int { return len(s.entries) }),
		gauge("undelivered", "Alerts kept alive whose last send no Alertmanager has taken.", func() int {
			n := 0
			for _, e := range s.entries {
				if !e.history.taken {
					n++
				}
			}
			return n
		}),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
