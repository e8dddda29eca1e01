package yamlfile

import (
	"reflect"
	"strings"
)

// fields are the names under which a struct's fields are written.
type fields struct {
	names []string // in the order of declaration
	index map[string][]int
}

func fieldsOf(t reflect.Type) fields {
	f := fields{index: map[string][]int{}}
	f.collect(t, nil)
	return f
}

// Fields returns the names under which the fields of a struct are written, in
// the order of declaration. A pointer to a struct will do.
func Fields(of any) []string {
	t := reflect.TypeOf(of)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	return fieldsOf(t).names
}

func (f *fields) collect(t reflect.Type, path []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		index := append(append([]int(nil), path...), i)
		if strings.Contains(","+options+",", ",inline,") && sf.Type.Kind() == reflect.Struct {
			f.collect(sf.Type, index)
			continue
		}
		if name == "" {
			name = strings.ToLower(sf.Name)
		}
		if _, ok := f.index[name]; ok {
			continue // the outer field hides the inlined one
		}
		f.names = append(f.names, name)
		f.index[name] = index
	}
}
