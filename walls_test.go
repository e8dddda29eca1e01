package foreshock_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/foreshock/foreshock"

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]listed{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[l.ImportPath] = l
	}
}

// The walls of the design: who may import what. Each has its reason.
func TestImportWalls(t *testing.T) {
	all := list(t)
	const prom = "github.com/prometheus/prometheus/"

	// Storage is reached through one package, so that a change of Prometheus's
	// Go API is met in one place.
	for path, l := range all {
		if !strings.HasPrefix(path, module) || path == module+"/internal/source" {
			continue
		}
		for _, dep := range l.Imports {
			if strings.HasPrefix(dep, prom+"tsdb") || strings.HasPrefix(dep, prom+"scrape") || strings.HasPrefix(dep, prom+"storage/remote") {
				t.Errorf("%s imports %s: only internal/source may", path, dep)
			}
		}
	}

	// The parts that decide stay free of configuration and of the cloud SDKs
	// that come with it.
	for _, pkg := range []string{"detectors", "internal/topology", "internal/change", "internal/incident"} {
		l, ok := all[module+"/"+pkg]
		if !ok {
			t.Errorf("package %s is gone", pkg)
			continue
		}
		if slices.Contains(l.Deps, prom+"config") {
			t.Errorf("%s reaches %sconfig", pkg, prom)
		}
	}

	// Who knows what, by direct imports of ours.
	allowed := map[string][]string{
		"detectors":          {},
		"alertmanager":       {},
		"rules":              {"detectors", "internal/yamlfile"},
		"internal/yamlfile":  {},
		"internal/linelog":   {},
		"internal/source":    {},
		"internal/topology":  {"internal/yamlfile"},
		"internal/change":    {"internal/topology", "internal/linelog", "internal/yamlfile"},
		"internal/incident":  {"internal/topology", "internal/change"},
		"internal/engine":    {"rules", "detectors", "alertmanager", "internal/source", "internal/topology", "internal/change", "internal/incident", "internal/linelog"},
		"internal/plot":      {"internal/incident"},
		"internal/packs":     {"internal/yamlfile"},
		"internal/livecheck": {"rules", "internal/source", "internal/yamlfile"},
		"internal/starter":   {"internal/packs", "internal/topology"},
		"internal/web":       {"internal/topology", "internal/change", "internal/incident", "internal/plot"},
		"internal/demo":      {},
		"cmd/foreshock":      {"internal/app"},
		"internal/backtest":  {"rules", "internal/engine", "internal/incident", "internal/source", "internal/topology", "internal/change", "internal/plot", "internal/yamlfile"},
		"internal/ruletest":  {"rules", "detectors", "internal/engine", "internal/incident", "internal/source", "internal/topology", "internal/change", "internal/yamlfile"},
	}
	for pkg, may := range allowed {
		for _, dep := range all[module+"/"+pkg].Imports {
			if ours, ok := strings.CutPrefix(dep, module+"/"); ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s: it may import %v only", pkg, ours, may)
			}
		}
	}

	// Detectors know numbers only.
	for _, dep := range all[module+"/detectors"].Imports {
		if strings.Contains(dep, ".") && !strings.HasPrefix(dep, "gonum.org/v1/gonum/") {
			t.Errorf("detectors imports %s: the standard library and gonum only", dep)
		}
	}
}

// parse reads the Go files of a folder, tests included.
func parse(t *testing.T, dir string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, error %v", dir, len(names), err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// What make test does not run under the race detector starts no goroutine.
func TestSequentialPackages(t *testing.T) {
	for _, dir := range []string{"detectors", "internal/incident"} {
		for name, f := range parse(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s starts a goroutine: take %s out of SEQUENTIAL in the Makefile", name, dir)
				}
				return true
			})
		}
	}
}

// make stories runs the tests of internal/app with the tag e2e by their prefix.
func TestStoriesAreRun(t *testing.T) {
	found := 0
	for name, f := range parse(t, "internal/app") {
		if len(f.Comments) == 0 || f.Comments[0].List[0].Text != "//go:build e2e" {
			continue
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
				if found++; !strings.HasPrefix(fn.Name.Name, "TestShop") {
					t.Errorf("%s: %s is never run: begin its name with TestShop", name, fn.Name.Name)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no story was found")
	}
}
