package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/foreshock/foreshock/internal/amconfig"
	"github.com/foreshock/foreshock/internal/incident"
)

// RoutingOptions say whose routing is checked: that of a file, or that of a
// running Alertmanager. With neither nothing is.
type RoutingOptions struct {
	ConfigFile       string // foreshock.yml
	AlertmanagerFile string
	AlertmanagerURL  string
	HTTPFile         string // HTTP client configuration for the URL; "" for none
	Out              io.Writer
}

// mostRouted bounds the services whose alerts are tried.
const mostRouted = 1000

// CheckRouting reads an Alertmanager's configuration and writes a warning for
// each place where Foreshock's alerts would not go as they should. Only what
// cannot be read is an error.
func CheckRouting(ctx context.Context, o RoutingOptions) error {
	if o.AlertmanagerFile == "" && o.AlertmanagerURL == "" {
		return nil
	}
	cfg, err := LoadConfig(o.ConfigFile)
	if err != nil {
		return err
	}
	name, text, err := o.read(ctx)
	if err != nil {
		return err
	}
	am, err := amconfig.Parse(name, text)
	if err != nil {
		return err
	}
	all, said := routed(cfg)
	for _, w := range am.Check(all) {
		said = append(said, w.Error())
	}
	for _, w := range said {
		if _, err := fmt.Fprintf(o.Out, "warning: %s\n", w); err != nil {
			return err
		}
	}
	if len(said) == 0 {
		_, err = fmt.Fprintf(o.Out, "%s routes pages and tickets as they need\n", name)
	}
	return err
}

// read returns the configuration and what to call it.
func (o RoutingOptions) read(ctx context.Context) (name string, text []byte, err error) {
	if o.AlertmanagerFile != "" && o.AlertmanagerURL != "" {
		return "", nil, UsageError{errors.New("--alertmanager.config.file and --alertmanager.url exclude each other")}
	}
	if o.AlertmanagerFile != "" {
		text, err = os.ReadFile(o.AlertmanagerFile)
		if err != nil {
			return "", nil, fmt.Errorf("--alertmanager.config.file: %w", err)
		}
		return o.AlertmanagerFile, text, nil
	}
	ask, err := newAsker(program{"--alertmanager.url", "Alertmanager", "http://localhost:9093"}, o.AlertmanagerURL, o.HTTPFile)
	if err != nil {
		return "", nil, err
	}
	defer ask.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	original, err := ask.alertmanagerConfig(ctx)
	return ask.name(), []byte(original), err
}

// routed are the alerts that the configuration may send, of each declared
// service and of one that nobody knows, as an Alertmanager sees them; and what
// is wrong with that already.
func routed(cfg *Config) (all []amconfig.Alerts, said []string) {
	id := cfg.Engine.Identity
	last := id.Last()
	names := []map[string]string{{last: "a-service"}}
	for _, n := range cfg.Engine.Declared.Nodes {
		if len(names) <= mostRouted {
			names = append(names, id.Labels(n.Service))
		}
	}
	warn := func(text string) {
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	alert := func(service map[string]string, s incident.Severity) map[string]string {
		m := maps.Clone(service)
		maps.Copy(m, map[string]string{
			"alertname": incident.AlertName, "incident": "fs-1", "severity": string(s), "generator": incident.Generator,
		})
		seen := asSeen(cfg.Prometheus, m)
		if seen == nil {
			warn(cfg.File + ": alert_relabel_configs drop Foreshock's alerts: except those with generator=\"foreshock\"")
			return nil
		}
		for _, name := range []string{"alertname", "incident", "severity", "generator"} {
			if seen[name] != m[name] {
				warn(fmt.Sprintf("%s: alert_relabel_configs change the label %s of Foreshock's alerts, by which they are routed: except those with generator=\"foreshock\"", cfg.File, name))
			}
		}
		return seen
	}
	for _, service := range names {
		a := amconfig.Alerts{Ticket: alert(service, incident.Ticket), Varies: id.Names()}
		if cfg.Engine.Mode != incident.ModeTicket {
			a.Page = alert(service, incident.Page)
		}
		all = append(all, a)
	}
	return all, said
}

// asSeen is an alert with external labels and after relabelling; nil when that drops it.
func asSeen(cfg *config.Config, alert map[string]string) map[string]string {
	b := labels.NewBuilder(labels.FromMap(alert))
	cfg.GlobalConfig.ExternalLabels.Range(func(l labels.Label) {
		if alert[l.Name] == "" {
			b.Set(l.Name, l.Value)
		}
	})
	if !relabel.ProcessBuilder(b, cfg.AlertingConfig.AlertRelabelConfigs...) {
		return nil
	}
	return b.Labels().Map()
}

// alertmanagerConfig asks an Alertmanager for the configuration that it runs with.
func (a *asker) alertmanagerConfig(ctx context.Context) (string, error) {
	status, body, err := a.do(ctx, "/api/v2/status", nil)
	if err != nil {
		return "", err
	}
	var answer struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || answer.Config.Original == "" {
		return "", fmt.Errorf("%s: %d %s: this is not Alertmanager's API: %s says where it runs", a.name(), status, http.StatusText(status), a.flag)
	}
	return answer.Config.Original, nil
}
