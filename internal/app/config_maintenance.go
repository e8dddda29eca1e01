package app

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// maintenanceBlock is one item of `incidents: maintenance:`.
type maintenanceBlock struct {
	Title     string              `yaml:"title"`
	Services  []map[string]string `yaml:"services"`
	From      moment              `yaml:"from"`
	To        moment              `yaml:"to"`
	Intervals []change.Interval   `yaml:"time_intervals"`
}

// moment is a time in the notation of RFC 3339.
type moment struct{ time.Time }

func (m *moment) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is no time as of RFC 3339: write one such as 2026-06-18T22:00:00Z", text)
	}
	m.Time = at
	return nil
}

// windows checks the list of maintenance windows, which stands at n.
func windows(path string, n *yaml.Node, list []maintenanceBlock, id topology.Identity) ([]change.Window, error) {
	var errs []error
	var out []change.Window
	for i, b := range list {
		place := item(n, i)
		w := change.Window{Title: b.Title, From: b.From.Time, To: b.To.Time, Intervals: b.Intervals}
		for k, set := range b.Services {
			labels := map[string]string{}
			for name, value := range set {
				label, ok := id.Label(name, "service")
				if !ok {
					errs = append(errs, at(path, field(item(field(place, "services"), k), name),
						yamlfile.Unknown("label", name, append(id.Names(), "service"))))
					continue
				}
				labels[label] = value
			}
			w.Services = append(w.Services, labels)
		}
		for k, v := range b.Intervals {
			for j, r := range v.Times {
				if r.Start >= r.End {
					where := item(field(item(field(place, "time_intervals"), k), "times"), j)
					errs = append(errs, at(path, where, "the time ends before it begins: what lasts over midnight is two times, until '24:00' and from '00:00'"))
				}
			}
		}
		if err := w.Check(); err != nil {
			errs = append(errs, at(path, place, err.Error()))
		}
		out = append(out, w)
	}
	return out, errors.Join(errs...)
}

// rollbackCommand reads the template of the command that undoes a change. An
// error is at its place inside the text.
func rollbackCommand(path string, data []byte, n *yaml.Node, text string, id topology.Identity) (*change.Command, error) {
	if text == "" {
		return nil, nil
	}
	c, err := change.ParseCommand(text, id)
	if err == nil {
		return c, nil
	}
	var e *change.CommandError
	if !errors.As(err, &e) {
		return nil, at(path, n, "rollback: "+err.Error())
	}
	out := &yamlfile.Error{File: path, Msg: "rollback: " + e.Msg}
	out.Line, out.Column = yamlfile.Position(data, n, offsetOf(text, e.Line, e.Column))
	return nil, out
}

// offsetOf is the offset in bytes of a line and column, counted from 1.
func offsetOf(text string, line, column int) int {
	offset := 0
	for i := range len(text) {
		if line <= 1 {
			break
		}
		if text[i] == '\n' {
			line--
			offset = i + 1
		}
	}
	return min(offset+column-1, len(text))
}
