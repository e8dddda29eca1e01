package demo

import (
	"embed"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

//go:embed config
var configFiles embed.FS

// ConfigOptions say what the demo's configuration depends on.
type ConfigOptions struct {
	Targets []Target
	// AlertmanagerURL is where to send; without it there is no alerting block.
	AlertmanagerURL string
	ScrapeInterval  time.Duration // 0 means 1s
}

// Config returns the demo's configuration: file contents by path relative to
// the configuration's folder, of which foreshock.yml is the main file. Only
// that one depends on the options.
func Config(o ConfigOptions) (map[string]string, error) {
	if len(o.Targets) == 0 {
		return nil, fmt.Errorf("demo: the configuration needs targets")
	}
	for _, t := range o.Targets {
		if _, _, err := net.SplitHostPort(t.Address); err != nil {
			return nil, fmt.Errorf("demo: target %s: %w", t.Service, err)
		}
		for _, name := range []string{t.Service, t.Instance} {
			if !plainName.MatchString(name) {
				return nil, fmt.Errorf("demo: target %q: a name needs letters, digits and dashes only", name)
			}
		}
	}
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
		"Targets":        o.Targets,
		"Alertmanager":   alertmanager,
	})
	if err != nil {
		return nil, fmt.Errorf("demo: embedded file: %w", err)
	}
	files["foreshock.yml"] = b.String()
	return files, nil
}

var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

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
