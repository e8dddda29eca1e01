package change

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// entry is one change of a file, without its identity labels.
type entry struct {
	ID    string `yaml:"id"`
	Time  string `yaml:"time"`
	Kind  string `yaml:"kind"`
	From  string `yaml:"from"`
	To    string `yaml:"to"`
	Title string `yaml:"title"`
	Until string `yaml:"until"`
	// What version control knows of a change: allowed, and not used.
	Commit string   `yaml:"commit"`
	Files  []string `yaml:"files"`
}

var entryFields = []string{"id", "time", "kind", "from", "to", "title", "until", "commit", "files"}

// ParseFile reads a file of changes:
//
//	changes:
//	  - id: "4711"                    # optional
//	    time: 2026-06-18T14:59:30Z    # RFC 3339
//	    service: checkout             # the last identity label
//	    namespace: shop               # the others, where there are any
//	    kind: deploy                  # default
//	    from: 1.4.2
//	    to: 1.5.0
//	    title: new settlement query
//	    until: 2026-06-18T16:00:00Z   # of maintenance only: its end
//
// It returns them sorted by time and id. A change whose service is there but
// empty is one that is known to belong to no service, such as a commit that was
// not rolled out: it is checked and left out. A missing service is an error.
// Errors are [yamlfile.Error] values, joined.
func ParseFile(path string, data []byte, id topology.Identity) ([]Change, error) {
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return nil, err
	}
	var file struct {
		Changes []yaml.Node `yaml:"changes"`
	}
	if err := yamlfile.Decode(path, root, &file); err != nil {
		return nil, err
	}
	if n := len(file.Changes); n > MaxChanges {
		return nil, yamlfile.At(path, &file.Changes[MaxChanges], "more than %d changes (%d): split the file", MaxChanges, n)
	}
	var out []Change
	var errs []error
	lines := map[string]int{}
	for i := range file.Changes {
		n := &file.Changes[i]
		c, ok, err := read(path, n, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !ok {
			continue
		}
		if line, twice := lines[c.ID]; twice {
			errs = append(errs, yamlfile.At(path, n, "the change %q stands in line %d already", c.ID, line))
			continue
		}
		lines[c.ID] = n.Line
		out = append(out, c)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(out, compare)
	return out, nil
}

// read returns one change; false when it belongs to no service.
func read(path string, n *yaml.Node, id topology.Identity) (Change, bool, error) {
	values, rest, err := id.SplitFields(path, n, "service", entryFields)
	if err != nil {
		return Change{}, false, err
	}
	var e entry
	if err := yamlfile.Decode(path, rest, &e); err != nil {
		return Change{}, false, err
	}
	name, given := values[id.Last()]
	if !given {
		return Change{}, false, yamlfile.At(path, n, "the change has no service: write service: …")
	}
	at, err := parseTime(e.Time)
	if err != nil {
		_, where := yamlfile.Lookup(rest, "time")
		if where == nil {
			where = n
		}
		return Change{}, false, yamlfile.At(path, where, "%v", err)
	}
	c := Change{ID: e.ID, Time: at, Service: id.OfMap(values), Kind: e.Kind, From: e.From, To: e.To, Title: e.Title}
	if e.Until != "" {
		if c.Until, err = time.Parse(time.RFC3339, e.Until); err != nil {
			_, where := yamlfile.Lookup(rest, "until")
			return Change{}, false, yamlfile.At(path, where, "until: %q is no time as of RFC 3339: write one such as 2026-06-18T14:59:30Z", e.Until)
		}
	}
	if name == "" {
		c.Service = "none" // only to check the rest
	}
	if c, err = c.complete(); err != nil {
		return Change{}, false, yamlfile.At(path, n, "%v", err)
	}
	return c, name != "", nil
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("the change has no time: write one such as 2026-06-18T14:59:30Z")
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("time: %q is no time as of RFC 3339: write one such as 2026-06-18T14:59:30Z", text)
	}
	return at, nil
}
