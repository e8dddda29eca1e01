package yamlfile

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

const (
	// maxErrors bounds the errors that one Decode reports.
	maxErrors = 50
	// maxAliased bounds the nodes that aliases may multiply a document to.
	maxAliased = 1_000_000
)

// Decode fills the value that into points to from a node. What the document
// does not name keeps its value, so defaults may stand there before; a nil
// or zero node changes nothing.
//
// It decodes structs by their `yaml:"name"` tags (",inline" structs too),
// maps with string keys, slices, pointers, scalars, durations in Prometheus's
// notation (time.Duration and model.Duration), yaml.Node, any, and whatever
// implements yaml.Unmarshaler or, for scalars, encoding.TextUnmarshaler.
//
// The error joins one [Error] for each thing that is wrong, in the order of
// the document; the value is then filled in part and not to be used.
func Decode(file string, node *yaml.Node, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("%s: cannot decode into a %T: it must be a pointer", file, into)
	}
	if node != nil && node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	if node == nil || node.Kind == 0 {
		return nil
	}
	d := &decoder{file: file}
	d.value(node, v.Elem())
	if d.dropped > 0 {
		d.errs = append(d.errs, fmt.Errorf("%s: and %d more errors", file, d.dropped))
	}
	return errors.Join(d.errs...)
}

type decoder struct {
	file    string
	errs    []error
	dropped int
	aliases []*yaml.Node // aliases around the present node
	aliased int
}

func (d *decoder) add(err error) {
	if len(d.errs) >= maxErrors {
		d.dropped++
		return
	}
	d.errs = append(d.errs, err)
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.add(At(d.file, n, format, args...))
}

var (
	durationType      = reflect.TypeFor[time.Duration]()
	promDurationType  = reflect.TypeFor[model.Duration]()
	nodeType          = reflect.TypeFor[yaml.Node]()
	unmarshalerType   = reflect.TypeFor[yaml.Unmarshaler]()
	textType          = reflect.TypeFor[encoding.TextUnmarshaler]()
	oldUnmarshalerTyp = reflect.TypeFor[oldUnmarshaler]()
)

// oldUnmarshaler is the interface of the yaml package's second version, which
// many types of Prometheus still implement.
type oldUnmarshaler interface {
	UnmarshalYAML(unmarshal func(any) error) error
}

func (d *decoder) value(n *yaml.Node, v reflect.Value) {
	if len(d.aliases) > 0 {
		if d.aliased++; d.aliased > maxAliased {
			if d.aliased == maxAliased+1 {
				d.fail(n, "aliases multiply this document to more than %d values", maxAliased)
			}
			return
		}
	}
	if n.Kind == yaml.AliasNode {
		for _, outer := range d.aliases {
			if outer == n.Alias {
				d.fail(n, "anchor %q holds itself", shorten(n.Value))
				return
			}
		}
		d.aliases = append(d.aliases, n.Alias)
		d.value(n.Alias, v)
		d.aliases = d.aliases[:len(d.aliases)-1]
		return
	}
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(*n))
		return
	}
	if isNull(n) {
		if nullable(v.Kind()) {
			v.SetZero()
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem())
		return
	}
	if d.special(n, v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			d.fail(n, "this field cannot be set from a file (%s)", v.Type())
			return
		}
		d.library(n, v, "")
	default:
		d.scalar(n, v)
	}
}

func nullable(k reflect.Kind) bool {
	switch k {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	}
	return false
}

// special decodes types that say themselves how they are written.
func (d *decoder) special(n *yaml.Node, v reflect.Value) bool {
	switch v.Type() {
	case durationType, promDurationType:
		d.duration(n, v)
		return true
	}
	p := v.Addr()
	switch {
	case p.Type().Implements(unmarshalerType):
		d.own(n, p.Interface().(yaml.Unmarshaler).UnmarshalYAML(n))
	case p.Type().Implements(oldUnmarshalerTyp):
		d.own(n, p.Interface().(oldUnmarshaler).UnmarshalYAML(func(into any) error { return n.Decode(into) }))
	case p.Type().Implements(textType) && n.Kind == yaml.ScalarNode:
		d.own(n, p.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)))
	case p.Type().Implements(textType):
		d.fail(n, "expected a single value, not %s", describe(n))
	default:
		return false
	}
	return true
}

// own reports what a type's own decoding found, with its place unless it has one.
func (d *decoder) own(n *yaml.Node, err error) {
	if err == nil {
		return
	}
	if placed := (*Error)(nil); errors.As(err, &placed) {
		d.add(err)
		return
	}
	if typed := (*yaml.TypeError)(nil); errors.As(err, &typed) {
		d.typeErrors(n, typed)
		return
	}
	d.fail(n, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// typeErrors reports errors of the yaml package, which name their line.
func (d *decoder) typeErrors(n *yaml.Node, typed *yaml.TypeError) {
	for _, text := range typed.Errors {
		e := syntaxError(d.file, errors.New(text))
		if e.Line == n.Line || !lineOfErrorFound(text) {
			e.Line, e.Column = max(1, n.Line), max(1, n.Column)
		}
		d.add(e)
	}
}

func lineOfErrorFound(text string) bool { return strings.HasPrefix(text, "line ") }

func (d *decoder) duration(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "expected a duration such as 30s, not %s", describe(n))
		return
	}
	got, err := model.ParseDuration(n.Value)
	if err != nil {
		d.fail(n, "expected a duration such as 30s, 5m or 1h30m, not %s", describe(n))
		return
	}
	v.SetInt(int64(got))
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value) {
	var want string
	switch v.Kind() {
	case reflect.String:
		want = "a text"
	case reflect.Bool:
		want = "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		want = "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		want = "a whole number, zero or more"
	case reflect.Float32, reflect.Float64:
		want = "a number"
	default:
		d.fail(n, "this field cannot be set from a file (%s)", v.Type())
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "expected %s, not %s", want, describe(n))
		return
	}
	d.library(n, v, want)
}

// library lets the yaml package decode a node. The text says what was
// expected; without one its own errors are reported.
func (d *decoder) library(n *yaml.Node, v reflect.Value, want string) {
	err := n.Decode(v.Addr().Interface())
	if err == nil {
		return
	}
	if want != "" {
		d.fail(n, "expected %s, not %s", want, describe(n))
		return
	}
	d.own(n, err)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "expected a list, not %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for _, item := range n.Content {
		e := reflect.New(v.Type().Elem()).Elem()
		if isNull(Resolve(item)) && e.Type() != nodeType && !nullable(e.Kind()) {
			continue // as the yaml package does
		}
		d.value(item, e)
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String {
		d.fail(n, "this field cannot be set from a file (%s)", v.Type())
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "expected a mapping of names to values, not %s", describe(n))
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	}
	for _, p := range d.pairs(n) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, e)
		v.SetMapIndex(reflect.ValueOf(p.name).Convert(v.Type().Key()), e)
	}
}

// pairs lists a mapping's pairs and reports what is wrong with its keys.
func (d *decoder) pairs(n *yaml.Node) []pair {
	list, faults := pairs(n)
	for _, f := range faults {
		d.fail(f.at, "%s", f.msg)
	}
	return list
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value) {
	f := fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		d.fail(n, "expected a mapping with the fields %s, not %s", strings.Join(f.names, ", "), describe(n))
		return
	}
	for _, p := range d.pairs(n) {
		index, ok := f.index[p.name]
		if !ok {
			d.fail(p.key, "%s", Unknown("field", p.name, f.names))
			continue
		}
		field, err := v.FieldByIndexErr(index)
		if err != nil {
			d.fail(p.key, "field %q cannot be set from a file: %v", p.name, err)
			continue
		}
		d.value(p.value, field)
	}
}
