package docscheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// run runs a command in a folder and compares what it prints, on either
// stream, with what the page shows; without that it has to succeed.
func (c *checker) run(t *testing.T, dir, program string, args []string, cmd command) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, program, args...)
	run.Dir = dir
	var out, errs, both bytes.Buffer
	var sharing sync.Mutex
	run.Stdout, run.Stderr = &tee{&out, &both, &sharing}, &tee{&errs, &both, &sharing}
	if cmd.in != "" {
		f, err := os.Open(filepath.Join(dir, cmd.in))
		if err != nil {
			return notRun, err
		}
		defer f.Close()
		run.Stdin = f
	}
	err := run.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return notRun, err
	}
	status := run.ProcessState.ExitCode()
	if cmd.out != "" {
		if err := os.WriteFile(filepath.Join(dir, cmd.out), out.Bytes(), 0o666); err != nil {
			return status, err
		}
		out.Reset()
	}
	if !cmd.shown {
		if err != nil {
			return status, fmt.Errorf("got %w, want success\n%s", err, &both)
		}
		return status, nil
	}
	want := pattern(cmd.want)
	for _, b := range []*bytes.Buffer{&out, &errs, &both} {
		if want.MatchString(trimLines(b.String())) {
			return status, nil
		}
	}
	return status, fmt.Errorf("it prints something else than the page shows\ngot:\n%s\nwant:\n%s", strings.TrimSpace(both.String()), cmd.want)
}

// tee writes to both; the two streams of a process, which are read at the same
// time, share one of them.
type tee struct {
	own, both *bytes.Buffer
	sharing   *sync.Mutex
}

func (w *tee) Write(p []byte) (int, error) {
	w.sharing.Lock()
	defer w.sharing.Unlock()
	w.both.Write(p) // never fails
	return w.own.Write(p)
}

// trimLines leaves out the blanks at the lines' ends and around the text.
func trimLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \t\r\n"))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// pattern matches what the page shows: … is any text, alone on a line any lines.
func pattern(want string) *regexp.Regexp {
	var out strings.Builder
	out.WriteString(`\A`)
	for i, line := range strings.Split(trimLines(want), "\n") {
		if strings.TrimSpace(line) == "…" {
			out.WriteString(`(?:(?:\A|\n).*)*`)
			continue
		}
		if i > 0 {
			out.WriteString(`(?:\n|\A)`)
		}
		out.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	out.WriteString(`\z`)
	return regexp.MustCompile(out.String())
}
