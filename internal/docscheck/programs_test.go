package docscheck

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// goCommand checks that the packages and files of a call of go are there, and
// that a pattern of tests or benchmarks names one.
func (c *checker) goCommand(args []string) error {
	var patterns []string
	for i, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case strings.HasPrefix(arg, "-") && (name == "run" || name == "bench" || name == "fuzz"):
			if value == "" && i+1 < len(args) {
				value = args[i+1]
			}
			patterns = append(patterns, value)
		case strings.HasPrefix(arg, "-modfile="):
			if !c.exists(value) {
				return fmt.Errorf("%s is not there", value)
			}
		}
	}
	for _, arg := range args {
		path, ok := strings.CutPrefix(arg, "./")
		if !ok {
			path, ok = strings.CutPrefix(arg, "github.com/foreshock/foreshock/")
		}
		if !ok {
			continue
		}
		path, _, _ = strings.Cut(strings.TrimSuffix(path, "..."), "@")
		files, err := filepath.Glob(filepath.Join(c.root, path, "*.go"))
		if err != nil || len(files) == 0 && !strings.HasSuffix(arg, "...") || !c.exists(path) {
			return fmt.Errorf("there is no package %s", arg)
		}
		for _, p := range patterns {
			if err := namesTest(files, p); err != nil {
				return fmt.Errorf("%w in %s", err, arg)
			}
		}
	}
	return nil
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`)

// namesTest says whether a pattern such as Detectors/spike matches a test
// function; what follows the slash is made when the test runs.
func namesTest(files []string, pattern string) error {
	first, _, _ := strings.Cut(pattern, "/")
	if first == "^$" || len(files) == 0 {
		return nil
	}
	re, err := regexp.Compile(first)
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllSubmatch(data, -1) {
			if re.Match(m[1]) {
				return nil
			}
		}
	}
	return fmt.Errorf("no test function matches %q", pattern)
}

var target = regexp.MustCompile(`(?m)^([A-Za-z][\w-]*):(?:[^=]|$)`)

func (c *checker) makeCommand(args []string) error {
	makefile, err := fs.ReadFile(os.DirFS(c.root), "Makefile")
	if err != nil {
		return err
	}
	var targets []string
	for _, m := range target.FindAllSubmatch(makefile, -1) {
		targets = append(targets, string(m[1]))
	}
	for _, arg := range args {
		switch name, _, set := strings.Cut(arg, "="); {
		case set:
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).Match(makefile) {
				return fmt.Errorf("got the variable %s, want one that the Makefile uses", name)
			}
		case arg == "-C":
			return nil // another Makefile
		case !strings.HasPrefix(arg, "-") && !slices.Contains(targets, arg) && !placeholder.MatchString(arg):
			return fmt.Errorf("got the target %s, want one of %s", arg, strings.Join(targets, ", "))
		}
	}
	return nil
}

// curl checks that our server has the path and the method.
func (c *checker) curl(args []string) error {
	method, address := "", ""
	get, data := false, false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		short := strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--")
		switch {
		case arg == "-X" || arg == "--request":
			i++
			method = args[min(i, len(args)-1)]
		case arg == "--data" || arg == "--json" || strings.HasPrefix(arg, "--data-") || short && strings.HasSuffix(arg, "d"):
			i++
			data = true
		case arg == "--get" || short && strings.Contains(arg, "G"):
			get = true
		case slices.Contains([]string{"-H", "--header", "-o", "-u", "-w", "-m", "--max-time", "--user", "--cacert", "--cert", "--key"}, arg):
			i++
		case !strings.HasPrefix(arg, "-"):
			address = arg
		}
	}
	if method == "" {
		method = http.MethodGet
		if data && !get {
			method = http.MethodPost
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if u.Port() != "9095" { // not ours
		return nil
	}
	return c.serves(method, u.Path)
}

// serves says whether our server has the path, and the method for it.
func (c *checker) serves(method, path string) error {
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, httptest.NewRequest(method, strings.NewReplacer("{id}", "x", "…", "x").Replace(path), nil))
	switch {
	case w.Code == http.StatusMethodNotAllowed:
		return fmt.Errorf("got %s %s, want one of the methods %s", method, path, w.Header().Get("Allow"))
	case w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), "there is nothing at this address"):
		return fmt.Errorf("got the path %s, want one that the server has", path)
	}
	return nil
}
