package docscheck

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/foreshock/foreshock/internal/peers"
)

// notRun is the exit status of a command that was only looked at.
const notRun = -1

// ends are the commands of foreshock that end by themselves and ask no server.
var ends = []string{"version", "check", "test", "backtest", "detect", "help"}

// testCommands tries the commands of all blocks, page by page, in the order of the page.
func (c *checker) testCommands(t *testing.T) {
	n := 0
	for _, p := range c.pages {
		for _, b := range p.blocks {
			switch b.lang {
			case "console", "sh", "bash", "shell", "", "indented":
			default:
				continue
			}
			status := notRun
			for _, cmd := range commandsOf(b) {
				n++
				at := b.at(cmd.line)
				if cmd.shown && len(cmd.args) == 2 && cmd.args[0] == "echo" && cmd.args[1] == "$?" {
					if got := fmt.Sprint(status); status != notRun && got != cmd.want {
						t.Errorf("%s: exit status of the command before: got %s, want %s", at, got, cmd.want)
					}
					continue
				}
				var err error
				if status, err = c.try(t, p, cmd); err != nil {
					t.Errorf("%s: %s: %v", at, strings.Join(cmd.args, " "), err)
				}
			}
		}
	}
	if n == 0 {
		t.Error("got no command in any page, want some")
	}
}

// try checks one command, and runs it where that is cheap and safe. The status
// is that of a command that was run.
func (c *checker) try(t *testing.T, p *page, cmd command) (status int, err error) {
	if err := c.namedExamples(cmd); err != nil {
		return notRun, err
	}
	args, ours := foreshockArgs(cmd.args)
	switch {
	case ours:
		return c.foreshock(t, p, cmd, args)
	case cmd.args[0] == "go":
		return notRun, c.goCommand(cmd.args[1:])
	case cmd.args[0] == "make":
		return notRun, c.makeCommand(cmd.args[1:])
	case cmd.args[0] == "curl":
		return notRun, c.curl(cmd.args[1:])
	case cmd.args[0] == "amtool" || cmd.args[0] == "promtool":
		dir, ok := c.folderOf(t, p, yamlFiles(cmd.args))
		if len(yamlFiles(cmd.args)) == 0 || cmd.expands || cmd.piped {
			return notRun, nil
		}
		if !ok {
			return notRun, fmt.Errorf("no block and no linked example gives the files %v", yamlFiles(cmd.args))
		}
		return c.run(t, dir, peers.Path(t, cmd.args[0]), cmd.args[1:], cmd)
	}
	return notRun, nil
}

// foreshockArgs returns what follows the program's name in a call of ours.
func foreshockArgs(args []string) ([]string, bool) {
	switch {
	case len(args) > 2 && args[0] == "go" && args[1] == "run" && (args[2] == "./cmd/foreshock" || strings.HasPrefix(args[2], "github.com/foreshock/foreshock/cmd/foreshock")):
		return args[3:], true
	case filepath.Base(args[0]) == "foreshock":
		return args[1:], true
	}
	return nil, false
}

// namedExamples says whether the examples that a command reads are there.
func (c *checker) namedExamples(cmd command) error {
	for _, arg := range append(slices.Clone(cmd.args), cmd.in) {
		if _, value, ok := strings.Cut(arg, "="); ok {
			arg = value
		}
		if path := strings.TrimPrefix(arg, "./"); strings.HasPrefix(path, "examples/") && !strings.ContainsAny(path, "$…") && !c.exists(path) {
			return fmt.Errorf("%s is not there", path)
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`^(?:--[\w.-]+=)?[A-Z][A-Z_]*…?$|\[|…`)

func (c *checker) foreshock(t *testing.T, p *page, cmd command, args []string) (int, error) {
	name, rest := "run", args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, rest = args[0], args[1:]
	}
	if name == "[command]" || name == "COMMAND" || name == "help" {
		return notRun, nil
	}
	flags, ok := c.commands[name]
	if !ok {
		return notRun, fmt.Errorf("got the command %q, want one of %s", name, strings.Join(sortedKeys(c.commands), ", "))
	}
	if err := checkFlagNames(name, flags, rest); err != nil {
		return notRun, err
	}
	if slices.ContainsFunc(rest, placeholder.MatchString) || cmd.expands {
		return notRun, nil
	}
	if slices.Contains(ends, name) && !cmd.piped {
		dir, ok := c.folderOf(t, p, inputs(cmd, rest, flags))
		if !ok && cmd.shown { // what is shown may be the error of a file that is not there
			dir, ok = c.workspace(t, p), true
		}
		if ok {
			return c.run(t, dir, c.binary, args, cmd)
		}
	}
	// --help after the others: they are parsed first, and nothing is done.
	_, err := c.run(t, c.dir, c.binary, append(append([]string{name}, rest...), "--help"), command{})
	return notRun, err
}

// checkFlagNames looks flags up by their names.
func checkFlagNames(command string, flags map[string]flag, args []string) error {
	for _, arg := range args {
		name, ok := strings.CutPrefix(strings.Trim(arg, "[]…"), "--")
		if !ok || name == "" {
			continue
		}
		name, _, _ = strings.Cut(name, "=")
		if _, ok := flags[name]; !ok && name != "help" {
			return fmt.Errorf("got --%s, want a flag of foreshock %s: %s", name, command, strings.Join(sortedKeys(flags), ", "))
		}
	}
	return nil
}

// inputs are the files that a call reads; a configuration that is not named is foreshock.yml.
func inputs(cmd command, args []string, flags map[string]flag) []string {
	var files []string
	if cmd.in != "" {
		files = append(files, cmd.in)
	}
	configured := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, isFlag := strings.CutPrefix(arg, "--")
		if !isFlag {
			if arg != "-" {
				files = append(files, arg)
			}
			continue
		}
		name, value, with := strings.Cut(name, "=")
		if f := flags[name]; !with && f.value && i+1 < len(args) {
			i++
			value = args[i]
		} else if !with {
			continue
		}
		configured = configured || name == "config.file"
		isFile := strings.HasSuffix(name, "file") || name == "case" || name == "input" || filepath.Ext(value) != "" && !strings.Contains(value, " ")
		if isFile && value != "-" && !flags[name].writes && !strings.Contains(value, "://") {
			files = append(files, value)
		}
	}
	if _, ok := flags["config.file"]; ok && !configured {
		files = append(files, "foreshock.yml")
	}
	return files
}

func yamlFiles(args []string) []string {
	var files []string
	for _, arg := range args {
		if _, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			arg = value
		}
		if ext := filepath.Ext(arg); ext == ".yml" || ext == ".yaml" {
			files = append(files, arg)
		}
	}
	return files
}

// folderOf is the folder in which a reader of the page would be who has all
// the files there: the root of the tree, the page's own folder, or that of one
// of its named blocks or linked examples.
func (c *checker) folderOf(t *testing.T, p *page, files []string) (string, bool) {
	t.Helper()
	root := c.workspace(t, p)
	folders := []string{root, filepath.Join(root, filepath.Dir(p.path))}
	for _, b := range p.blocks {
		if b.file != "" {
			folders = append(folders, filepath.Dir(filepath.Join(root, b.file)))
		}
	}
	for _, l := range p.links() {
		target := filepath.Join(filepath.Dir(p.path), l.path)
		if strings.HasPrefix(filepath.ToSlash(target), "examples/") {
			folders = append(folders, filepath.Join(root, target), filepath.Dir(filepath.Join(root, target)))
		}
	}
	for _, dir := range folders {
		all := true
		for _, f := range files {
			_, err := os.Stat(filepath.Join(dir, f))
			all = all && err == nil
		}
		if info, err := os.Stat(dir); all && err == nil && info.IsDir() {
			return dir, true
		}
	}
	return "", false
}

// testInlineCommands checks the commands in running text: their names and flags.
func (c *checker) testInlineCommands(t *testing.T) {
	for _, p := range c.pages {
		for _, s := range p.spans() {
			commands, _ := split(s.text)
			if len(commands) != 1 || len(commands[0].args) < 2 {
				continue
			}
			cmd := commands[0]
			cmd.expands = true // names only
			if _, err := c.try(t, p, cmd); err != nil {
				t.Errorf("%s:%d: `%s`: %v", p.path, s.line, s.text, err)
			}
		}
	}
}
