package app

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that the time of the
// test is theirs.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Who sends or reads slowly is put off after a while: headers have ten seconds,
// a body has a minute, and an answer has to be read within five.
func TestSlowClients(t *testing.T) {
	for _, c := range []struct {
		name, send string
		trickle    byte // sent each second; 0: nothing
		read       bool
		want       time.Duration
	}{
		{name: "no header", want: 10 * time.Second},
		{name: "a header that does not end", send: "GET / HTTP/1.1\r\nHost: a\r\nX: ", trickle: 'x', want: 10 * time.Second},
		{name: "a body that does not end", send: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", trickle: 'x', read: true, want: time.Minute},
		{name: "an answer that is not read", send: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", want: 5 * time.Minute},
		{name: "nothing after an answer", send: "GET /small HTTP/1.1\r\nHost: a\r\n\r\n", read: true, want: 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return
					}
					if r.URL.Path == "/" {
						io.WriteString(w, strings.Repeat("large ", 100_000))
					}
				}), slog.New(slog.DiscardHandler))
				l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				ended := make(chan error, 1)
				go func() { ended <- srv.Serve(l) }()
				ours, theirs := net.Pipe()
				begin := time.Now()
				l.conns <- theirs
				var writing sync.WaitGroup
				writing.Go(func() {
					if _, err := io.WriteString(ours, c.send); err != nil || c.trickle == 0 {
						return
					}
					for {
						time.Sleep(time.Second)
						if _, err := ours.Write([]byte{c.trickle}); err != nil {
							return
						}
					}
				})
				if c.read {
					if _, err := io.Copy(io.Discard, ours); err != nil && !errors.Is(err, io.ErrClosedPipe) {
						t.Error(err)
					}
				} else {
					// Only whether it is closed: nothing is read.
					ours.SetReadDeadline(time.Now().Add(-1))
					for {
						time.Sleep(time.Second)
						if _, err := ours.Read(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
							break
						}
						if time.Since(begin) > time.Hour {
							break
						}
					}
				}
				if took := time.Since(begin); took < c.want-2*time.Second || took > c.want+2*time.Second {
					t.Errorf("put off after %s, want %s", took, c.want)
				}
				ours.Close()
				writing.Wait()
				srv.Close()
				if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}
