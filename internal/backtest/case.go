package backtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
)

// Case is a span of the past to replay, and what is known of it beside the metrics.
type Case struct {
	Name     string
	Input    Input
	Declared topology.Declared
	Changes  []change.Change
	// From and To bound the replay; zero means as far as the input reaches.
	From, To time.Time
	// Whole: all of the span was watched, also where there are no samples at its ends.
	Whole bool
	Truth *Truth // nil: nothing is graded
}

// Input is where the metrics of a case come from. One of Files, TSDB and Remote is set.
type Input struct {
	Files  []string              // OpenMetrics with timestamps, plain or gzip, in time order
	TSDB   string                // directory of a Prometheus TSDB, which is only read
	Remote *source.RemoteOptions // a server with Prometheus's query API; Results is not looked at
	// Cache is a directory in which the answers of Remote are kept from one run
	// to the next; "" keeps none.
	Cache string
}

// LoadCase reads the folder of a case: the header of its incidents.yml, the
// topology and changes that the header names, and the labels. Services are named by the
// identity.
func LoadCase(dir string, id topology.Identity) (*Case, error) {
	path := filepath.Join(dir, "incidents.yml")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("case %s: %w: want a folder with incidents.yml", dir, err)
	}
	h, truth, err := parseTruth(path, data)
	if err != nil {
		return nil, err
	}
	c := &Case{Name: h.Case, Truth: truth, To: truth.To, Whole: true}
	if c.Name == "" {
		c.Name = filepath.Base(dir)
	}
	truth.Case = c.Name
	if truth.Set == "" {
		truth.Set = firstPart(c.Name)
	}
	var errs []error
	if len(h.Files) == 0 {
		errs = append(errs, fmt.Errorf("%s: files: names no OpenMetrics file", path))
	}
	if start, err := time.Parse(time.RFC3339, h.DataStart.Value); err != nil || !c.To.After(start) {
		errs = append(errs, fmt.Errorf("%s: data_start and data_end must be times, the end after the start", path))
	} else {
		c.From = start.UTC()
		errs = append(errs, truth.checkSpan(c.From, c.To))
	}
	for _, f := range h.Files {
		f = filepath.Join(dir, f)
		c.Input.Files = append(c.Input.Files, f)
		if _, err := os.Stat(f); err != nil {
			errs = append(errs, fmt.Errorf("%s: files: %s: %w", path, f, reason(err)))
		}
	}
	if h.Topology != "" {
		errs = append(errs, c.LoadTopology(filepath.Join(dir, h.Topology), id))
	}
	if h.Changes != "" {
		errs = append(errs, c.LoadChanges(filepath.Join(dir, h.Changes), id))
	}
	return c, errors.Join(errs...)
}

// LoadTopology adds what a topology file declares.
func (c *Case) LoadTopology(path string, id topology.Identity) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	d, err := topology.ParseFile(path, data, id)
	c.Declared = c.Declared.Merge(d)
	return err
}

// LoadChanges sets the changes of a changes file.
func (c *Case) LoadChanges(path string, id topology.Identity) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("changes: %w", err)
	}
	c.Changes, err = change.ParseFile(path, data, id)
	return err
}

// LoadTruth sets the labels from an incidents.yml. Of its header it takes only
// what grading needs.
func (c *Case) LoadTruth(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	if _, c.Truth, err = parseTruth(path, data); err != nil {
		return err
	}
	c.Truth.Case = c.Name
	if c.Truth.Set == "" {
		c.Truth.Set = firstPart(c.Name)
	}
	if len(c.Changes) > 0 {
		c.Truth.Changes = true
	}
	return nil
}

// reason is what is wrong with a file, where its path has been said already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func firstPart(name string) string {
	for i := range name {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return name
}
