package backtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// Case is labelled history: a folder with incidents.yml. Of that file only the
// header is read, never the labels.
type Case struct {
	Dir      string
	Name     string
	Files    []string // OpenMetrics files, in time order
	Declared topology.Declared
	Changes  []change.Change
	From, To time.Time
	Interval time.Duration // distance of samples
}

// header is the part of incidents.yml that an engine under test may know.
type header struct {
	Case      string    `yaml:"case"`
	Interval  float64   `yaml:"interval_seconds"`
	Files     []string  `yaml:"files"`
	Topology  string    `yaml:"topology"`
	Changes   string    `yaml:"changes"`
	DataStart time.Time `yaml:"data_start"`
	DataEnd   time.Time `yaml:"data_end"`
}

// LoadCase reads the header of a case, its topology and its changes. Services
// are named by the identity.
func LoadCase(dir string, id topology.Identity) (*Case, error) {
	path := filepath.Join(dir, "incidents.yml")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("case %s: %w: want a folder with incidents.yml", dir, err)
	}
	var h header
	if err := yaml.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := &Case{Dir: dir, Name: h.Case, From: h.DataStart, To: h.DataEnd, Interval: time.Duration(h.Interval * float64(time.Second))}
	if c.Name == "" {
		c.Name = filepath.Base(dir)
	}
	var errs []error
	if len(h.Files) == 0 {
		errs = append(errs, fmt.Errorf("%s: files: names no OpenMetrics file", path))
	}
	if h.DataStart.IsZero() || !h.DataEnd.After(h.DataStart) {
		errs = append(errs, fmt.Errorf("%s: data_start and data_end must be times, the end after the start", path))
	}
	for _, f := range h.Files {
		c.Files = append(c.Files, filepath.Join(dir, f))
	}
	if h.Topology != "" {
		f := filepath.Join(dir, h.Topology)
		data, err := os.ReadFile(f)
		if err == nil {
			c.Declared, err = topology.ParseFile(f, data, id)
		}
		errs = append(errs, err)
	}
	if h.Changes != "" {
		f := filepath.Join(dir, h.Changes)
		data, err := os.ReadFile(f)
		if err == nil {
			c.Changes, err = change.ParseFile(f, data, id)
		}
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}
