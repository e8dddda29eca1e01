package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running foreshock.
type process struct {
	cmd *exec.Cmd
	url string
	log *tail
	end chan error
}

// tail keeps the end of a log.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 32 << 10

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if over := len(l.b) - tailSize; over > 0 {
		l.b = l.b[over:]
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// start runs foreshock in the directory and returns when it serves pages.
func start(ctx context.Context, o options, dir string) (*process, error) {
	p := &process{log: &tail{}, end: make(chan error, 1)}
	p.cmd = exec.Command(o.binary, "run", "--config.file="+filepath.Join(dir, "foreshock.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--coldstart.lookback=1h")
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(o.cores))
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: build it with make build", err)
	}
	go func() { p.end <- p.cmd.Wait() }()
	// A restart reads the TSDB's log, which takes as long as Prometheus needs for it.
	err := p.until(ctx, 15*time.Minute, func() bool {
		if m := listening.FindStringSubmatch(p.log.String()); m != nil {
			p.url = "http://" + m[1]
		}
		return p.url != ""
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("foreshock does not start: %w\n%s", err, p.log), p.stop())
	}
	return p, nil
}

// until waits for something that foreshock does.
func (p *process) until(ctx context.Context, most time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not within %s", most))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case err := <-p.end:
			p.end <- err
			return fmt.Errorf("it ended: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// stop ends foreshock as an operator does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case err := <-p.end:
		p.end <- err
		if err != nil {
			return fmt.Errorf("foreshock ended: %w", err)
		}
		return nil
	case <-late.C:
		return errors.Join(errors.New("foreshock does not end within a minute of SIGTERM"), p.cmd.Process.Kill())
	}
}

var tookUp = regexp.MustCompile(`msg="took up what an earlier run learnt".* took=(\S+)`)

// restored waits until foreshock is ready and returns how long it took to take
// up what was learnt.
func (p *process) restored(ctx context.Context) (time.Duration, error) {
	err := p.until(ctx, 5*time.Minute, func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return 0, err
	}
	m := tookUp.FindStringSubmatch(p.log.String())
	if m == nil {
		return 0, errors.New("what was learnt was not taken up")
	}
	return time.ParseDuration(m[1])
}

func firstFields(s string, n int) string {
	fields := strings.Fields(s)
	return strings.Join(fields[:min(n, len(fields))], " ")
}
