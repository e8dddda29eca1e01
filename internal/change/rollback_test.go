package change

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/topology"
)

func TestCommand(t *testing.T) {
	f := func(text string, c Change, want string) {
		t.Helper()
		cmd, err := ParseCommand(text, topology.Identity{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if got := cmd.Expand(c); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	deploy := Change{ID: "1", Kind: "deploy", Service: "eu/shop/payments", From: "1.4.2", To: "1.5.0"}
	flag := Change{Kind: "flag", Service: "shop/checkout", From: "off", To: "on", Title: "one-click checkout's"}
	f("kubectl -n {{ .namespace }} rollout undo deployment/{{ .service }}", deploy, "kubectl -n shop rollout undo deployment/payments")
	f("helm --kube-context {{.cluster}} upgrade {{.service}} --version {{.from}}", deploy, "helm --kube-context eu upgrade payments --version 1.4.2")
	both := `{{ if eq .kind "flag" }}flags set {{ .title }} {{ .from }}{{ else }}deploy {{ .service }} {{ .from }}{{ end }}`
	f(both, deploy, "deploy payments 1.4.2")
	f(both, flag, `flags set 'one-click checkout'\''s' off`)
	// Half a command is worse than none.
	f("helm upgrade {{.service}} --version {{.from}}", Change{Kind: "deploy", Service: "a", To: "2"}, "")
	f("helm upgrade {{.service}}{{ with .from }} --version {{.}}{{ end }}", Change{Kind: "deploy", Service: "a", To: "2"}, "helm upgrade a")
	f("undo {{.service}}", Change{Service: "a\nb"}, "")
	f("undo {{.service}}", Change{Service: "--all"}, "")
	f("undo {{.title}}", Change{Service: "a", Title: strings.Repeat("x", maxCommand)}, "")
	if got := (*Command)(nil).Expand(deploy); got != "" {
		t.Errorf("without a template: got %s, want none", got)
	}
}

func TestCommandErrors(t *testing.T) {
	f := func(text string, line, column int, want string) {
		t.Helper()
		_, err := ParseCommand(text, topology.Identity{})
		var e *CommandError
		if !errors.As(err, &e) || e.Line != line || e.Column != column || !strings.Contains(e.Msg, want) {
			t.Errorf("%s: got %+v, want %d:%d: %s", text, err, line, column, want)
		}
	}
	f("undo {{ .servcie }}", 1, 9, "unknown field .servcie; known are .cluster, .from")
	f("a\n  undo {{ .service", 2, 8, "unclosed action")
	f("undo {{ quote .service }}", 1, 6, `function "quote" not defined`)
	f("undo {{ if false }}{{ .version }}{{ end }}", 1, 23, "unknown field .version")
	f("undo {{ .service.name }}", 1, 17, "can't evaluate field name")
}

// Whatever a value is, the shell sees one word that is the value.
func FuzzShell(f *testing.F) {
	for _, s := range []string{"1.4.2", "a b", "$(reboot)", "`x`", "it's", "a;b", "*", "~", "ä", "#", "a=b", `\`, "'"} {
		f.Add(s)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		word, err := shell(s)
		if err != nil || s == "" {
			return
		}
		out, err := exec.Command(sh, "-c", "printf %s "+word).CombinedOutput()
		if err != nil || string(out) != s {
			t.Errorf("%q as %s: the shell sees %q, %v", s, word, out, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"{{.service}}", "{{if .from}}{{.from}}{{end}}", "{{range .}}x{{end}}", "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}", "{{"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if cmd, err := ParseCommand(text, topology.Identity{}); err == nil {
			cmd.Expand(Change{Kind: "deploy", Service: "a/b"})
		}
	})
}
