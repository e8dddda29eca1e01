package app

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/foreshock/foreshock/internal/peers"
)

const catalogScrape = `
global: {scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 1s}
scrape_configs: [{job_name: shop, static_configs: [{targets: [%s]}]}]
`

const catalogRules = `
groups: [{name: shop, rules: [{record: "service:queue:max", expr: max by (service) (queue_depth)}]}]
`

// Prometheus's own client and promtool ask what series there are, as Grafana's
// data source would: a server that scrapes, and one over a real Prometheus.
func TestCatalog(t *testing.T) {
	exporter := newTarget(t, `# HELP queue_depth Jobs that wait.
# TYPE queue_depth gauge
queue_depth{service="checkout"} 10.5
queue_depth{service="payments"} 3
# TYPE jobs counter
jobs_total{service="checkout"} 7
`)
	scrape := fmt.Sprintf(catalogScrape, exporter.address())
	t.Run("local", func(t *testing.T) {
		s := startServer(t, Options{}, "foreshock.yml", scrape+"rule_files: [rules.yml]\nidentity: [service]\nincidents: {mode: shadow}\n", "rules.yml", catalogRules)
		s.awaitSeries(`service:queue:max`, `jobs_total`)
		checkCatalog(t, s.url)
		checkPromtool(t, s.url)
	})
	t.Run("remote", func(t *testing.T) {
		prom := peers.Prometheus(t, scrape)
		s := startServer(t, Options{}, "foreshock.yml", fmt.Sprintf(remoteConfig, prom.URL), "rules.yml", catalogRules)
		s.awaitSeries(`service:queue:max`, `jobs_total`)
		checkCatalog(t, s.url)
		checkPromtool(t, s.url)
	})
}

func checkCatalog(t *testing.T, url string) {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	defer client.(api.CloseIdler).CloseIdleConnections()
	c, ctx, none := apiv1.NewAPI(client), t.Context(), time.Time{}

	names, _, err := c.LabelNames(ctx, []string{"queue_depth"}, none, none)
	if want := (model.LabelNames{"__name__", "instance", "job", "service"}); err != nil || !slices.Equal(names, want) {
		t.Errorf("label names of queue_depth: %v %v, want %v", names, err, want)
	}
	all, _, err := c.LabelValues(ctx, "__name__", nil, none, none)
	for _, want := range []model.LabelValue{"jobs_total", "queue_depth", "service:queue:max", "up"} {
		if err != nil || !slices.Contains(all, want) {
			t.Errorf("metric names: %v %v, want %s among them", all, err, want)
		}
	}
	values, _, err := c.LabelValues(ctx, "service", []string{"queue_depth", "jobs_total"}, none, none)
	if want := (model.LabelValues{"checkout", "payments"}); err != nil || !slices.Equal(values, want) {
		t.Errorf("services: %v %v, want %v", values, err, want)
	}
	values, warnings, err := c.LabelValues(ctx, "service", nil, none, none, apiv1.WithLimit(1))
	if err != nil || len(values) != 1 || len(warnings) == 0 || !strings.Contains(strings.Join(warnings, " "), "truncated") {
		t.Errorf("services, at most one: %v, warnings %q, %v", values, warnings, err)
	}
	if values, _, err = c.LabelValues(ctx, "service", nil, time.Unix(1, 0), time.Unix(2, 0)); err != nil || len(values) != 0 {
		t.Errorf("services in 1970: %v %v, want none", values, err)
	}
	series, _, err := c.Series(ctx, []string{`{service="checkout",__name__=~"queue_depth|service:.*"}`, "queue_depth"}, time.Now().Add(-time.Hour), time.Now())
	if want := 3; err != nil || len(series) != want {
		t.Errorf("series: %v %v, want %d", series, err, want)
	}
	meta, err := c.Metadata(ctx, "queue_depth", "")
	if want := (apiv1.Metadata{Type: "gauge", Help: "Jobs that wait."}); err != nil || len(meta["queue_depth"]) != 1 || meta["queue_depth"][0] != want {
		t.Errorf("metadata: %v %v, want %v", meta, err, want)
	}
	if meta, err = c.Metadata(ctx, "", "1"); err != nil || len(meta) != 1 {
		t.Errorf("metadata, at most one: %v %v", meta, err)
	}
	for what, err := range map[string]error{
		"an empty matcher": second(c.Series(ctx, []string{`{service=""}`}, none, none)),
		"no selector":      second(c.Series(ctx, nil, none, none)),
		"no PromQL":        second(c.LabelNames(ctx, []string{"{"}, none, none)),
		"a bad name":       second(c.LabelValues(ctx, "\xff", nil, none, none)),
		"the end first":    second(c.LabelNames(ctx, nil, time.Unix(2, 0), time.Unix(1, 0))),
	} {
		if err == nil || !strings.Contains(err.Error(), "bad_data") {
			t.Errorf("%s: error %v, want bad_data", what, err)
		}
	}
}

func second[T any](_ T, _ apiv1.Warnings, err error) error { return err }

func checkPromtool(t *testing.T, url string) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"instant", url, `queue_depth{service="checkout"}`}, "10.5"},
		{[]string{"range", "--step=1s", url, `max(queue_depth)`}, "10.5"},
		{[]string{"labels", url, "service"}, "checkout\npayments\n"},
		{[]string{"series", "--match=queue_depth", url}, `service="payments"`},
	} {
		out, err := exec.CommandContext(t.Context(), peers.Path(t, "promtool"), append([]string{"query"}, c.args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("promtool query %v: %v\n%s\nwant it to contain %q", c.args, err, out, c.want)
		}
	}
}
