package demo

import (
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

//go:embed config
var configFiles embed.FS

// ConfigOptions say what the demo's configuration depends on.
type ConfigOptions struct {
	// AlertmanagerURL is where to send; without it there is no alerting block.
	AlertmanagerURL string
	ScrapeInterval  time.Duration // 0 means 1s
}

// Config returns the demo's configuration: file contents by path relative to
// the configuration's folder, of which foreshock.yml is the main file. Only
// that one depends on the options.
func Config(o ConfigOptions) (map[string]string, error) {
	alertmanager, err := parseAlertmanager(o.AlertmanagerURL)
	if err != nil {
		return nil, err
	}
	if o.ScrapeInterval == 0 {
		o.ScrapeInterval = time.Second
	}
	if o.ScrapeInterval < time.Millisecond {
		return nil, fmt.Errorf("demo: scrape interval %v is not at least 1ms", o.ScrapeInterval)
	}
	files := map[string]string{}
	for _, name := range []string{"topology.yml", "rules/shop.yml", "foreshock.yml"} {
		content, err := configFiles.ReadFile("config/" + name)
		if err != nil {
			return nil, fmt.Errorf("demo: embedded file: %w", err)
		}
		files[name] = string(content)
	}
	main, err := template.New("foreshock.yml").Option("missingkey=error").Parse(files["foreshock.yml"])
	if err != nil {
		return nil, fmt.Errorf("demo: embedded file: %w", err)
	}
	var b strings.Builder
	err = main.Execute(&b, map[string]any{
		"ScrapeInterval": model.Duration(o.ScrapeInterval).String(),
		"Job":            Job,
		"Targets":        TargetsName,
		"Alertmanager":   alertmanager,
	})
	if err != nil {
		return nil, fmt.Errorf("demo: embedded file: %w", err)
	}
	files["foreshock.yml"] = b.String()
	files[TargetsName] = "[]\n"
	return files, nil
}

// TargetsName is the file that names what is scraped; it is empty until the
// shop opens.
const TargetsName = "targets.json"

// TargetsFile returns the content of the file that names what is scraped, in
// Prometheus's file_sd format.
func TargetsFile(targets []Target) ([]byte, error) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, t := range targets {
		if _, _, err := net.SplitHostPort(t.Address); err != nil {
			return nil, fmt.Errorf("demo: target %s: %w", t.Service, err)
		}
		groups = append(groups, group{[]string{t.Address}, map[string]string{"service": t.Service, "instance": t.Instance}})
	}
	return json.MarshalIndent(groups, "", "  ")
}

// parseAlertmanager checks a URL as the alerting block can express it; nil when
// there is none.
func parseAlertmanager(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("demo: Alertmanager's URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("demo: Alertmanager's URL %q must be like http://localhost:9093", raw)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("demo: Alertmanager's URL %q must have no user, query or fragment", u.Redacted())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}
