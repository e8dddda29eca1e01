package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows how far long work is: a bar on a terminal, a plain line every
// tenth of the work elsewhere.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	what  string
	tty   bool
	begin time.Time
	drawn time.Time
	tenth int
	text  string
	done  float64
}

func newProgress(w io.Writer, what string) *progress {
	p := &progress{w: w, what: what, begin: time.Now(), tenth: -1}
	if f, ok := w.(*os.File); ok {
		p.tty = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// set tells that the share done (0 to 1) of the work is done.
func (p *progress) set(done float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done = min(max(done, 0), 1)
	p.done = done
	left := ""
	if spent := time.Since(p.begin); done > 0.02 && spent > time.Second {
		left = fmt.Sprintf(", about %s left", time.Duration(float64(spent)*(1-done)/done).Round(time.Second))
	}
	p.text = fmt.Sprintf("%s %3.0f%%%s", p.what, done*100, left)
	if p.tty {
		if done < 1 && time.Since(p.drawn) < 100*time.Millisecond {
			return
		}
		p.drawn = time.Now()
		const width = 30
		full := int(done * width)
		fmt.Fprintf(p.w, "\r\x1b[K%s [%s%s] %3.0f%%%s", p.what, strings.Repeat("=", full), strings.Repeat(" ", width-full), done*100, left)
		if done == 1 {
			fmt.Fprintln(p.w)
		}
		return
	}
	if t := int(done * 10); t > p.tenth {
		p.tenth = t
		fmt.Fprintln(p.w, p.text)
	}
}

// end closes the bar: what follows begins on a line of its own.
func (p *progress) end(whole bool) {
	if whole {
		p.set(1)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tty && p.done < 1 {
		fmt.Fprintln(p.w)
	}
}

// fraction is the share done.
func (p *progress) fraction() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// String is the present state in words, for pages.
func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}
