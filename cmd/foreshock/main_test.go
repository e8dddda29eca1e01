package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// The scripts run the command line as people do: a process of its own (this
// test's binary, as foreshock) in a folder of its own.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"foreshock": main})
}

// leakless fails when goroutines are left after the tests.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"listen": listen,
			"serve":  serve,
			"hidden": hidden,
			"api":    api,
		},
	})
}

// exits runs a command and wants an exit status: exits 1 foreshock check.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARGUMENT …]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// listen takes a port of the loopback interface and names its address in a variable.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// serve runs a server in this process until the script ends, and returns when
// it is ready: serve CONFIG DIRECTORY.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serve CONFIG DIRECTORY")
	}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- foreshock(ctx, []string{
			"run", "--config.file=" + ts.MkAbs(args[0]), "--storage.tsdb.path=" + ts.MkAbs(args[1]), "--web.listen-address=127.0.0.1:0",
		}, streams{in: strings.NewReader(""), out: in, err: in})
		in.Close()
	}()
	ready := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		var log strings.Builder
		for s := bufio.NewScanner(out); s.Scan(); {
			fmt.Fprintln(&log, s.Text())
			if strings.HasSuffix(s.Text(), "msg=ready") {
				ready <- ""
			}
		}
		select {
		case ready <- log.String():
		default:
		}
	}()
	ts.Defer(func() {
		cancel()
		if code := <-ended; code != 0 {
			ts.Logf("the server ended with status %d", code)
		}
		<-read
	})
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	select {
	case log := <-ready:
		if log != "" {
			ts.Fatalf("the server ended: %s", log)
		}
	case <-late.C:
		ts.Fatalf("the server is not ready after 30 s")
	}
}

// api serves the files of a folder at an address that it names in a variable:
// api VARIABLE FOLDER. The path /a/b is the file a.b; what is not there is said as Foreshock's API does.
func api(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: api VARIABLE FOLDER")
	}
	folder := ts.MkAbs(args[1])
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(filepath.Join(folder, strings.ReplaceAll(strings.Trim(r.URL.Path, "/"), "/", ".")))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			b = []byte(`{"status":"error","errorType":"not_found","error":"there is no ` + r.URL.Path + `"}`)
		}
		_, _ = w.Write(b)
	}))
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}

// hidden makes a file that nobody may read. Root reads it all the same, so it
// becomes a link into a loop, which nobody can open.
func hidden(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hidden FILE")
	}
	path := ts.MkAbs(args[0])
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.Symlink(path, path))
}

// What a command says does not depend on where it is said from.
func TestExitStatus(t *testing.T) {
	f := func(want int, args ...string) {
		t.Helper()
		var out, err bytes.Buffer
		if got := foreshock(t.Context(), args, streams{in: strings.NewReader(""), out: &out, err: &err}); got != want {
			t.Errorf("foreshock %q: status %d, want %d\n%s%s", args, got, want, &out, &err)
		}
		if want == 0 && err.Len() > 0 || want != 0 && (err.Len() == 0 || out.Len() > 0) {
			t.Errorf("foreshock %q: status %d with %q on standard output and %q on standard error", args, want, &out, &err)
		}
	}
	f(0, "help")
	f(0, "-h")
	f(0, "--help")
	f(0, "version")
	f(0, "--version")
	for name := range commands() {
		f(0, name, "--help")
		f(2, name, "--no-such-flag")
	}
	f(2, "no-such-command")
	f(2, "")
	f(1, "--config.file=no-such-file.yml") // run is the default
}
