package packs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/rules"
)

// replaced is label_replace of one series.
func replaced(t *testing.T, ls labels.Labels, target, value, source, regex string) labels.Labels {
	t.Helper()
	re := regexp.MustCompile("^(?s:" + regex + ")$")
	from := ls.Get(source)
	m := re.FindStringSubmatchIndex(from)
	if m == nil {
		return ls
	}
	return labels.NewBuilder(ls).Set(target, string(re.ExpandString(nil, value, from, m))).Labels()
}

// target is a scraped process: a recording, the labels of its target, and how
// many seconds the recorded process had run, from which the rates of counters follow.
type target struct {
	file    string
	labels  string // as in {…}
	seconds float64
}

// fault changes series of a target from the fault's beginning on.
type fault struct {
	match string // selector over the series with the target's labels
	times float64
	plus  float64 // of counters per second
	leak  float64 // of gauges per second since the beginning
}

// playback is a pack over recordings that are played for some time.
type playback struct {
	pack    string
	targets []target
	step    time.Duration
	healthy int // steps before the faults
	faulty  int
	faults  []fault
	// want are, by rule, the services that become anomalous: namespace/service.
	want map[string]string
	// well are services whose readings are there and never anomalous.
	well []string
}

// played is a series while it is played.
type played struct {
	ls         labels.Labels
	cumulative bool
	value      float64 // as recorded
	perSecond  float64
	total      float64
	faults     []fault
}

// read returns the series of a recording with a target's labels, those of the
// recording counting, as with honor_labels.
func (p playback) read(t *testing.T, tg target) []*played {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", tg.file))
	if err != nil {
		t.Fatal(err)
	}
	own, err := newParser().ParseMetricSelector("{" + tg.labels + "}")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]model.MetricType{}
	var out []*played
	parser := textparse.NewPromParser(bytes.Clone(data), labels.NewSymbolTable(), false)
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", tg.file, err)
		}
		switch entry {
		case textparse.EntryType:
			name, typ := parser.Type()
			types[string(name)] = typ
		case textparse.EntrySeries:
			var ls labels.Labels
			parser.Labels(&ls)
			_, _, v := parser.Series()
			name := ls.Get(model.MetricNameLabel)
			b := labels.NewBuilder(ls)
			for _, m := range own {
				if ls.Get(m.Name) == "" {
					b.Set(m.Name, m.Value)
				}
			}
			s := &played{ls: b.Labels(), value: v, perSecond: v / tg.seconds, total: v}
			base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
			s.cumulative = types[name] == model.MetricTypeCounter || types[base] == model.MetricTypeHistogram
			for _, f := range p.faults {
				ms, err := newParser().ParseMetricSelector(f.match)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(s.ls.Get(m.Name)) }) {
					s.faults = append(s.faults, f)
				}
			}
			out = append(out, s)
		}
	}
}

// next is a series' sample of the next step, so long after the faults began (below 0: before).
func (s *played) next(step time.Duration, load float64, faulty time.Duration) float64 {
	rate, value := s.perSecond*load, s.value
	if faulty >= 0 {
		for _, f := range s.faults {
			rate = rate*f.times + f.plus
			value = value*f.times + f.plus + f.leak*faulty.Seconds()
		}
	}
	if !s.cumulative {
		return value
	}
	s.total += rate * step.Seconds()
	return s.total
}

// run plays the recordings through the pack's rules and returns, by rule and
// service, whether it was judged and whether it was anomalous under the faults.
func (p playback) run(t *testing.T) map[string]map[string]bool {
	t.Helper()
	store, err := source.OpenTemporary(source.TemporaryOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pack := load(t, p.pack, Options{Identity: standard, Interval: p.step})
	file, err := rules.ParseFile(p.pack, pack.Rules)
	if err != nil {
		t.Fatal(err)
	}
	anomalous := map[string]map[string]bool{}
	faulty := false
	manager, err := rules.New(rules.Options{
		Query: store.Store().Query, Appendable: store.Store().Appendable, EvaluationInterval: p.step, SkipOutputs: true,
		OnEvaluation: func(ev rules.Evaluation) {
			if ev.Err != nil {
				t.Errorf("%s: %v", ev.Rule.Name(), ev.Err)
			}
			for _, r := range ev.Readings {
				of := anomalous[ev.Rule.Name()]
				if of == nil {
					of = map[string]bool{}
					anomalous[ev.Rule.Name()] = of
				}
				service := strings.TrimPrefix(r.Series.Get("namespace")+"/", "/") + r.Series.Get("service")
				of[service] = of[service] || faulty && r.Anomalous
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Update([]*rules.File{file}); err != nil {
		t.Fatal(err)
	}
	var all [][]*played
	for _, tg := range p.targets {
		all = append(all, p.read(t, tg))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for k := range p.healthy + p.faulty {
		now := start.Add(time.Duration(k) * p.step)
		faulty = k >= p.healthy
		app := store.Store().Appendable.Appender(t.Context())
		for _, of := range all {
			busy := 1 + 0.05*rnd.NormFloat64()
			for _, s := range of {
				if _, err := app.Append(0, s.ls, now.UnixMilli(), s.next(p.step, busy, time.Duration(k-p.healthy)*p.step)); err != nil {
					t.Fatalf("%s: %v", s.ls, err)
				}
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
		for _, g := range manager.Groups() {
			manager.Eval(t.Context(), g, now)
		}
	}
	return anomalous
}

// check holds what was found against what is wanted: every rule of the pack
// judges series of named services, and finds its fault and no other.
func (p playback) check(t *testing.T) {
	t.Helper()
	got := p.run(t)
	file, err := rules.ParseFile(p.pack, load(t, p.pack, Options{Identity: standard}).Rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Groups[0].Rules {
		name := r.Detection.Name
		want, ok := p.want[name]
		switch {
		case !ok:
			t.Errorf("%s: no fault of this test is for it", name)
		case len(got[name]) == 0:
			t.Errorf("%s: no series", name)
		case !got[name][want]:
			t.Errorf("%s: %s is not anomalous; judged are %v", name, want, got[name])
		}
		for service, anomalous := range got[name] {
			switch {
			case service == "" || strings.HasSuffix(service, "/"):
				t.Errorf("%s: a series of no service", name)
			case anomalous && slices.Contains(p.well, service):
				t.Errorf("%s: %s is anomalous, and is well", name, service)
			}
		}
	}
}

func TestHTTP(t *testing.T) {
	playback{
		pack: "http", step: time.Minute, healthy: 70, faulty: 10,
		targets: []target{
			{"http.prom", `job="a",instance="10.0.0.1:80",namespace="shop",service="cart"`, 100},
			{"http.prom", `job="b",instance="10.0.0.2:80",namespace="shop",service="search"`, 100},
			{"http.prom", `job="c",instance="10.0.0.3:80",namespace="shop",service="web"`, 100},
		},
		faults: []fault{
			{`{service="cart",code="500"}`, 10, 0, 0}, {`{service="cart",http_response_status_code="500"}`, 10, 0, 0},
			{`{service="search",code="200",__name__="http_requests_total"}`, 4, 0, 0}, {`{service="search",__name__="http_server_request_duration_seconds_count"}`, 4, 0, 0},
			{`{service="search",le=~"0[.].*|0|1"}`, 0, 0, 0},
			{`{service="web"}`, 0, 0, 0},
		},
		want: map[string]string{
			"HTTPErrors": "shop/cart", "HTTPLatency": "shop/search", "HTTPTraffic": "shop/search", "HTTPSilence": "shop/web",
			"OTelHTTPErrors": "shop/cart", "OTelHTTPLatency": "shop/search", "OTelHTTPTraffic": "shop/search", "OTelHTTPSilence": "shop/web",
		},
	}.check(t)
}

func TestGRPC(t *testing.T) {
	playback{
		pack: "grpc", step: time.Minute, healthy: 70, faulty: 10,
		targets: []target{
			{"grpc.prom", `job="a",instance="10.0.0.1:80",service="cart"`, 100},
			{"grpc.prom", `job="b",instance="10.0.0.2:80",service="search"`, 100},
			{"grpc.prom", `job="c",instance="10.0.0.3:80",service="web"`, 100},
			{"grpc-otel-before.prom", `job="d",instance="10.0.0.4:80",service="older"`, 100},
		},
		faults: []fault{
			{`{service="cart",grpc_code="Unavailable"}`, 10, 0, 0}, {`{service="cart",rpc_response_status_code="UNAVAILABLE"}`, 10, 0, 0},
			{`{service="search",grpc_code="OK"}`, 4, 0, 0}, {`{service="search",__name__="rpc_server_call_duration_seconds_count"}`, 4, 0, 0},
			{`{service="search",le=~"0[.].*|0|1"}`, 0, 0, 0},
			{`{service="web"}`, 0, 0, 0},
		},
		want: map[string]string{
			"GRPCErrors": "cart", "GRPCLatency": "search", "GRPCTraffic": "search", "GRPCSilence": "web",
			"OTelRPCErrors": "cart", "OTelRPCLatency": "search", "OTelRPCTraffic": "search", "OTelRPCSilence": "web",
		},
		well: []string{"older"},
	}.check(t)
}

// What OpenTelemetry's older conventions say is found as well.
func TestOlderRPC(t *testing.T) {
	p := playback{
		pack: "grpc", step: time.Minute, healthy: 70, faulty: 10,
		targets: []target{{"grpc-otel-before.prom", `job="d",instance="10.0.0.4:80",service="older"`, 100}},
		faults: []fault{
			{`{rpc_grpc_status_code="14"}`, 10, 0, 0}, {`{le=~"[0-9]{1,3}([.]0)?"}`, 0, 0, 0}, {`{__name__="rpc_server_duration_milliseconds_count"}`, 3, 0, 0},
		},
	}
	got := p.run(t)
	for _, rule := range []string{"OTelRPCErrors", "OTelRPCLatency", "OTelRPCTraffic"} {
		if !got[rule]["older"] {
			t.Errorf("%s: nothing is anomalous; judged are %v", rule, got[rule])
		}
	}
	if len(got["GRPCTraffic"]) > 0 {
		t.Errorf("GRPCTraffic judges %v of a recording without its metric", got["GRPCTraffic"])
	}
}

func TestKubernetes(t *testing.T) {
	playback{
		pack: "kubernetes", step: time.Minute, healthy: 70, faulty: 10,
		targets: []target{
			{"kubernetes.prom", `job="kubelet",instance="10.0.0.11:10250",service="kubelet",node="node-a"`, 86400},
			{"kubernetes-state.prom", `job="kube-state-metrics",instance="10.1.0.9:8080",service="kube-state-metrics"`, 86400},
		},
		faults: []fault{
			{`{pod=~"checkout-.*",__name__=~"container_cpu_usage_seconds_total"}`, 1, 0.5, 0},
			{`{pod=~"checkout-.*",__name__=~"container_cpu_cfs_throttled_periods_total"}`, 1, 5, 0},
			{`{pod=~"checkout-.*",__name__="container_memory_working_set_bytes"}`, 1.95, 0, 0},
			{`{pod=~"checkout-.*",__name__="kube_pod_container_status_restarts_total"}`, 1, 0.02, 0},
			{`{pod=~"checkout-.*",__name__="kube_pod_container_status_waiting_reason"}`, 1, 1, 0},
			{`{__name__="kube_deployment_status_replicas_unavailable"}`, 1, 1, 0},
		},
		want: map[string]string{
			"KubernetesUnavailable": "shop/checkout", "KubernetesNotStarting": "shop/checkout", "KubernetesRestarts": "shop/checkout",
			"KubernetesCPU": "shop/checkout", "KubernetesCPUThrottled": "shop/checkout", "KubernetesMemory": "shop/checkout",
		},
		well: []string{"shop/orders-db", "kube-system/fluent-bit"},
	}.check(t)
}

func TestNode(t *testing.T) {
	playback{
		pack: "node", step: 20 * time.Minute, healthy: 3 * 57, faulty: 3 * 10,
		targets: []target{{"node.prom", `job="node",instance="10.0.0.11:9100",namespace="monitoring",service="node-exporter"`, 17000}},
		faults: []fault{
			{`{__name__="node_cpu_seconds_total",mode="idle"}`, 0.05, 0, 0},
			{`{__name__="node_memory_MemAvailable_bytes"}`, 0.05, 0, 0},
			{`{__name__=~"node_pressure_(memory|io)_stalled_seconds_total"}`, 1, 0.4, 0},
			{`{__name__="node_disk_io_time_seconds_total"}`, 1, 0.6, 0},
			{`{__name__="node_network_receive_errs_total",device="eth0"}`, 1, 40, 0},
			{`{__name__="node_filesystem_avail_bytes"}`, 1, 0, -1.1e6},
		},
		want: map[string]string{
			"NodeCPU": "vm", "NodeMemory": "vm", "NodeMemoryPressure": "vm", "NodeIOPressure": "vm", "NodeDisk": "vm",
			"NodeFilesystemFills": "vm", "NodeFilesystemFull": "vm", "NodeNetworkErrors": "vm",
		},
	}.check(t)
}

func TestIstio(t *testing.T) {
	playback{
		pack: "istio", step: time.Minute, healthy: 70, faulty: 10,
		targets: []target{{"istio.prom", `job="envoy-stats",namespace="shop",pod="frontend-1",service="envoy"`, 1000}},
		faults: []fault{
			{`{reporter="source",destination_service_name="checkout",response_code="500"}`, 20, 0, 0},
			{`{reporter="destination",destination_service_name="checkout",le=~"[0-9]{1,3}([.]0)?"}`, 0, 0, 0},
			{`{reporter="destination",destination_service_name="checkout",__name__="istio_requests_total"}`, 4, 0, 0},
			{`{reporter="destination",destination_service_name="payments"}`, 0, 0, 0},
		},
		want: map[string]string{
			"IstioErrors": "shop/checkout", "IstioLatency": "shop/checkout", "IstioTraffic": "shop/checkout", "IstioSilence": "shop/payments",
		},
	}.check(t)
}

// Versions are found in the recordings, under the names of the services.
func TestVersions(t *testing.T) {
	f := func(p playback, want ...string) {
		t.Helper()
		store, err := source.OpenTemporary(source.TemporaryOptions{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
		now := start
		for k := range 10 {
			now = start.Add(time.Duration(k) * time.Minute)
			app := store.Store().Appendable.Appender(t.Context())
			for _, s := range p.read(t, p.targets[0]) {
				s.total *= float64(k)
				if _, err := app.Append(0, s.ls, now.UnixMilli(), s.next(time.Minute, 1, -1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := app.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, v := range load(t, p.pack, Options{Identity: standard}).Versions {
			found, err := store.Store().Query(t.Context(), v.Query, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range found {
				got = append(got, s.Metric.Get("namespace")+"/"+s.Metric.Get("service")+" "+s.Metric.Get(v.Label))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", p.pack, got, want)
		}
	}
	f(playback{pack: "kubernetes", targets: []target{{"kubernetes-state.prom", `job="ksm",service="ksm"`, 1}}},
		"shop/checkout checkout:1.4.2", "shop/orders-db postgres:16.4")
	f(playback{pack: "istio", targets: []target{{"istio.prom", `job="envoy"`, 100}}}, "shop/checkout v1", "shop/payments v1")
}
