//go:build thanos

package peers

import (
	"net"
	"path/filepath"
	"testing"
)

// Thanos starts a real Thanos Query over a sidecar over a real Prometheus, each
// on free loopback ports, and returns them when the query is ready. The
// Prometheus takes remote write. The query merges replicas by the label
// replica, which is the only external label of the Prometheus.
func Thanos(t testing.TB) (query, sidecar, prometheus *Process) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	prometheus = PrometheusOver(t, data, "global: {external_labels: {replica: a}}\n",
		"--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
	prometheus.startAnywhere(t)
	grpc := freeAddress(t)
	sidecar = thanos(t, func(address string) []string {
		return []string{"sidecar", "--http-address=" + address, "--grpc-address=" + grpc,
			"--prometheus.url=" + prometheus.URL, "--tsdb.path=" + data}
	})
	query = thanos(t, func(address string) []string {
		return []string{"query", "--http-address=" + address, "--grpc-address=127.0.0.1:0",
			"--endpoint=" + grpc, "--query.replica-label=replica"}
	})
	return query, sidecar, prometheus
}

func thanos(t testing.TB, args func(address string) []string) *Process {
	t.Helper()
	p := newProcess(t, "thanos", args)
	p.listens = "listening for requests and metrics"
	p.startAnywhere(t)
	return p
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
