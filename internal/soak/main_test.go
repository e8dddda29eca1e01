//go:build e2e

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A short soak of few series: the program works, whatever else the machine does.
func TestSoakForSeconds(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "foreshock")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/foreshock").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	var out strings.Builder
	err := run(t.Context(), options{
		binary: binary, series: 2000, judged: 500, perPage: 500, cores: 2, interval: time.Second, duration: 8 * time.Second, lenient: true, dir: t.TempDir(), out: &out,
	})
	if err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "| 2000 | 500 | 1s |") {
		t.Errorf("no row of the table:\n%s", &out)
	}
}
