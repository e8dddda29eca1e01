package app

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// check says what is wrong with the block `source:`, and reads its HTTP client.
func (c *SourceConfig) check(file string, n *yaml.Node) (promconfig.HTTPClientConfig, error) {
	if c.URL == "" {
		return promconfig.HTTPClientConfig{}, at(file, n, "source: url is missing: give the address of a Prometheus-compatible server")
	}
	// The text is not shown: it may hold a password.
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return promconfig.HTTPClientConfig{}, at(file, field(n, "url"), "source: url: want http://host:port or https://host, with the path before /api/v1 where there is one")
	}
	if c.Timeout < 0 {
		return promconfig.HTTPClientConfig{}, at(file, field(n, "timeout"), "source: timeout is "+c.Timeout.String()+": it must be more than zero")
	}
	return c.client(file)
}

// client reads the block http_client with Prometheus's own code. Files that it
// names are relative to the configuration's.
func (c *SourceConfig) client(file string) (promconfig.HTTPClientConfig, error) {
	cfg := promconfig.DefaultHTTPClientConfig
	if c.HTTPClient.Kind == 0 {
		return cfg, nil
	}
	text, err := yaml.Marshal(&c.HTTPClient)
	if err == nil {
		var parsed *promconfig.HTTPClientConfig
		if parsed, err = promconfig.LoadHTTPConfig(string(text)); err == nil {
			cfg = *parsed
		}
	}
	if err != nil {
		return cfg, httpClientError(file, &c.HTTPClient, err)
	}
	cfg.SetDirectory(filepath.Dir(file))
	return cfg, nil
}

// remote are the options of the source that a configuration names.
func (c *Config) remote() source.RemoteOptions {
	return source.RemoteOptions{URL: c.Source.URL, HTTPClient: &c.sourceClient, Timeout: c.Source.Timeout}
}

// httpClientError gives an error of Prometheus's code, whose lines are those of
// the block alone, its place in the file.
func httpClientError(file string, n *yaml.Node, err error) error {
	u := unknownField.FindStringSubmatch(err.Error())
	if u == nil {
		return at(file, n, "http_client: "+err.Error())
	}
	msg := fmt.Sprintf("http_client: unknown field %q", u[1])
	if near, ok := yamlfile.Nearest(u[1], prometheusFields()); ok {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	return at(file, keyNamed(n, u[1]), msg)
}

// keyNamed finds a key at any depth; where there is none it returns the node itself.
func keyNamed(n *yaml.Node, name string) *yaml.Node {
	var find func(*yaml.Node) *yaml.Node
	find = func(n *yaml.Node) *yaml.Node {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && child.Value == name {
				return child
			}
			if found := find(child); found != nil {
				return found
			}
		}
		return nil
	}
	if found := find(n); found != nil {
		return found
	}
	return n
}

// sameSource reports whether two configurations read from the same place.
func sameSource(a, b *SourceConfig) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, _ := yaml.Marshal(a)
	y, _ := yaml.Marshal(b)
	return string(x) == string(y)
}

// Check reads a configuration and all files that it names, and says what is in it.
func Check(path string, out io.Writer) error {
	cfg, err := LoadConfig(path)
	if err != nil {
		return err
	}
	var groups, records, alerts, detections int
	for _, f := range cfg.Engine.Rules {
		for _, g := range f.Groups {
			groups++
			for _, r := range g.Rules {
				switch {
				case r.Detection != nil:
					detections++
				case r.Prometheus.Alert != "":
					alerts++
				default:
					records++
				}
			}
		}
	}
	from := "scrapes " + numbered(len(cfg.Prometheus.ScrapeConfigs), "job")
	if cfg.Source != nil {
		from = "queries " + redacted(cfg.Source.URL)
	}
	_, err = fmt.Fprintf(out, "%s is valid: %s; %s with %d recording, %d alerting and %s; %s mode\n",
		path, from, numbered(groups, "group"), records, alerts, numbered(detections, "detection rule"), cfg.Engine.Mode)
	return err
}

// numbered writes a number of things.
func numbered(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}
