package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Identity says which labels name a service, the most general first: the last
// one holds the service's own name, those before it say where that name is
// used. An absent label counts as empty. The zero Identity is cluster,
// namespace, service.
type Identity struct{ names []string }

// NewIdentity makes an identity of label names; nil gives the default. A list
// without any, an invalid name and a name that stands twice are errors.
func NewIdentity(names []string) (Identity, error) {
	if names == nil {
		return Identity{}, nil
	}
	if len(names) == 0 {
		return Identity{}, fmt.Errorf("no label: at least one must name a service")
	}
	for i, n := range names {
		if !model.UTF8Validation.IsValidLabelName(n) || n == model.MetricNameLabel {
			return Identity{}, fmt.Errorf("%q is no label that can name a service", n)
		}
		if slices.Contains(names[:i], n) {
			return Identity{}, fmt.Errorf("label %q stands twice", n)
		}
	}
	return Identity{names: slices.Clone(names)}, nil
}

// Names returns the labels, the most general first.
func (id Identity) Names() []string { return slices.Clone(id.list()) }

// Last returns the label that holds the service's own name.
func (id Identity) Last() string {
	names := id.list()
	return names[len(names)-1]
}

func (id Identity) list() []string {
	if id.names == nil {
		return []string{"cluster", "namespace", "service"}
	}
	return id.names
}

var (
	escaper   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescaper = strings.NewReplacer("%25", "%", "%2F", "/")
)

// Of names a service by the values of its labels ("" for an absent one): joined
// by "/", without empty ones in front; "/" and "%" inside of values are written
// as %2F and %25. Where the last label is empty there is no service.
func (id Identity) Of(value func(label string) string) Service {
	names := id.list()
	if value(names[len(names)-1]) == "" {
		return ""
	}
	var b strings.Builder
	for i, n := range names {
		v := value(n)
		if v == "" && b.Len() == 0 {
			continue
		}
		if strings.ContainsAny(v, "/%") {
			v = escaper.Replace(v)
		}
		b.WriteString(v)
		if i < len(names)-1 {
			b.WriteByte('/')
		}
	}
	return Service(b.String())
}

// OfLabels names the service that a series belongs to.
func (id Identity) OfLabels(ls labels.Labels) Service { return id.Of(ls.Get) }

// OfMap names the service that a set of labels belongs to.
func (id Identity) OfMap(m map[string]string) Service {
	return id.Of(func(n string) string { return m[n] })
}

// Labels is the inverse of Of: the labels that are not empty, none for the zero
// Service. Of a name with more parts than there are labels the last ones count.
func (id Identity) Labels(s Service) map[string]string {
	out := map[string]string{}
	if s == "" {
		return out
	}
	parts := strings.Split(string(s), "/")
	names := id.list()
	skip := len(names) - len(parts)
	for i, p := range parts {
		if k := skip + i; k >= 0 && p != "" {
			out[names[k]] = unescaper.Replace(p)
		}
	}
	return out
}
