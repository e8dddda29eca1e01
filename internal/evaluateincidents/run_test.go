package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shop writes a set of one case: web calls api calls db; db is slow in the last
// ten minutes of three hours.
func shop(t *testing.T) (data string) {
	t.Helper()
	data = t.TempDir()
	dir := filepath.Join(data, "incidents", "shop", "one")
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	const minutes, fault = 180, 170
	var b strings.Builder
	b.WriteString("# TYPE server_latency_seconds gauge\n# TYPE requests_per_second gauge\n# TYPE error_ratio gauge\n")
	for k, name := range []string{"web", "api", "db"} {
		rng := rand.New(rand.NewPCG(1, uint64(k)))
		for m := range minutes {
			slow, failed := 0.0, 0.0
			if m >= fault {
				slow, failed = 3, 0.2
			}
			at := begin.Add(time.Duration(m) * time.Minute).Unix()
			fmt.Fprintf(&b, "server_latency_seconds{service=%q} %g %d\n", name, 0.1*float64(3-k)*math.Exp(0.1*rng.NormFloat64())+slow, at)
			fmt.Fprintf(&b, "requests_per_second{service=%q} %g %d\n", name, 50+rng.NormFloat64(), at)
			if name == "web" {
				fmt.Fprintf(&b, "error_ratio{service=%q} %g %d\n", name, failed, at)
			}
		}
	}
	b.WriteString("# EOF\n")
	writeFile(t, filepath.Join(dir, "metrics.om"), b.String())
	writeFile(t, filepath.Join(dir, "topology.yml"), "services:\n  - {name: web, calls: [api]}\n  - {name: api, calls: [db]}\n")
	writeFile(t, filepath.Join(dir, "incidents.yml"), fmt.Sprintf(`set: shop
case: shop/one
interval_seconds: 60
files: [metrics.om]
topology: topology.yml
data_start: %q
data_end: %q
score_from: %q
incidents:
  - {name: slow, start: %q, end: %q, cause: db, fault: slow, page_service: web}
`, begin.Format(time.RFC3339), begin.Add(minutes*time.Minute).Format(time.RFC3339), begin.Add(time.Hour).Format(time.RFC3339),
		begin.Add(fault*time.Minute).Format(time.RFC3339), begin.Add(minutes*time.Minute).Format(time.RFC3339)))
	return data
}

// TestRun evaluates a made system for which there is no configuration.
func TestRun(t *testing.T) {
	o := options{data: shop(t), out: t.TempDir(), cases: t.TempDir(), seeds: 1, progress: io.Discard}
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The configuration was written from the metrics",
		"| shop, pages and tickets | 1 | 1.00 | 1.00 | 1.00 |",
		"| shop, pages alone | 1 | 1.00 | 1.00 | 1.00 |",
		"| Foreshock | 1.00 | 1.00 | 1.00 (start not given) | 1.00 | 1.00 | 1.00 |",
		"| random service | .33 | 1.00 | .33 | 1.00 | .00 | .00 |",
		"| leave a mark at the alerting service | 1 | 1.00 | 1.00 |\n| leave none there | 0 | - | - |",
		"| from there until it was sent | ",
		"## How sure, of all sets",
		"1 incidents with a known cause, 1 of them sent; 22 normal windows of 5 samples and 2 of 48.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(o.out, "shop", "rules.yml")); err != nil {
		t.Error(err)
	}
	if text := out.String(); strings.Contains(text, "What changed") {
		t.Errorf("a table of changes where none are known:\n%s", text)
	}
}

func TestRobust(t *testing.T) {
	o := options{data: shop(t), out: t.TempDir(), cases: t.TempDir(), seeds: 1, robustness: true, progress: io.Discard}
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, sp := range append([]spoiler{{name: "as it is"}}, spoilers()...) {
		if !strings.Contains(out.String(), "| "+sp.name+" | ") {
			t.Errorf("no row of %q in\n%s", sp.name, out.String())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for name, o := range map[string]options{
		"-data":  {data: t.TempDir(), cases: t.TempDir(), seeds: 1, out: t.TempDir()},
		"-seeds": {data: shop(t), cases: t.TempDir(), out: t.TempDir()},
		"no set": {data: shop(t), cases: t.TempDir(), out: t.TempDir(), seeds: 1, only: []string{"other"}},
	} {
		if err := run(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
