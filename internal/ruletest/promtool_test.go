package ruletest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/peers"
)

// promtool runs the real one and returns whether the file passed.
func promtool(t *testing.T, program, file string, flags ...string) (bool, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append(append([]string{"test", "rules"}, flags...), file)...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	return err == nil, string(out)
}

// ours runs the file here, with the meaning of promtool's flags.
func ours(t *testing.T, file string, flags ...string) (bool, string) {
	t.Helper()
	var out bytes.Buffer
	o := Options{Out: &out, Err: &out}
	for _, f := range flags {
		switch {
		case f == "--diff":
			o.Color = true
		case f == "--debug":
			o.Debug = true
		case f == "--ignore-unknown-fields":
			o.IgnoreUnknownFields = true
		case strings.HasPrefix(f, "--run="):
			o.Run = append(o.Run, strings.TrimPrefix(f, "--run="))
		default:
			t.Fatalf("unknown flag %s", f)
		}
	}
	err := Run(t.Context(), []string{file}, o)
	if failed := (*FailedError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return err == nil, out.String()
}

// agree runs a file with both. pass is what a reader of the test expects of it.
func agree(t *testing.T, program, file string, pass bool, flags ...string) {
	t.Helper()
	theirs, said := promtool(t, program, file, flags...)
	got, report := ours(t, file, flags...)
	if theirs != pass {
		t.Errorf("promtool %v %s: passed %v, want %v\n%s", flags, file, theirs, pass, said)
	}
	if got != theirs {
		t.Errorf("%v %s: passed %v; with promtool %v\nours:\n%s\npromtool:\n%s", flags, file, got, theirs, report, said)
	}
}

// Prometheus's own test files, with the flags that its own tests give them.
func TestPrometheusOwnFiles(t *testing.T) {
	program := peers.Path(t, "promtool")
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "cmd", "promtool", "testdata")
	for _, tc := range []struct {
		file  string
		pass  bool
		flags []string
	}{
		{file: "unittest.yml", pass: true},
		{file: "unittest.yml", pass: true, flags: []string{"--debug", "--diff"}},
		{file: "long-period.yml", pass: true},
		{file: "bad-input-series.yml"},
		{file: "bad-promql.yml"},
		{file: "bad-rules-syntax-test.yml"},
		{file: "bad-rules-error-test.yml"},
		{file: "failing.yml"},
		{file: "failing.yml", flags: []string{"--diff"}},
		{file: "at-modifier-test.yml", pass: true},
		{file: "negative-offset-test.yml", pass: true},
		{file: "no-test-group-interval.yml", pass: true},
		{file: "start-time-test.yml", pass: true},
		{file: "rules_run.yml"},
		{file: "rules_run.yml", flags: []string{"--run=correct", "--run=wrong"}},
		{file: "rules_run.yml", pass: true, flags: []string{"--run=correct"}},
		{file: "rules_run.yml", flags: []string{"--run=wrong"}},
		{file: "rules_run_extrafields.yml"},
		{file: "rules_run_extrafields.yml", pass: true, flags: []string{"--ignore-unknown-fields"}},
		{file: "rules_run_no_fuzzy.yml"},
		{file: "rules_run_fuzzy.yml"},
		{file: "rules_run_fuzzy.yml", pass: true, flags: []string{"--run=correct"}},
		{file: "rules_run_fuzzy.yml", flags: []string{"--run=wrong"}},
		// Not test files, which both refuse.
		{file: "rules.yml"},
		{file: "features.yml"},
	} {
		t.Run(tc.file+strings.Join(tc.flags, ""), func(t *testing.T) {
			t.Parallel()
			agree(t, program, filepath.Join(dir, tc.file), tc.pass, tc.flags...)
		})
	}
}

// Files of ours for what those do not reach.
func TestAgreement(t *testing.T) {
	program := peers.Path(t, "promtool")
	files, err := filepath.Glob("testdata/agree/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/agree: %d files, error %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			dir := unpack(t, path)
			tests, err := filepath.Glob(filepath.Join(dir, "*_test.yml"))
			if err != nil || len(tests) == 0 {
				t.Fatalf("%s holds no *_test.yml (%v)", path, err)
			}
			for _, file := range tests {
				var flags []string
				if strings.Contains(file, "unknown_fields") {
					flags = []string{"--ignore-unknown-fields"}
				}
				agree(t, program, file, strings.HasPrefix(filepath.Base(file), "pass"), flags...)
			}
		})
	}
}

// unpack writes the files of an archive: each begins after a line "-- name --".
func unpack(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name, text := "", ""
	flush := func() {
		if name == "" {
			return
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.SplitAfterSeq(string(data), "\n") {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(n, " --") {
			flush()
			name, text = strings.TrimSuffix(n, " --"), ""
			continue
		}
		text += line
	}
	flush()
	return dir
}
