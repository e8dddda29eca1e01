package examples

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what of Grafana's dashboard JSON the checks look at. Other
// fields are known by name, so that a misspelt one is noticed.
type dashboard struct {
	UID, Title, Description string
	Tags                    []string
	SchemaVersion           int
	Templating              struct{ List []variable }
	Panels                  []panel
}

type variable struct {
	Name, Label, Type, Definition string
	Datasource                    *datasource
}

type datasource struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *datasource
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Options                  map[string]any
	Targets                  []struct {
		RefID, Expr, LegendFormat string
		Datasource                *datasource
	}
}

// panelFields and targetFields are all that the shipped panels and their queries have.
var (
	panelFields  = []string{"id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets", "transformations", "collapsed", "panels"}
	targetFields = []string{"refId", "datasource", "expr", "legendFormat", "editorMode", "range", "instant", "format"}
	panelTypes   = []string{"row", "stat", "timeseries", "table"}
	units        = []string{"none", "short", "s", "bytes", "percentunit", "reqps", "ops"}
)

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	out := map[string]dashboard{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[file] = d
		checkFields(t, file, b)
	}
	return out
}

func checkFields(t *testing.T, file string, b []byte) {
	t.Helper()
	var d struct {
		Panels []map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for name := range p {
			if !slices.Contains(panelFields, name) {
				t.Errorf("%s: panel %s: field %q, want one of %v", file, p["title"], name, panelFields)
			}
		}
		var targets []map[string]any
		if p["targets"] != nil {
			if err := json.NewDecoder(bytes.NewReader(p["targets"])).Decode(&targets); err != nil {
				t.Fatal(err)
			}
		}
		for _, target := range targets {
			for name := range target {
				if !slices.Contains(targetFields, name) {
					t.Errorf("%s: panel %s: field %q of a target, want one of %v", file, p["title"], name, targetFields)
				}
			}
		}
	}
}

var variableName = regexp.MustCompile(`\$\{?([a-zA-Z_]+)\}?`)

// The dashboards are as Grafana wants them, and as readers do: a unit and a
// description for each panel, every query over the chosen data source.
func TestDashboards(t *testing.T) {
	uids := map[string]bool{}
	for file, d := range dashboards(t) {
		if d.UID == "" || len(d.UID) > 40 || uids[d.UID] || d.Title == "" || d.Description == "" || d.SchemaVersion < 39 || !slices.Contains(d.Tags, "foreshock") {
			t.Errorf("%s: uid %q, title %q, schema %d, tags %v: want one of its own, a title, a description, 39 or more, foreshock", file, d.UID, d.Title, d.SchemaVersion, d.Tags)
		}
		uids[d.UID] = true
		known := map[string]bool{"__rate_interval": true, "__range": true}
		for _, v := range d.Templating.List {
			known[v.Name] = true
			if v.Label == "" || v.Type == "query" && (v.Datasource == nil || v.Datasource.UID != "${datasource}") {
				t.Errorf("%s: variable %s: label %q, data source %v", file, v.Name, v.Label, v.Datasource)
			}
		}
		if len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" || d.Templating.List[0].Name != "datasource" {
			t.Errorf("%s: the first variable is not the data source", file)
		}
		ids, cells := map[int]string{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] != "" || p.ID == 0 {
				t.Errorf("%s: panel %q has the id of %q", file, p.Title, ids[p.ID])
			}
			ids[p.ID] = p.Title
			checkPanel(t, file, p, known)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: panel %q lies over %q, or beside the grid", file, p.Title, other)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

func checkPanel(t *testing.T, file string, p panel, variables map[string]bool) {
	t.Helper()
	if !slices.Contains(panelTypes, p.Type) || p.Title == "" || p.GridPos.W == 0 || p.GridPos.H == 0 {
		t.Errorf("%s: panel %d %q of type %q at %v", file, p.ID, p.Title, p.Type, p.GridPos)
	}
	if p.Type == "row" {
		return
	}
	if p.Description == "" || !slices.Contains(units, p.FieldConfig.Defaults.Unit) || len(p.Targets) == 0 || len(p.Options) == 0 {
		t.Errorf("%s: panel %q: description %q, unit %q, %d targets", file, p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if refs[target.RefID] || target.RefID == "" || p.Datasource == nil || *p.Datasource != (datasource{"prometheus", "${datasource}"}) || target.Datasource == nil || *target.Datasource != *p.Datasource {
			t.Errorf("%s: panel %q: target %q over %v", file, p.Title, target.RefID, target.Datasource)
		}
		refs[target.RefID] = true
		for _, m := range variableName.FindAllStringSubmatch(target.Expr, -1) {
			if !variables[m[1]] {
				t.Errorf("%s: panel %q: the variable $%s is not there: %s", file, p.Title, m[1], target.Expr)
			}
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.*), [a-z_]+\)$`)

// dashboardQueries are the expressions of all panels and variables, by where
// they stand, with values in place of variables.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h")
	out := map[string]string{}
	for file, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			m := labelValues.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Errorf("%s: variable %s: %q, want label_values(selector, label)", file, v.Name, v.Definition)
				continue
			}
			out[file+": variable "+v.Name] = fill.Replace(m[1])
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				out[file+": "+p.Title+" "+target.RefID] = fill.Replace(target.Expr)
			}
		}
	}
	return out
}
