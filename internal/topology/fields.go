package topology

import (
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Label returns the identity label that a field of a file or of a request
// sets: a label's own name, or alias ("service", "name") for the service's
// own name.
func (i Identity) Label(field, alias string) (string, bool) {
	if slices.Contains(i.Names(), field) {
		return field, true
	}
	if field == alias {
		return i.Last(), true
	}
	return "", false
}

// SplitFields takes the identity labels out of a mapping of a YAML file: their
// values by label, and a mapping of the remaining fields, which are among the
// given ones. alias is a field that stands for the service's own name, such as
// "name"; see [Identity.Label]. A field that is unknown or stands twice, and a
// label whose value is no text, is an error with its line and column.
func (i Identity) SplitFields(file string, n *yaml.Node, alias string, fields []string) (map[string]string, *yaml.Node, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil, nil, yamlfile.At(file, n, "want a mapping with the fields %s, …", alias)
	}
	var errs []error
	values, rest := map[string]string{}, *n
	rest.Content = nil
	for k := 0; k+1 < len(n.Content); k += 2 {
		key, value := n.Content[k], n.Content[k+1]
		if slices.Contains(fields, key.Value) {
			rest.Content = append(rest.Content, key, value)
			continue
		}
		label, ok := i.Label(key.Value, alias)
		if !ok {
			known := append([]string{alias}, fields...)
			for _, name := range i.Names() {
				if !slices.Contains(known, name) {
					known = append(known, name)
				}
			}
			errs = append(errs, yamlfile.At(file, key, "%s", yamlfile.Unknown("field", key.Value, known)))
			continue
		}
		if _, twice := values[label]; twice {
			errs = append(errs, yamlfile.At(file, key, "field %q: the label %q has a value already", key.Value, label))
			continue
		}
		var text string
		if err := yamlfile.Decode(file, value, &text); err != nil {
			errs = append(errs, err)
			continue
		}
		values[label] = text
	}
	return values, &rest, errors.Join(errs...)
}
