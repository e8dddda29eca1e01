//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const crashConfig = `
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
identity: [service]
incidents: {mode: page, interval: 500ms, settle: 1s, hold: 10s}
scrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]
alerting:
  alertmanagers:
  - static_configs: [{targets: [%q]}]
`

const crashRules = `
groups:
- name: shop
  rules:
  - {alert: Broken, expr: broken > 0, labels: {severity: page}}
  - {detect: Load, expr: load, signal: saturation, false_alarms: 1 per 30d}
`

// crashServices is how many services can break, one after the other.
const crashServices = 100

// shopUnderLoad serves 500 series that vary, and which service is broken.
type shopUnderLoad struct {
	*httptest.Server
	broken atomic.Int64
}

func newShopUnderLoad(t *testing.T) *shopUnderLoad {
	s := &shopUnderLoad{}
	s.broken.Store(-1)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		broken := s.broken.Load()
		for k := range int64(crashServices) {
			is := 0
			if k == broken {
				is = 1
			}
			fmt.Fprintf(w, "broken{service=\"broken-%d\"} %d\n", k, is)
		}
		for k := range 500 {
			fmt.Fprintf(w, "load{service=\"s%d\",part=\"%d\"} %g\n", k%10, k, 100+10*rand.NormFloat64())
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// crasher starts a foreshock again and again and kills it each time.
type crasher struct {
	t      *testing.T
	rng    *rand.Rand
	dir    string
	pager  *pager
	rounds int
	killed map[string]int // by moment
	took   int            // starts that took up a snapshot
}

// crashing is a foreshock that will be killed.
type crashing struct {
	cmd *exec.Cmd
	out *buffer
	end chan error
}

func (c *crasher) start() *crashing {
	c.t.Helper()
	path, err := binary()
	if err != nil {
		c.t.Fatal(err)
	}
	p := &crashing{out: &buffer{}, end: make(chan error, 1)}
	p.cmd = exec.Command(path, "run", "--config.file="+filepath.Join(c.dir, "foreshock.yml"), "--storage.tsdb.path="+filepath.Join(c.dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--coldstart.lookback=1h", "--storage.snapshot.interval=300ms")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { p.end <- p.cmd.Wait() }()
	return p
}

// moments at which a process is killed. The random one comes most often.
var moments = []string{"random", "random", "random", "post", "journal", "snapshot"}

// round starts a foreshock and kills it at some moment within three seconds.
func (c *crasher) round(service string) {
	c.t.Helper()
	c.rounds++
	snapshot := filepath.Join(c.dir, "data", "learnt.snapshot")
	_, err := os.Stat(snapshot)
	hadSnapshot := err == nil
	p := c.start()
	moment := moments[c.rng.IntN(len(moments))]
	late := time.NewTimer(time.Duration(c.rng.Float64() * float64(3*time.Second)))
	if moment != "random" {
		late.Reset(4 * time.Second)
	}
	now := make(chan struct{}, 1)
	signal := func() {
		select {
		case now <- struct{}{}:
		default:
		}
	}
	stop := make(chan struct{})
	switch moment {
	case "post":
		c.pager.mu.Lock()
		c.pager.onPost = signal
		c.pager.mu.Unlock()
	case "journal":
		go watchFile(stop, filepath.Join(c.dir, "data", "incidents.journal"), signal)
	case "snapshot":
		go watchFile(stop, snapshot+".new", signal)
	}
	select {
	case <-late.C:
	case <-now:
	case err := <-p.end:
		c.t.Fatalf("round %d: foreshock ended by itself: %v\n%s", c.rounds, err, p.out)
	}
	close(stop)
	c.pager.mu.Lock()
	c.pager.onPost = nil
	c.pager.mu.Unlock()
	// An alert that would lapse before the next start could send it again is no fault of the crash.
	c.pager.await(c.t, p.out, fmt.Sprintf("round %d: a further send before the alert lapses", c.rounds), service, func(all []paged) bool {
		for _, a := range all {
			if !a.resolved && time.Until(a.ends) < 8*time.Second {
				return false
			}
		}
		return true
	})
	c.kill(p)
	c.killed[moment]++
	c.inspect(p, moment, hadSnapshot)
}

func (c *crasher) kill(p *crashing) {
	c.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-p.end
}

// inspect reads what a foreshock said about the state that the crash before it left.
func (c *crasher) inspect(p *crashing, moment string, hadSnapshot bool) {
	c.t.Helper()
	out := p.out.String()
	for _, bad := range []string{"damaged", "panic", "is not used", "cannot be opened", "level=ERROR"} {
		if strings.Contains(out, bad) {
			c.t.Fatalf("round %d (killed at %s): the log has %q:\n%s", c.rounds, moment, bad, out)
		}
	}
	if strings.Contains(out, "took up what an earlier run learnt") {
		c.took++
	} else if hadSnapshot && strings.Contains(out, "msg=ready") {
		c.t.Fatalf("round %d: what was learnt was there and not taken up:\n%s", c.rounds, out)
	}
	c.pager.check(c.t, fmt.Sprintf("round %d (killed at %s)", c.rounds, moment))
}

// watchFile signals when a file comes to be or changes its size.
func watchFile(stop <-chan struct{}, path string, signal func()) {
	size := func() int64 {
		if i, err := os.Stat(path); err == nil {
			return i.Size()
		}
		return -1
	}
	// What the start itself writes is one moment of many, so it counts only now and then.
	for was := size(); ; time.Sleep(500 * time.Microsecond) {
		select {
		case <-stop:
			return
		default:
		}
		if is := size(); is != was && is >= 0 {
			signal()
			return
		}
	}
}

// number is an environment variable's, or the default.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A foreshock that is killed at any moment sends nothing twice and loses nothing:
// each fault is one label set, which fires until the fault is over however often
// the program dies, and is resolved once. CRASH_ROUNDS says how often it is
// killed, CRASH_SEED repeats a run's moments.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	rounds, seed := int(number(t, "CRASH_ROUNDS", 6)), number(t, "CRASH_SEED", uint64(time.Now().UnixNano()))
	t.Logf("CRASH_SEED=%d CRASH_ROUNDS=%d", seed, rounds)
	shop, pager := newShopUnderLoad(t), newPager(t)
	c := &crasher{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), pager: pager, killed: map[string]int{}}
	address := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	for name, text := range map[string]string{"foreshock.yml": fmt.Sprintf(crashConfig, address(shop.Server), address(pager.Server)), "rules.yml": crashRules} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for fault := int64(0); c.rounds < rounds; fault++ {
		service := fmt.Sprintf("broken-%d", fault)
		shop.broken.Store(fault)
		for range min(5, rounds-c.rounds) {
			c.round(service)
		}
		// However often it died, it is sent while the fault is there …
		p := c.start()
		pager.await(t, p.out, "the page", service, func(all []paged) bool { return len(all) == 1 && !all[0].resolved })
		posts := pager.of(service)[0].posts
		c.kill(p)
		p = c.start()
		pager.await(t, p.out, "the page after a restart", service, func(all []paged) bool { return all[0].posts > posts })
		c.kill(p)
		// … and resolved when it is over.
		shop.broken.Store(-1)
		for range min(3, rounds-c.rounds) {
			c.round(service)
		}
		p = c.start()
		pager.await(t, p.out, "the resolution", service, func(all []paged) bool { return all[0].resolved })
		for range min(2, rounds-c.rounds) {
			c.kill(p)
			c.round(service)
			p = c.start()
		}
		if all := pager.of(service); len(all) != 1 || !all[0].resolved {
			t.Fatalf("fault %d: label sets %+v, want one that is resolved\n%s", fault, all, p.out)
		}
		c.kill(p)
		c.inspect(p, "end", false)
	}
	stray := 0
	pager.mu.Lock()
	for key, a := range pager.seen {
		if !strings.HasPrefix(a.labels["service"], "broken-") {
			stray++
			t.Logf("beside the faults: %s", key)
		}
	}
	pager.mu.Unlock()
	if c.took == 0 || stray > 0 {
		t.Errorf("%d of %d starts took up a snapshot, want some; %d alerts beside the faults", c.took, c.rounds, stray)
	}
	t.Logf("killed %d times: %v; %d starts took up a snapshot", c.rounds, c.killed, c.took)
}
