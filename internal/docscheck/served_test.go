package docscheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var metric = regexp.MustCompile(`\bforeshock_[a-z0-9_]+\*?`)

// testMetrics wants each metric of ours that a page names to stand in the
// source, with its whole name.
func (c *checker) testMetrics(t *testing.T) {
	source := c.source(t)
	n := 0
	for _, p := range c.pages {
		for i, line := range p.text {
			for _, name := range metric.FindAllString(line, -1) {
				n++
				if !metricIn(source, name) {
					t.Errorf("%s:%d: got the metric %s, want one that is registered", p.path, i+1, name)
				}
			}
		}
		for _, b := range p.blocks {
			for i, line := range strings.Split(b.text, "\n") {
				for _, name := range metric.FindAllString(line, -1) {
					if !metricIn(source, name) {
						t.Errorf("%s: got the metric %s, want one that is registered", b.at(i), name)
					}
				}
			}
		}
	}
	if n == 0 {
		t.Error("got no metric of ours in any page, want some")
	}
}

// metricIn says whether one of the files registers the metric: under its whole
// name, or as the rest of it after a namespace and subsystem of the same file.
func metricIn(files []string, name string) bool {
	if prefix, ok := strings.CutSuffix(name, "_*"); ok {
		subsystem := `Subsystem: "` + strings.TrimPrefix(prefix, "foreshock_") + `"`
		return slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, `"`+prefix+"_") || strings.Contains(f, subsystem) })
	}
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		short, ok := strings.CutSuffix(name, suffix)
		if ok && slices.ContainsFunc(files, func(f string) bool { return registers(f, short) }) {
			return true
		}
	}
	return false
}

func registers(file, name string) bool {
	if strings.Contains(file, `"`+name+`"`) {
		return true
	}
	rest := strings.TrimPrefix(name, "foreshock_")
	if strings.Contains(file, `"foreshock_"+`) && strings.Contains(file, `"`+rest+`"`) {
		return true
	}
	for _, m := range subsystem.FindAllStringSubmatch(file, -1) {
		if last, ok := strings.CutPrefix(rest, m[1]+"_"); ok && strings.Contains(file, `"`+last+`"`) {
			return true
		}
	}
	return false
}

var subsystem = regexp.MustCompile(`Namespace:\s*"foreshock",\s*Subsystem:\s*"(\w+)"`)

// source is the text of each Go file that is no test.
func (c *checker) source(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, dir := range []string{"alertmanager", "cmd", "detectors", "internal", "rules"} {
		err := filepath.WalkDir(filepath.Join(c.root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			out = append(out, string(data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var (
	methods = regexp.MustCompile(`\b(GET|POST|PUT|DELETE|PATCH)\b`)
	apiPath = regexp.MustCompile(`^(?:(?:GET|POST|PUT|DELETE|PATCH),? )*(/(?:api/v1|-)/[\w/{}-]+|/metrics)`)
)

// testHTTP holds docs/http.md against the server, in both directions, and the
// paths of the API that other pages name.
func (c *checker) testHTTP(t *testing.T) {
	p := c.page(t, "docs/http.md")
	var named []string
	rows := p.rows()
	for _, line := range sortedKeys(rows) {
		with := methods.FindAllString(rows[line][0], -1)
		if with == nil {
			with = []string{"GET"}
		}
		for _, path := range code(rows[line][0]) {
			path, _, _ = strings.Cut(path, "?")
			if !strings.HasPrefix(path, "/") {
				continue
			}
			named = append(named, path)
			for _, method := range with {
				if err := c.serves(method, path); err != nil {
					t.Errorf("%s:%d: %v", p.path, line, err)
				}
			}
		}
	}
	for _, path := range c.routes(t) {
		if !slices.Contains(named, path) {
			t.Errorf("docs/http.md: the path %s is missing; the tables have %v", path, named)
		}
	}
	for _, p := range c.pages {
		for _, s := range p.spans() {
			m := apiPath.FindStringSubmatch(s.text)
			if m == nil {
				continue
			}
			with := methods.FindAllString(s.text, -1)
			if with == nil {
				with = []string{""}
			}
			for _, method := range with {
				err := c.serves(method, m[1])
				if err != nil && (method != "" || strings.Contains(err.Error(), "the path")) {
					t.Errorf("%s:%d: %v", p.path, s.line, err)
				}
			}
		}
	}
}

// routes are the paths of the table in internal/web/routes.go, which tests
// outside of that package cannot ask for.
func (c *checker) routes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(c.root, "internal", "web", "routes.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) < 3 {
			return true
		}
		path, ok := lit.Elts[0].(*ast.BasicLit)
		if !ok || path.Kind != token.STRING {
			return true
		}
		// What is not for people: the pages' own files, and the answer to everything else.
		if s, err := strconv.Unquote(path.Value); err == nil && strings.HasPrefix(s, "/") && s != "/" && !strings.HasPrefix(s, "/static/") {
			paths = append(paths, strings.ReplaceAll(s, "{$}", ""))
		}
		return true
	})
	if len(paths) < 10 {
		t.Fatalf("got the routes %v from internal/web/routes.go, want at least ten: is the table elsewhere?", paths)
	}
	return paths
}
