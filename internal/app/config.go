package app

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/engine"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/packs"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Config is a whole configuration: foreshock.yml and all the files that it names.
type Config struct {
	File       string
	Prometheus *config.Config // the blocks that are Prometheus's own
	Source     *SourceConfig  // nil: scrape into the embedded TSDB
	Engine     engine.Config
	Packs      []packs.Pack // whose rules, edges and versions are in Engine
	SendAlerts bool         // plain alerting rules are sent

	sourceClient promconfig.HTTPClientConfig // of Source
	own          *yaml.Node                  // our blocks as they stand in the file; nil: none
	packAt       map[string]*yaml.Node       // where Packs are named
}

// SourceConfig is the block `source:`.
type SourceConfig struct {
	URL        string        `yaml:"url"`
	HTTPClient yaml.Node     `yaml:"http_client"`
	Timeout    time.Duration `yaml:"timeout"`
	SendAlerts bool          `yaml:"send_alerts"`
}

// ours are the top-level blocks of foreshock.yml that Prometheus does not know.
type ours struct {
	Source    *SourceConfig  `yaml:"source"`
	Packs     []yaml.Node    `yaml:"packs"`
	Identity  []string       `yaml:"identity"`
	Topology  topologyBlock  `yaml:"topology"`
	Changes   changesBlock   `yaml:"changes"`
	Incidents incidentsBlock `yaml:"incidents"`
}

type changesBlock struct {
	Discover []struct {
		Kind         string `yaml:"kind"`
		Versions     string `yaml:"versions"`
		VersionLabel string `yaml:"version_label"`
	} `yaml:"discover"`
	Rollout  time.Duration `yaml:"rollout"`
	Rollback string        `yaml:"rollback"`
}

type incidentsBlock struct {
	Mode         string             `yaml:"mode"`
	Interval     time.Duration      `yaml:"interval"`
	Settle       time.Duration      `yaml:"settle"`
	Hold         time.Duration      `yaml:"hold"`
	FalsePages   string             `yaml:"false_pages"`
	FalseTickets string             `yaml:"false_tickets"`
	IgnoreAlerts []string           `yaml:"ignore_alerts"`
	Alertmanager bool               `yaml:"read_alertmanager"`
	Maintenance  []maintenanceBlock `yaml:"maintenance"`
}

// theirs are Prometheus's top-level blocks that do what they do there.
var theirs = []string{"global", "rule_files", "scrape_configs", "scrape_config_files", "alerting", "remote_write", "storage"}

// later are blocks and fields that DESIGN foresees and this version does not have.
var later = map[string]string{
	"remote_read": "remote_read is not supported: use `source:` to query a Prometheus-compatible server",
	"tracing":     "tracing is not supported yet: remove the block",
	"otlp":        "otlp is not supported yet: remove the block",
	"runtime":     "runtime is not supported: set GOGC in the environment",
}

var blocks = []string{"source", "packs", "identity", "topology", "changes", "incidents"}

// LoadConfig reads foreshock.yml and the files that it names. The error holds
// everything that is wrong, with file, line and column.
func LoadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return ParseConfig(path, data)
}

// ParseConfig is LoadConfig for a text; relative paths are taken from the directory of path.
func ParseConfig(path string, data []byte) (*Config, error) {
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return nil, err
	}
	own := ours{Incidents: incidentsBlock{Mode: "page", Interval: 15 * time.Second, Settle: 45 * time.Second, Hold: 15 * time.Minute, FalsePages: "1 per 30d", FalseTickets: "1 per 1d", Alertmanager: true}, Changes: changesBlock{Rollout: 5 * time.Minute}}
	rest := data
	var mine *yaml.Node
	if root != nil {
		if mine, rest, err = split(path, root, data); err != nil {
			return nil, err
		}
		if err := yamlfile.Decode(path, mine, &own); err != nil {
			return nil, err
		}
	}
	prom, err := loadPrometheus(path, rest)
	if err != nil {
		return nil, err
	}
	c := &Config{File: path, own: mine, Prometheus: prom, Source: own.Source, SendAlerts: own.Source == nil || own.Source.SendAlerts}
	c.Engine, err = engineConfig(path, data, root, own, prom)
	if err != nil {
		return nil, err
	}
	c.Engine.ReadAlerts, c.Engine.ReadAlertmanager = own.Source != nil, own.Incidents.Alertmanager
	if err := c.addPacks(field(root, "packs"), own); err != nil {
		return nil, err
	}
	if own.Source != nil {
		if c.sourceClient, err = own.Source.check(path, field(root, "source")); err != nil {
			return nil, err
		}
		if len(prom.ScrapeConfigs) > 0 {
			return nil, at(path, field(root, "source"), "source and scrape_configs exclude each other: query a server or scrape targets")
		}
	}
	return c, nil
}

// split divides the document into our blocks and the text that is Prometheus's,
// in which our lines are blank so that its line numbers hold.
func split(path string, root *yaml.Node, data []byte) (*yaml.Node, []byte, error) {
	if root.Kind != yaml.MappingNode {
		return nil, nil, at(path, root, "want a mapping of blocks such as scrape_configs: and incidents:")
	}
	if root.Style&yaml.FlowStyle != 0 {
		return nil, nil, at(path, root, "write the top-level blocks on lines of their own, not in {…}")
	}
	mine := &yaml.Node{Kind: yaml.MappingNode, Line: root.Line, Column: root.Column}
	lines := bytes.SplitAfter(data, []byte("\n"))
	var errs []error
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if text, ok := later[key.Value]; ok {
			errs = append(errs, at(path, key, text))
			continue
		}
		if contains(theirs, key.Value) {
			continue
		}
		if !contains(blocks, key.Value) {
			msg := fmt.Sprintf("unknown block %q", key.Value)
			if near, ok := yamlfile.Nearest(key.Value, append(append([]string{}, blocks...), theirs...)); ok {
				msg += fmt.Sprintf("; did you mean %q?", near)
			} else {
				msg += "; known are " + strings.Join(append(append([]string{}, blocks...), theirs...), ", ")
			}
			errs = append(errs, at(path, key, msg))
			continue
		}
		if key.Value == "incidents" && value.Kind == yaml.MappingNode {
			for k := 0; k < len(value.Content); k += 2 {
				if text, ok := later["incidents."+value.Content[k].Value]; ok {
					errs = append(errs, at(path, value.Content[k], text))
				}
			}
		}
		mine.Content = append(mine.Content, key, value)
		end := len(lines)
		if i+2 < len(root.Content) {
			end = root.Content[i+2].Line - 1
		}
		for n := key.Line - 1; n < end; n++ {
			if bytes.HasSuffix(lines[n], []byte("\n")) {
				lines[n] = []byte("\n")
			} else {
				lines[n] = nil
			}
		}
	}
	return mine, bytes.Join(lines, nil), errors.Join(errs...)
}

// engineConfig reads the files that the configuration names and checks all of it.
func engineConfig(path string, data []byte, root *yaml.Node, own ours, prom *config.Config) (engine.Config, error) {
	dir := filepath.Dir(path)
	ec := engine.Config{
		EvaluationInterval: time.Duration(prom.GlobalConfig.EvaluationInterval),
		QueryOffset:        time.Duration(prom.GlobalConfig.RuleQueryOffset),
		ExternalLabels:     prom.GlobalConfig.ExternalLabels,
		Mode:               incident.Mode(own.Incidents.Mode),
		Interval:           own.Incidents.Interval, Settle: own.Incidents.Settle, Hold: own.Incidents.Hold,
	}
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	names := own.Identity
	if names == nil {
		names = []string{"cluster", "namespace", "service"}
	}
	var err error
	if ec.Identity, err = topology.NewIdentity(names); err != nil {
		return ec, at(path, field(root, "identity"), "identity: "+err.Error())
	}
	switch ec.Mode {
	case incident.ModeShadow, incident.ModeTicket, incident.ModePage:
	default:
		fail(at(path, field(root, "incidents", "mode"), fmt.Sprintf("mode %q: want shadow, ticket or page", own.Incidents.Mode)))
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"interval", ec.Interval}, {"settle", ec.Settle}, {"hold", ec.Hold}} {
		if d.d <= 0 {
			fail(at(path, field(root, "incidents", d.name), fmt.Sprintf("%s is %s: it must be more than zero", d.name, d.d)))
		}
	}
	for _, b := range []struct {
		name, text string
		rate       *incident.Rate
	}{{"false_pages", own.Incidents.FalsePages, &ec.FalsePages}, {"false_tickets", own.Incidents.FalseTickets, &ec.FalseTickets}} {
		budget, err := detectors.ParseBudget(b.text)
		if err != nil {
			fail(at(path, field(root, "incidents", b.name), fmt.Sprintf("%s: %v", b.name, err)))
		}
		*b.rate = incident.Rate{Events: budget.Events, Per: budget.Per}
	}
	ec.IgnoreAlerts, err = ignoreAlerts(own.Incidents.IgnoreAlerts)
	if err != nil {
		fail(at(path, field(root, "incidents", "ignore_alerts"), err.Error()))
	}
	ec.Maintenance, err = windows(path, field(root, "incidents", "maintenance"), own.Incidents.Maintenance, ec.Identity)
	fail(err)
	if ec.Rollout = own.Changes.Rollout; ec.Rollout <= 0 {
		fail(at(path, field(root, "changes", "rollout"), fmt.Sprintf("rollout is %s: it must be more than zero", ec.Rollout)))
	}
	ec.Rollback, err = rollbackCommand(path, data, field(root, "changes", "rollback"), own.Changes.Rollback, ec.Identity)
	fail(err)
	ec.Rules, err = loadRules(path, root, prom.RuleFiles)
	fail(err)
	for i, f := range own.Topology.Files {
		if !filepath.IsAbs(f) {
			f = filepath.Join(dir, f)
		}
		data, err := os.ReadFile(f)
		if err != nil {
			fail(at(path, item(field(root, "topology", "files"), i), err.Error()))
			continue
		}
		d, err := topology.ParseFile(f, data, ec.Identity)
		fail(err)
		ec.Declared = ec.Declared.Merge(d)
	}
	ec.Edges, err = edgeDiscoveries(path, data, field(root, "topology"), own.Topology, ec.Identity)
	fail(err)
	for i, d := range own.Changes.Discover {
		at := func(name string) *yaml.Node { return field(item(field(root, "changes", "discover"), i), name) }
		if d.Kind == "" {
			d.Kind = "deploy"
		}
		fail(checkQuery(path, data, at("versions"), "versions", d.Versions))
		fail(checkLabel(path, at("version_label"), "version_label", d.VersionLabel))
		ec.Versions = append(ec.Versions, change.Discovery{Kind: d.Kind, Versions: d.Versions, VersionLabel: d.VersionLabel})
	}
	return ec, errors.Join(errs...)
}

// prometheusError is how Prometheus's YAML errors give their place.
var prometheusError = regexp.MustCompile(`(?m)line (\d+): (.*)$`)

var unknownField = regexp.MustCompile(`field (\S+) not found in type (\S+)`)

// loadPrometheus lets Prometheus's own code read its blocks, and gives its
// errors a column and a suggestion.
func loadPrometheus(path string, text []byte) (*config.Config, error) {
	cfg, err := config.Load(string(text), promslog.NewNopLogger())
	if err == nil {
		cfg.SetDirectory(filepath.Dir(path))
		if _, err := cfg.GetScrapeConfigs(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return cfg, nil
	}
	found := prometheusError.FindAllStringSubmatch(err.Error(), -1)
	if found == nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var errs []error
	lines := strings.Split(string(text), "\n")
	for _, f := range found {
		line, _ := strconv.Atoi(f[1])
		e := &yamlfile.Error{File: path, Line: line, Column: 1, Msg: f[2]}
		if line >= 1 && line <= len(lines) {
			e.Column = 1 + len(lines[line-1]) - len(strings.TrimLeft(lines[line-1], " -"))
		}
		if u := unknownField.FindStringSubmatch(f[2]); u != nil {
			e.Msg = fmt.Sprintf("unknown field %q", u[1])
			if line >= 1 && line <= len(lines) {
				if k := strings.Index(lines[line-1], u[1]); k >= 0 {
					e.Column = k + 1
				}
			}
			if near, ok := yamlfile.Nearest(u[1], prometheusFields()); ok {
				e.Msg += fmt.Sprintf("; did you mean %q?", near)
			}
		}
		errs = append(errs, e)
	}
	return nil, errors.Join(errs...)
}

// prometheusFields are the names of all fields of Prometheus's configuration.
func prometheusFields() []string {
	seen := map[reflect.Type]bool{}
	names := map[string]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			if tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); tag != "" && tag != "-" {
				names[tag] = true
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeOf(config.Config{}))
	out := make([]string, 0, len(names))
	for n := range names {
		out = append(out, n)
	}
	return sorted(out)
}
