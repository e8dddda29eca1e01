package source

import (
	"context"
	"net/http"
	"runtime"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
)

// MaxWriteBody is the size of a remote-write request at most, compressed;
// client_golang bounds what it decompresses to at 32 MiB. Prometheus's own
// requests are below 1 MiB.
const MaxWriteBody = 16 << 20

// Receiver returns the handler of Prometheus's remote write, versions 1.0 and
// 2.0, into the database. Series with the names that own returns, which our
// rules write, are left out and counted: they would be in the way of ours, and
// nothing feeds on itself. A bounded number of requests is worked on at once;
// the rest is told to come again (503), which Prometheus does. It is made once,
// since its metrics are registered.
func (l *Local) Receiver(reg prometheus.Registerer, own func() map[string]bool) (http.Handler, error) {
	left := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "foreshock_remote_write_own_samples_total",
		Help: "Samples that were received and left out, since rules here write series of that name.",
	})
	if err := reg.Register(left); err != nil {
		return nil, err
	}
	handler := remote.NewWriteHandler(l.log, reg, notOwn{l.db, own, left},
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, false)
	slots := make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "too many writes at once: try again later", http.StatusServiceUnavailable)
			return
		}
		if r.ContentLength > MaxWriteBody {
			http.Error(w, "the request is too large: send fewer samples at once (queue_config.max_samples_per_send)", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxWriteBody)
		handler.ServeHTTP(w, r)
	}), nil
}

// notOwn is the database without what our rules write.
type notOwn struct {
	storage.Appendable
	own  func() map[string]bool
	left prometheus.Counter
}

func (n notOwn) Appender(ctx context.Context) storage.Appender {
	return notOwnAppender{Appender: n.Appendable.Appender(ctx), own: n.own(), left: n.left}
}

type notOwnAppender struct {
	storage.Appender
	own  map[string]bool
	left prometheus.Counter
}

func (a notOwnAppender) Append(ref storage.SeriesRef, ls labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	if a.own[ls.Get(model.MetricNameLabel)] {
		a.left.Inc()
		return 0, nil
	}
	return a.Appender.Append(ref, ls, t, v)
}

func (a notOwnAppender) AppendHistogram(ref storage.SeriesRef, ls labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	if a.own[ls.Get(model.MetricNameLabel)] {
		a.left.Inc()
		return 0, nil
	}
	return a.Appender.AppendHistogram(ref, ls, t, h, fh)
}

func (a notOwnAppender) AppendExemplar(ref storage.SeriesRef, ls labels.Labels, e exemplar.Exemplar) (storage.SeriesRef, error) {
	if a.own[ls.Get(model.MetricNameLabel)] {
		return 0, nil
	}
	return a.Appender.AppendExemplar(ref, ls, e)
}
