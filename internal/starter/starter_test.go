package starter

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/rules"
)

var rewrite = flag.Bool("rewrite", false, "write what is made to testdata")

// gauge is a metric with a few services.
func gauge(name string, labels ...string) Metric {
	m := Metric{Name: name, Type: "gauge", Labels: map[string][]string{"service": {"cart", "web"}}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		m.Labels[k] = append(m.Labels[k], v)
	}
	return m
}

func counter(name string, labels ...string) Metric {
	m := gauge(name, labels...)
	m.Type = "counter"
	return m
}

func edge(m Metric) Metric {
	delete(m.Labels, "service")
	m.Labels["client"], m.Labels["server"] = []string{"web"}, []string{"cart"}
	return m
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		m    Metric
		want role
	}{
		{gauge("http_server_duration_p99_seconds"), latency},
		{gauge("db_query_latency_p99_seconds"), latency},
		{gauge("api_response_time_ms"), latency},
		{Metric{Name: "http_request_duration_seconds_bucket", Type: "histogram", Labels: map[string][]string{"service": {"a"}, "le": {"1"}}}, latency},
		{Metric{Name: "http_request_duration_seconds_sum", Type: "histogram", Labels: map[string][]string{"service": {"a"}}}, skipped},
		{gauge("service_availability_ratio"), succeededRatio},
		{gauge("search_error_ratio"), failedRatio},
		{gauge("memory_persist_error_ratio"), failedRatio},
		{gauge("dynamodb_write_throttle_ratio"), failedRatio},
		{gauge("rpc_server_cancelled_ratio"), skipped},
		{counter("agent_lookup_failed_total"), failures},
		{gauge("http_5xx_per_second"), failures},
		{gauge("panic_count"), failures},
		{gauge("request_queue_depth"), waiting},
		{gauge("queue_oldest_message_age_seconds"), waiting},
		{gauge("consumer_lag"), waiting},
		{gauge("memory_usage_bytes"), saturation},
		{gauge("pod_cpu_usage_ratio", "pod=a-1"), saturation},
		{counter("container_cpu_usage_seconds_total"), saturation},
		{gauge("container_cpu_cfs_throttled_seconds"), saturation},
		{gauge("pod_node_cpu_usage_ratio", "pod=a-1"), skipped},
		{gauge("db_query_count_per_request"), saturation},
		{gauge("memory_limit_bytes"), skipped},
		{gauge("requests_per_second"), traffic},
		{counter("http_requests_total"), traffic},
		{gauge("records_enriched_per_minute"), traffic},
		{counter("network_receive_bytes_total"), skipped},
		{gauge("temperature_celsius"), skipped},
		{Metric{Name: "node_cpu_usage_ratio", Labels: map[string][]string{"node": {"n1"}}}, skipped},
		{edge(gauge("edge_latency_seconds")), edgeLatency},
		{edge(counter("calls_total")), edgeTraffic},
		{edge(counter("calls_failed_total")), edgeFailures},
		{edge(gauge("edge_bytes")), skipped},
	} {
		w := &writer{identity: []string{"service"}}
		if got, _ := w.classify(c.m); got != c.want {
			t.Errorf("%s %s: role %d, want %d", c.m.Type, c.m.Name, got, c.want)
		}
	}
}

// shop is a system with one metric of each kind.
func shop() System {
	return System{
		Interval: time.Minute, History: 26 * time.Hour, Entries: []string{"web"}, Mode: "page",
		Metrics: []Metric{
			gauge("http_latency_seconds", "quantile=0.5", "quantile=0.95", "quantile=0.99"), gauge("http_requests_per_second"), gauge("http_availability_ratio"),
			gauge("client_latency_seconds"), gauge("server_latency_seconds"), gauge("server_latency_average_seconds"),
			counter("rpc_requests_total", "code=200", "code=503"), gauge("queue_depth"), gauge("disk_used_ratio"), gauge("cache_hit_ratio"),
			gauge("memory_usage_ratio", "pod=a-1"), gauge("memory_usage_bytes", "pod=a-1"), gauge("fan_speed"), gauge("anomaly_score"),
			edge(gauge("edge_latency_seconds", "reporter=source", "reporter=destination", "quantile=0.5")), edge(counter("edge_calls_failed_total")),
			{Name: "build_info", Labels: map[string][]string{"service": {"web"}, "version": {"1"}}},
		},
	}
}

// prometheus is a Prometheus that scrapes itself, node_exporter and Foreshock.
func prometheus() System {
	s := System{Brief: true, Interval: 15 * time.Second, SourceURL: "http://prometheus:9090"}
	add := func(job string, list ...Metric) {
		for _, m := range list {
			m.Labels["job"], m.Labels["instance"] = []string{job}, []string{"a:1"}
			s.Metrics = append(s.Metrics, m)
		}
	}
	add("prometheus",
		counter("prometheus_http_requests_total", "code=200", "code=500"), counter("prometheus_notifications_errors_total"),
		counter("prometheus_rule_evaluation_failures_total"), counter("prometheus_sd_refresh_failures_total"), gauge("prometheus_notifications_queue_length"),
		Metric{Name: "prometheus_http_request_duration_seconds_bucket", Type: "histogram", Labels: map[string][]string{"le": {"1"}}},
		gauge("prometheus_build_info", "version=3.1.0"), gauge("go_info", "version=go1.26"), gauge("go_gc_duration_seconds", "quantile=0.5"),
		gauge("go_goroutines"), counter("process_cpu_seconds_total"), gauge("process_open_fds"), gauge("up"))
	for k := range 60 {
		add("prometheus", gauge(fmt.Sprintf("go_memstats_%d", k)))
	}
	add("node", counter("node_cpu_seconds_total", "mode=idle"), gauge("node_uname_info", "nodename=vm"), gauge("node_dmi_info", "bios_version=1"),
		gauge("node_exporter_build_info", "version=1.12"), counter("node_disk_reads_completed_total"))
	add("foreshock", gauge("foreshock_ready"), gauge("anomaly_score", "rule=X"))
	return s
}

// TestWrite holds what is written against testdata, and has it read by what
// reads configurations.
func TestWrite(t *testing.T) {
	server := shop()
	server.SourceURL, server.History, server.Mode = "http://prometheus:9090", 0, ""
	server.Interval = 15 * time.Second
	server.Metrics = append(server.Metrics, Metric{Name: "istio_requests_total", Type: "counter", Labels: map[string][]string{"reporter": {"source"}}})
	for name, s := range map[string]System{"recorded": shop(), "server": server, "prometheus": prometheus()} {
		got, err := Write(s)
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{name + ".yml": got.Config, name + "-rules.yml": got.Rules} {
			path := filepath.Join("testdata", file)
			if *rewrite {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("%s differs (go test ./internal/starter -args -rewrite):\n%s", path, text)
			}
		}
		checkRules(t, got.Rules)
	}
}

func checkRules(t *testing.T, text string) {
	t.Helper()
	if _, err := rules.ParseFile("rules.yml", []byte(text)); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
}

func TestWriteNothing(t *testing.T) {
	if _, err := Write(System{Metrics: []Metric{gauge("fan_speed"), {Name: "up"}}}); !errors.Is(err, ErrNothing) {
		t.Errorf("got %v, want %v", err, ErrNothing)
	}
}

// What is long is wrapped, and what is many is counted by its beginning.
func TestListed(t *testing.T) {
	if got, want := listed("Not used", []string{"a", "b"}), "# Not used: a, b.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	names := []string{"x"}
	for k := range 100 {
		names = append(names, fmt.Sprintf("go_memstats_%d", k), fmt.Sprintf("node%d_disk", k%70))
	}
	got := listed("Not used", names)
	for line := range strings.Lines(got) {
		if len(line) > lineWidth+1 || !strings.HasPrefix(line, "# ") {
			t.Errorf("line %q: want a comment of at most %d characters", line, lineWidth)
		}
	}
	for _, want := range []string{"# Not used (201 metrics): go_* (100),", "and of 32 other beginnings."} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: want %q", got, want)
		}
	}
}

// TestIdentity: the first label that half of the metrics have.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		labels []string // of one metric each, separated by commas
		want   string
	}{
		{[]string{"service", "service"}, "service"},
		{[]string{"job,service", "job"}, "service"},
		{[]string{"job,app", "job", "job"}, "job"},
		{[]string{"namespace,app,job", "namespace,app,job", "job"}, "namespace, app"},
		{nil, "service"},
	} {
		w := &writer{metrics: map[string]Metric{}}
		for i, l := range c.labels {
			m := Metric{Name: strings.Repeat("m", i+1), Labels: map[string][]string{}}
			for _, k := range strings.Split(l, ",") {
				m.Labels[k] = []string{"x"}
			}
			w.metrics[m.Name] = m
		}
		if got := strings.Join(w.findIdentity(), ", "); got != c.want {
			t.Errorf("%q: %s, want %s", c.labels, got, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		history, interval time.Duration
		want              string
	}{
		{0, time.Minute, ""},
		{90 * 24 * time.Hour, time.Minute, ""},
		{7 * 24 * time.Hour, time.Minute, "1 per 7d"},
		{time.Hour, time.Minute, "4 per 1d"},
		{time.Hour, 15 * time.Second, "4 per 1d"},
		{time.Hour, 5 * time.Minute, "1 per 1d"},
	} {
		w := &writer{System: System{History: c.history, Interval: c.interval}}
		if got := w.budget(); got != c.want {
			t.Errorf("%s of samples every %s: %s, want %s", c.history, c.interval, got, c.want)
		}
	}
}

// FuzzWrite: whatever metrics are called, what is written can be read.
func FuzzWrite(f *testing.F) {
	f.Add("http_requests_total", "counter", "service", "a\"b", "code", "500")
	f.Add("x.latency", "", "service", "", "quantile", "0.9")
	f.Add("edge_latency_seconds", "gauge", "client", "a", "server", "b")
	f.Fuzz(func(t *testing.T, name, typ, l1, v1, l2, v2 string) {
		s := System{Metrics: []Metric{{Name: name, Type: typ, Labels: map[string][]string{l1: {v1}, l2: {v2}}}}, Entries: []string{v1}}
		got, err := Write(s)
		if err != nil {
			return
		}
		if _, err := rules.ParseFile("rules.yml", []byte(got.Rules)); err != nil {
			t.Errorf("%v in\n%s", err, got.Rules)
		}
	})
}
