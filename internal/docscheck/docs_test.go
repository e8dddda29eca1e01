package docscheck

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/web"
)

// checker is what the checks share: the pages, and the program that they describe.
type checker struct {
	root     string // of the tree
	binary   string
	commands map[string]map[string]flag // of the binary, with their flags
	pages    []*page
	server   http.Handler // the pages and the API, with nothing behind them

	config                       []place // of foreshock.yml, the outermost first
	rule, group, service, change []string

	dir        string // of workspaces
	workspaces map[*page]string
}

// flag is a flag as --help tells it.
type flag struct {
	value  bool   // it takes a value
	writes bool   // which is a file that is written
	usage  string // what help says of it
}

// TestDocs keeps README.md, docs/ and the examples' README.md true.
func TestDocs(t *testing.T) {
	c := newChecker(t)
	t.Run("yaml", c.testYAML)
	t.Run("other languages", c.testOtherLanguages)
	t.Run("commands", c.testCommands)
	t.Run("inline commands", c.testInlineCommands)
	t.Run("links", c.testLinks)
	t.Run("flags", c.testFlags)
	t.Run("configuration", c.testConfiguration)
	t.Run("rules", c.testRules)
	t.Run("detectors", c.testDetectors)
	t.Run("metrics", c.testMetrics)
	t.Run("http", c.testHTTP)
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{root: root, dir: t.TempDir(), workspaces: map[*page]string{}}
	c.binary = filepath.Join(c.dir, "foreshock")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", c.binary, "./cmd/foreshock")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	c.pages = readPages(t, root)
	c.commands = c.readHelp(t)
	c.config = places(parseConfig, nil)
	c.rule, c.group, c.service, c.change = ruleFields(), groupFields(), serviceFields(), changeFields()
	if len(c.config) < 2 || len(c.rule) == 0 || len(c.group) == 0 || len(c.service) == 0 || len(c.change) == 0 {
		t.Fatalf("the parsers do not list their fields any more: got %v of the configuration, rules %v, groups %v, services %v, changes %v",
			c.config, c.rule, c.group, c.service, c.change)
	}
	c.server = newServer(t)
	return c
}

// newServer serves the pages and the API of a program that knows nothing.
func newServer(t *testing.T) http.Handler {
	t.Helper()
	nothing := errors.New("there is nothing behind this server")
	h, err := web.New(web.Options{
		Now:       time.Now,
		Incidents: func() []*incident.Incident { return nil },
		Status:    func() web.Status { return web.Status{} },
		Ready:     func() (bool, string) { return true, "" },
		DecodeChange: func(io.Reader) ([]change.Change, error) {
			return nil, nothing
		},
		AddChange: func(context.Context, change.Change) error { return nothing },
		Query: func(context.Context, string, time.Time) (parser.Value, annotations.Annotations, error) {
			return nil, nil, nothing
		},
		QueryRange: func(context.Context, string, time.Time, time.Time, time.Duration) (parser.Value, annotations.Annotations, error) {
			return nil, nil, nothing
		},
		Reload:          func(context.Context) error { return nil },
		Quit:            func() {},
		EnableLifecycle: true,
		Gatherer:        prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var (
	commandOfHelp = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) +\S`)
	flagOfHelp    = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([\w.-]+)( [\w.]+)?(?:\[=\S+\])?   +(.*)$`)
)

// readHelp asks the binary for its commands and their flags.
func (c *checker) readHelp(t *testing.T) map[string]map[string]flag {
	t.Helper()
	ask := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(c.binary, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("foreshock %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	all := map[string]map[string]flag{}
	for _, m := range commandOfHelp.FindAllStringSubmatch(ask("help"), -1) {
		all[m[1]] = map[string]flag{}
		for _, f := range flagOfHelp.FindAllStringSubmatch(ask(m[1], "--help"), -1) {
			all[m[1]][f[1]] = flag{value: f[2] != "", writes: strings.Contains(f[3], "writ"), usage: f[3]}
		}
	}
	if len(all["run"]) == 0 {
		t.Fatalf("foreshock help and foreshock run --help are not understood: got commands %v", all)
	}
	return all
}

// workspace is a folder with a copy of examples/ and the files of a page, as
// a reader would have them.
func (c *checker) workspace(t *testing.T, p *page) string {
	t.Helper()
	if dir, ok := c.workspaces[p]; ok {
		return dir
	}
	dir := filepath.Join(c.dir, strings.ReplaceAll(p.path, "/", "-"))
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(filepath.Join(c.root, "examples"))); err != nil {
		t.Fatal(err)
	}
	for _, b := range p.blocks {
		if b.file == "" {
			continue
		}
		path := filepath.Join(dir, b.file)
		if !filepath.IsLocal(b.file) {
			t.Fatalf("%s: the file %s lies outside of the tree", b.at(0), b.file)
		}
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil {
			err = os.WriteFile(path, []byte(b.text), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.workspaces[p] = dir
	return dir
}

// testOtherLanguages reads the blocks that hold JSON or PromQL.
func (c *checker) testOtherLanguages(t *testing.T) {
	promql := parser.NewParser(parser.Options{})
	for _, p := range c.pages {
		for _, b := range p.blocks {
			switch b.lang {
			case "json":
				dec := json.NewDecoder(strings.NewReader(b.text))
				for {
					var v any
					if err := dec.Decode(&v); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						line := strings.Count(b.text[:dec.InputOffset()], "\n")
						t.Errorf("%s: the block is no JSON: %v", b.at(line), err)
						break
					}
				}
			case "promql":
				if _, err := promql.ParseExpr(b.text); err != nil {
					t.Errorf("%s: PromQL: %v", b.at(0), err)
				}
			}
		}
	}
}

// exists says whether a path of the tree is there; * matches as in a glob.
func (c *checker) exists(path string) bool {
	if strings.Contains(path, "*") {
		found, err := filepath.Glob(filepath.Join(c.root, path))
		return err == nil && len(found) > 0
	}
	_, err := fs.Stat(os.DirFS(c.root), strings.Trim(filepath.ToSlash(filepath.Clean(path)), "/"))
	return err == nil
}
