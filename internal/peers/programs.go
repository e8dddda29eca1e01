package peers

import (
	"os"
	"path/filepath"
	"testing"
)

// Alertmanager starts a real Alertmanager without a cluster on a free loopback port, with this
// configuration, and returns when it is ready. More arguments go onto its command line; its log stays at level info.
func Alertmanager(t testing.TB, configYAML string, args ...string) *Process {
	t.Helper()
	p := StoppedAlertmanager(t, configYAML, args...)
	p.startAnywhere(t)
	return p
}

// StoppedAlertmanager is Alertmanager for a test that starts it later (Process.Start): it has a URL on which
// nothing listens yet.
func StoppedAlertmanager(t testing.TB, configYAML string, args ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	config := writeFile(t, dir, "alertmanager.yml", configYAML)
	return newProcess(t, "alertmanager", func(address string) []string {
		return append([]string{
			"--config.file=" + config,
			"--storage.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + address,
			"--cluster.listen-address=", // else it opens a port on all addresses
		}, args...)
	})
}

// Prometheus starts a real Prometheus on a free loopback port, with this configuration, and returns
// when it is ready. It takes remote write and reloads over HTTP. More arguments go onto its command line.
func Prometheus(t testing.TB, configYAML string, args ...string) *Process {
	t.Helper()
	p := StoppedPrometheus(t, configYAML, args...)
	p.startAnywhere(t)
	return p
}

// StoppedPrometheus is Prometheus for a test that starts it later.
func StoppedPrometheus(t testing.TB, configYAML string, args ...string) *Process {
	t.Helper()
	return PrometheusOver(t, filepath.Join(t.TempDir(), "data"), configYAML, args...)
}

// PrometheusOver is StoppedPrometheus with a data directory that has a past already.
func PrometheusOver(t testing.TB, data, configYAML string, args ...string) *Process {
	t.Helper()
	config := writeFile(t, t.TempDir(), "prometheus.yml", configYAML)
	return newProcess(t, "prometheus", func(address string) []string {
		return append([]string{
			"--config.file=" + config,
			"--storage.tsdb.path=" + data,
			"--web.listen-address=" + address,
			"--web.enable-lifecycle",
			"--web.enable-remote-write-receiver",
		}, args...)
	})
}

func writeFile(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("write %s: %v", name, err)
	}
	return path
}

// VictoriaMetrics starts a real single-node VictoriaMetrics on a free loopback
// port that keeps samples of any age, and returns when it is ready. It takes
// remote write at /api/v1/write; what it took is found after a request to
// /internal/force_flush.
func VictoriaMetrics(t testing.TB, args ...string) *Process {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	p := newProcess(t, "victoria-metrics", func(address string) []string {
		return append([]string{
			"-httpListenAddr=" + address,
			"-storageDataPath=" + data,
			"-retentionPeriod=100y",
			"-memory.allowedBytes=64MiB",
		}, args...)
	})
	p.listens = "started server at"
	p.startAnywhere(t)
	return p
}
