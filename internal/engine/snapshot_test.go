package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/source"
	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/rules"
)

const shopRules = `
groups:
- name: shop
  interval: 1m
  rules:
  - {detect: Latency, expr: latency_seconds, signal: latency, false_alarms: 1 per 1d}
  - {detect: Traffic, expr: requests_per_second, signal: traffic, false_alarms: 1 per 1d}
  - {detect: Gone, expr: requests_per_second, signal: traffic, detector: silence, by: [service]}
  - {alert: Slow, expr: 'latency_seconds{service="web"} > 0.5', for: 2m, labels: {severity: page}}
`

// The shop: web calls api, and api calls db, which is slow from the 40th hour on.
const shopBegin, shopHours, shopFault = 1_700_000_000 / 3600 * 3600, 44, 40

func shopPast(t *testing.T) *source.Local {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for name, value := range map[string]func(k int, slow float64) float64{
		"latency_seconds":     func(_ int, slow float64) float64 { return slow * (0.1 + 0.01*rng.NormFloat64()) },
		"requests_per_second": func(k int, _ float64) float64 { return 50 + 20*math.Sin(float64(k)/229) + rng.NormFloat64() },
	} {
		for _, service := range []string{"web", "api", "db"} {
			for k := range shopHours * 60 {
				slow := 1.0
				if k >= shopFault*60 {
					slow = 10
				}
				fmt.Fprintf(&b, "%s{service=%q} %g %d\n", name, service, value(k, slow), shopBegin+60*k)
			}
		}
	}
	for _, edge := range [][2]string{{"web", "api"}, {"api", "db"}} {
		for k := range shopHours * 60 {
			fmt.Fprintf(&b, "calls{client=%q,server=%q} 40 %d\n", edge[0], edge[1], shopBegin+60*k)
		}
	}
	for k := range shopHours * 60 {
		version := "1"
		if k >= shopFault*60-5 {
			version = "2"
		}
		fmt.Fprintf(&b, "build_info{service=\"db\",version=%q} 1 %d\n", version, shopBegin+60*k)
	}
	b.WriteString("# EOF\n")
	file := filepath.Join(t.TempDir(), "past.om")
	if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	db := temporary(t)
	if _, _, err := db.LoadOpenMetrics(t.Context(), []string{file}); err != nil {
		t.Fatal(err)
	}
	return db
}

func temporary(t *testing.T) *source.Local {
	t.Helper()
	db, err := source.OpenTemporary(source.TemporaryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func shopConfig(t *testing.T, text string) Config {
	t.Helper()
	f, err := rules.ParseFile("rules.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	id, err := topology.NewIdentity([]string{"service"})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Rules: []*rules.File{f}, EvaluationInterval: time.Minute, Identity: id,
		Edges:    []topology.Discovery{{Edges: "calls", Caller: "client", Callee: "server"}},
		Versions: []change.Discovery{{Kind: "deploy", Versions: "build_info", VersionLabel: "version"}},
		Mode:     incident.ModePage, Interval: time.Minute, Settle: time.Minute, Hold: 10 * time.Minute,
	}
}

// shop is an engine over the past, and what it says at each step.
type shop struct {
	*Engine
	store source.Store
	said  []string
}

func newShop(t *testing.T, past *source.Local, journal *Journal, text string) *shop {
	t.Helper()
	c := shopConfig(t, text)
	e, err := New(Options{Config: c, Journal: journal, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{Engine: e, store: ReplayStore(ReplaySource{
		Input: past.Store(), Results: temporary(t), Config: c, From: shopTime(0), To: shopTime(shopHours),
	})}
	t.Cleanup(func() { s.store.Close() })
	if err := e.Attach(t.Context(), s.store, Live{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func shopTime(hours float64) time.Time {
	return time.Unix(shopBegin, 0).UTC().Add(time.Duration(hours * float64(time.Hour)))
}

func (s *shop) replay(t *testing.T, from, to time.Time) {
	t.Helper()
	err := s.Replay(t.Context(), Replay{From: from, To: to, Step: func(now time.Time, incidents []*incident.Incident) {
		for _, i := range incidents {
			lean := *i
			lean.Anomalies, lean.Log = nil, nil
			b, err := json.Marshal(&lean)
			if err != nil {
				t.Fatal(err)
			}
			s.said = append(s.said, now.Format(time.TimeOnly)+" "+string(b))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *shop) learnt(t *testing.T) (frames []string) {
	t.Helper()
	if err := s.Rules().Snapshot(func(f []byte) error { frames = append(frames, string(f)); return nil }); err != nil {
		t.Fatal(err)
	}
	return frames
}

// TestSnapshotGoesOn: an engine that takes up a snapshot says and learns from
// then on what one does that was there all the time.
func TestSnapshotGoesOn(t *testing.T) {
	past := shopPast(t)
	whole := newShop(t, past, nil, shopRules)
	whole.replay(t, shopTime(0), shopTime(shopHours))
	if len(whole.said) == 0 || !strings.Contains(whole.said[len(whole.said)-1], `"db"`) {
		t.Fatalf("the shop has no incident of db: %v", whole.said)
	}
	for _, hours := range []float64{0.5, 25, 39.5, 39.99} {
		path := filepath.Join(t.TempDir(), "s")
		before := newShop(t, past, nil, shopRules)
		before.replay(t, shopTime(0), shopTime(hours))
		if err := before.Save(path); err != nil {
			t.Fatal(err)
		}
		after := newShop(t, past, nil, shopRules)
		until, err := after.Restore(path, func(time.Time) error { return nil })
		if err != nil {
			t.Fatalf("after %g hours: %v", hours, err)
		}
		if want := shopTime(hours).Truncate(time.Minute); !until.Equal(want) {
			t.Errorf("after %g hours: learnt until %s, want %s", hours, until, want)
		}
		after.replay(t, until.Add(time.Millisecond), shopTime(shopHours))
		if got, want := strings.Join(slices.Concat(before.said, after.said), "\n"), strings.Join(whole.said, "\n"); got != want {
			t.Errorf("after %g hours: said\n%s\nwant\n%s", hours, got, want)
		}
		if got, want := after.learnt(t), whole.learnt(t); !slices.Equal(got, want) {
			t.Errorf("after %g hours: something else was learnt", hours)
		}
		if got, want := fmt.Sprint(after.Graph().Edges(), after.Changes().All()), fmt.Sprint(whole.Graph().Edges(), whole.Changes().All()); got != want {
			t.Errorf("after %g hours: graph and changes\n%s\nwant\n%s", hours, got, want)
		}
	}
}

// TestSnapshotInIncident: an incident goes on under its name, and the fault is
// not learnt by a restart in the middle of it.
func TestSnapshotInIncident(t *testing.T) {
	past := shopPast(t)
	dir := t.TempDir()
	journal, _ := openJournal(t, filepath.Join(dir, "j"))
	before := newShop(t, past, journal, shopRules)
	before.GoLive(shopTime(0))
	before.replay(t, shopTime(0), shopTime(shopFault+0.5))
	if err := before.Save(filepath.Join(dir, "s")); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	open := before.Incidents()
	if len(open) != 1 || open[0].State != incident.Open {
		t.Fatalf("incidents before: %v, want one open", open)
	}
	journal, _ = openJournal(t, filepath.Join(dir, "j"))
	defer journal.Close()
	after := newShop(t, past, journal, shopRules)
	until, err := after.Restore(filepath.Join(dir, "s"), func(time.Time) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	after.replay(t, until.Add(time.Millisecond), shopTime(shopFault+1))
	after.GoLive(shopTime(shopFault + 1))
	after.replay(t, shopTime(shopFault+1).Add(time.Millisecond), shopTime(shopHours))
	got := after.Incidents()
	if len(got) != 1 || got[0].ID != open[0].ID || got[0].State != incident.Open || len(got[0].Sent) != len(open[0].Sent) {
		t.Errorf("incidents after: %v, want %s open, sent as before", got, open[0].ID)
	}
}

func TestRestoreRefuses(t *testing.T) {
	past := shopPast(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	s := newShop(t, past, nil, shopRules)
	if err := s.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("saved before the first step: %v", err)
	}
	s.replay(t, shopTime(0), shopTime(3))
	if err := s.Save(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	yes := func(time.Time) error { return nil }
	for _, c := range []struct {
		name, rules, want string
		change            func(b []byte) []byte
		accept            func(time.Time) error
	}{
		{name: "foreign", change: func([]byte) []byte { return []byte("a diary\n, in plain text") }, want: "not a snapshot"},
		{name: "empty", change: func([]byte) []byte { return nil }, want: "not a snapshot"},
		{name: "without the end", change: func(b []byte) []byte { return b[:len(b)-9] }, want: "ends early"},
		{name: "too old", accept: func(time.Time) error { return fmt.Errorf("too old") }, want: "too old"},
		{name: "another rule", rules: shopRules + "  - {detect: New, expr: up, signal: traffic}\n", want: `nothing of detection rule "New"`},
	} {
		b := bytes.Clone(good)
		if c.change != nil {
			b = c.change(b)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if c.accept == nil {
			c.accept = yes
		}
		if c.rules == "" {
			c.rules = shopRules
		}
		fresh := newShop(t, past, nil, c.rules)
		before := fresh.learnt(t)
		if _, err := fresh.Engine.Restore(path, c.accept); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with %q and the path", c.name, err, c.want)
		}
		if after := fresh.learnt(t); !slices.Equal(before, after) {
			t.Errorf("%s: something was taken up", c.name)
		}
	}
	// Any byte and any length: an error, and nothing taken up.
	rng := rand.New(rand.NewPCG(3, 4))
	fresh := newShop(t, past, nil, shopRules)
	before := fresh.learnt(t)
	for range 200 {
		b := bytes.Clone(good)
		if k := rng.IntN(len(b)); rng.IntN(2) == 0 {
			b[k] ^= 1 << rng.IntN(8)
		} else {
			b = b[:k]
		}
		if _, err := fresh.restore(bytes.NewReader(b), yes); err == nil {
			t.Fatalf("a damaged snapshot was taken up")
		}
	}
	if after := fresh.learnt(t); !slices.Equal(before, after) {
		t.Error("something was taken up of damaged snapshots")
	}
}
