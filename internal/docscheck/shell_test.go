package docscheck

import (
	"regexp"
	"slices"
	"strings"
)

// command is one simple command of a shell script.
type command struct {
	line    int // counted from 0 in its script
	args    []string
	in, out string // files of < and >
	expands bool   // something in it is filled in by the shell
	piped   bool   // it stands in a pipe
	shown   bool   // the page shows what it prints
	want    string // what that is
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_]\w*=`)
	keywords   = []string{"until", "while", "if", "then", "do", "else", "!", "time", "sudo", "exec", "env", "(", "{"}
)

// splitter takes a shell script apart as far as pages need it: quotes,
// comments, continued lines, redirections, pipes and lists.
type splitter struct {
	line     int
	out      []command
	now      command
	word     strings.Builder
	inWord   bool
	redirect byte // the next word is the file of this redirection
	open     bool // a quote or a continued line did not end
}

func split(script string) (commands []command, open bool) {
	s := &splitter{}
	for i := 0; i < len(script); i++ {
		i = s.step(script, i)
	}
	s.endCommand(false)
	return s.out, s.open
}

func (s *splitter) step(script string, i int) int {
	switch c := script[i]; c {
	case '\\':
		if i+1 == len(script) || script[i+1:] == "\n" {
			s.open = true
			return len(script)
		}
		if script[i+1] == '\n' {
			s.line++
		} else {
			s.add(script[i+1])
		}
		return i + 1
	case '\'', '"':
		return s.quoted(script, i)
	case '#':
		if s.inWord {
			s.add(c)
			return i
		}
		for i+1 < len(script) && script[i+1] != '\n' {
			i++
		}
	case ' ', '\t':
		s.endWord()
	case '\n':
		s.endCommand(false)
		s.line++
	case ';':
		s.endCommand(false)
	case '|', '&':
		double := i+1 < len(script) && script[i+1] == c
		s.endCommand(c == '|' && !double)
		s.now.piped = c == '|' && !double
		if double {
			i++
		}
	case '<', '>':
		return s.redirected(script, i)
	default:
		if c == '$' {
			s.now.expands = true
		}
		s.add(c)
	}
	return i
}

func (s *splitter) add(c byte) {
	s.word.WriteByte(c)
	s.inWord = true
}

func (s *splitter) quoted(script string, i int) int {
	quote := script[i]
	s.inWord = true
	for i++; i < len(script) && script[i] != quote; i++ {
		switch {
		case script[i] == '\n':
			s.line++
		case quote == '"' && script[i] == '$':
			s.now.expands = true
		case quote == '"' && script[i] == '\\' && i+1 < len(script):
			i++
		}
		s.word.WriteByte(script[i])
	}
	s.open = s.open || i == len(script)
	return i
}

func (s *splitter) redirected(script string, i int) int {
	if s.inWord && (s.word.String() == "2" || s.word.String() == "1") { // 2>file
		s.redirect, s.inWord = 0, false
		number := s.word.String()
		s.word.Reset()
		if number == "2" {
			s.redirect = '2'
		}
	} else {
		s.endWord()
	}
	if s.redirect == 0 {
		s.redirect = script[i]
	}
	for i+1 < len(script) && (script[i+1] == '>' || script[i+1] == '&') {
		i++
	}
	return i
}

func (s *splitter) endWord() {
	if !s.inWord {
		return
	}
	word := s.word.String()
	s.word.Reset()
	s.inWord = false
	switch s.redirect {
	case '<':
		s.now.in = word
	case '>':
		s.now.out = word
	case 0:
		if len(s.now.args) == 0 {
			s.now.line = s.line
			if slices.Contains(keywords, word) || assignment.MatchString(word) {
				return
			}
		}
		s.now.args = append(s.now.args, word)
	}
	s.redirect = 0
}

func (s *splitter) endCommand(pipe bool) {
	s.endWord()
	s.now.piped = s.now.piped || pipe
	if len(s.now.args) > 0 {
		s.out = append(s.out, s.now)
	}
	s.now, s.redirect = command{}, 0
}

// programs are those whose lines are commands in blocks that do not say so.
var programs = []string{"foreshock", "bin/foreshock", "./bin/foreshock", "go", "make", "curl", "amtool", "promtool"}

// commandsOf returns the commands of a block of a shell's language, of an
// indented one or of one without language.
func commandsOf(b *block) []command {
	lines := strings.Split(strings.TrimRight(b.text, "\n"), "\n")
	prompts := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "$ ") })
	if !prompts && b.lang != "" && b.lang != "indented" && b.lang != "console" {
		out, _ := split(b.text)
		return out
	}
	var out []command
	for i := 0; i < len(lines); i++ {
		script, ok := strings.CutPrefix(lines[i], "$ ")
		if !prompts {
			first, _, _ := strings.Cut(script, " ")
			ok = slices.Contains(programs, first)
		}
		if !ok {
			continue
		}
		from := i
		found, open := split(script)
		for open && i+1 < len(lines) {
			i++
			script += "\n" + strings.TrimPrefix(lines[i], "> ")
			found, open = split(script)
		}
		for k := range found {
			found[k].line += from
		}
		if prompts && len(found) > 0 {
			end := i + 1
			for end < len(lines) && !strings.HasPrefix(lines[end], "$ ") {
				end++
			}
			last := &found[len(found)-1]
			last.want = strings.TrimSpace(strings.Join(lines[i+1:end], "\n"))
			last.shown = last.want != ""
			i = end - 1
		}
		out = append(out, found...)
	}
	return out
}
