// Package peers starts the real programs that Foreshock works with (Prometheus, Alertmanager,
// VictoriaMetrics, Thanos) on free loopback ports for tests, and receives what Alertmanager
// would send to a pager.
//
// Only tests import it. The programs are built by `make -C tools` into tools/bin; a test
// that needs one which is not there fails and says so. Everything a program writes lies in the
// test's temporary directory; a program is stopped when its test ends, and what it printed is
// attached to the test's output when the test failed.
package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyTimeout = 60 * time.Second      // first start on a busy machine; a quiet one takes well under a second
	readyEvery   = 50 * time.Millisecond // between two readiness requests
	stopTimeout  = 20 * time.Second      // after SIGTERM, before SIGKILL
	portAttempts = 5                     // starts on another free port when somebody else took ours
	outputLimit  = 64 << 10              // bytes of output kept for a failure
)

// Process is a program that answers HTTP on a loopback port.
type Process struct {
	URL string // http://127.0.0.1:port, without a trailing slash; the same after Stop and Start

	name    string
	path    string
	args    func(address string) []string
	listens string // what it prints once it has its port
	ready   string // path that answers 200 once it is ready

	address string
	output  tail
	cmd     *exec.Cmd
	exited  chan struct{} // closed once cmd has ended
	exitErr error         // valid after exited is closed
}

// Path returns where the program is (by its name in tools/bin). The test fails when it was not built.
func Path(t testing.TB, program string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("working directory: %v", err)
	}
	for {
		// tools/Makefile is there in every checkout, tools/bin only after it was run.
		if _, err := os.Stat(filepath.Join(dir, "tools", "Makefile")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no folder above the test's has tools/Makefile: cannot locate %s", program)
		}
		dir = parent
	}
	path := filepath.Join(dir, "tools", "bin", program)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built (%v): run make test, or make -C tools", program, err)
	}
	return path
}

// newProcess reserves a free port and registers the end of the program; it does not start it.
// args gives the command line for the address (host:port) that it has to listen on.
func newProcess(t testing.TB, name string, args func(address string) []string) *Process {
	t.Helper()
	p := &Process{name: name, path: Path(t, name), args: args, listens: `msg="Listening on"`, ready: "/-/ready"}
	p.moveTo(t)
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("output of %s (%s):\n%s", p.name, p.URL, p.output.String())
		}
	})
	return p
}

// moveTo takes a new free port.
func (p *Process) moveTo(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("no free loopback port for %s: %v", p.name, err)
	}
	p.address = l.Addr().String()
	p.URL = "http://" + p.address
	if err := l.Close(); err != nil {
		t.Fatalf("free the port of %s: %v", p.name, err)
	}
}

// Start starts the program on its port, with its data as an earlier Stop left them, and returns when it is
// ready. It is called by the constructors that say so, and by tests that stop and start a program.
func (p *Process) Start(t testing.TB) {
	t.Helper()
	var err error
	for range portAttempts {
		if err = p.start(); err == nil {
			return
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	t.Fatalf("start %s: %v\noutput:\n%s", p.name, err, p.output.String())
}

// startAnywhere is Start for a program whose URL nobody knows yet: it may move to another port.
func (p *Process) startAnywhere(t testing.TB) {
	t.Helper()
	var err error
	for range portAttempts {
		if err = p.start(); err == nil {
			return
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
		p.moveTo(t)
	}
	t.Fatalf("start %s: %v\noutput:\n%s", p.name, err, p.output.String())
}

var errPortTaken = errors.New("address already in use")

func (p *Process) start() error {
	if p.cmd != nil {
		return fmt.Errorf("%s runs already", p.URL)
	}
	p.output.reset()
	cmd := exec.Command(p.path, p.args(p.address)...)
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		p.exitErr = cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	err := p.awaitReady()
	if err == nil {
		return nil
	}
	p.kill()
	if strings.Contains(p.output.String(), errPortTaken.Error()) {
		return errPortTaken
	}
	return err
}

// awaitReady asks until the program says yes, ends, or has taken too long.
func (p *Process) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-p.exited:
			return fmt.Errorf("ended before it was ready: %v", p.exitErr)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %v", readyTimeout, last)
		case <-tick.C:
		}
		// Somebody else's program may answer on a port that was taken from us, before ours has noticed:
		// ready counts only once ours says that it has the port (as all of them do, at level info).
		if !strings.Contains(p.output.String(), p.listens) {
			last = errors.New("it does not say that it listens")
			continue
		}
		if last = ask(ctx, client, p.URL+p.ready); last == nil {
			return nil
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// Stop ends the program, by SIGTERM so that it saves its state, and returns when it has ended. It does
// nothing when the program does not run.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	select {
	case <-p.exited:
		t.Errorf("%s ended by itself: %v", p.name, p.exitErr)
	default:
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("stop %s: %v", p.name, err)
		}
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		p.cmd = nil
	case <-timer.C:
		t.Errorf("%s did not end within %s of SIGTERM", p.name, stopTimeout)
		p.kill()
	}
}

// Kill ends the program at once, as a crash would.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		t.Fatalf("%s does not run", p.name)
	}
	p.kill()
}

func (p *Process) kill() {
	// The only error is that the process has ended, which is what is wanted.
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

// Output returns the end of what the program printed since its last start.
func (p *Process) Output() string { return p.output.String() }

// tail keeps the last outputLimit bytes that were written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (o *tail) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, b...)
	if over := len(o.buf) - outputLimit; over > 0 {
		o.buf = append(o.buf[:0], o.buf[over:]...)
	}
	return len(b), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}

func (o *tail) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = nil
}
