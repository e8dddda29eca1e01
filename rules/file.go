package rules

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// File is a rule file that was read and found right.
type File struct {
	Path   string
	Groups []*GroupSpec
	// Optional: rules without data are no fault, as in a pack, which is for several exporters.
	Optional bool
}

// GroupSpec is a group of rules as a file says it. The rules are evaluated in
// their order.
type GroupSpec struct {
	Name        string
	Interval    time.Duration  // 0: the global evaluation interval
	QueryOffset *time.Duration // nil: the global rule_query_offset
	Limit       int            // 0: none
	Labels      map[string]string
	Rules       []RuleSpec
}

// RuleSpec is one rule: exactly one of its two rules is set.
type RuleSpec struct {
	Prometheus *rulefmt.Rule // a recording or alerting rule
	Detection  *DetectionSpec
}

// Load reads the files that the patterns match, sorted by path and each once.
// Relative patterns are taken from dir. A pattern without wildcards must match.
// Detection rules may use the given detectors, or those of
// [detectors.All] when none are given. The error joins all that is wrong
// in all files.
func Load(patterns []string, dir string, catalogue ...detectors.Detector) ([]*File, error) {
	var errs []error
	var paths []string
	for _, pattern := range patterns {
		full := pattern
		if !filepath.IsAbs(full) {
			full = filepath.Join(dir, full)
		}
		found, err := filepath.Glob(full)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("rule file pattern %q: %w", pattern, err))
		case len(found) == 0 && !strings.ContainsAny(pattern, `*?[\`):
			errs = append(errs, fmt.Errorf("rule file %s does not exist", full))
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	var files []*File
	for _, path := range slices.Compact(paths) {
		data, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("rule file: %w", err))
			continue
		}
		f, err := ParseFile(path, data, catalogue...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	if err := Unique(files); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return files, nil
}

// Unique says whether each detection rule of the files has a name of its own; an
// error stands at the later one. [Load] and [ParseFile] do so for what they read.
func Unique(files []*File) error {
	first := map[string]*DetectionSpec{}
	var errs []error
	for _, f := range files {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				d := r.Detection
				if d == nil {
					continue
				}
				other, ok := first[d.Name]
				if !ok {
					first[d.Name] = d
					continue
				}
				errs = append(errs, &yamlfile.Error{File: d.File, Line: d.Line, Column: d.Column, Msg: fmt.Sprintf(
					"detection rule %q is also at %s:%d:%d; give it a name of its own", d.Name, other.File, other.Line, other.Column)})
			}
		}
	}
	return errors.Join(errs...)
}
