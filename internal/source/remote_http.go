package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxBackoff is the longest wait between two attempts.
const maxBackoff = 30 * time.Second

// bounded is the HTTP side of the API client: attempts, time and answer size
// are bounded. client_golang's own reads answers of any size.
type bounded struct {
	base    *url.URL
	client  *http.Client
	o       *RemoteOptions
	log     *slog.Logger
	slots   chan struct{}
	waiting atomic.Int64 // queries without a slot
	metrics *remoteMetrics
}

// URL implements api.Client. The parameter nocache keeps VictoriaMetrics from
// answering out of a cache of rounded times; others do not know it.
func (b *bounded) URL(ep string, args map[string]string) *url.URL {
	u := *b.base
	for name, value := range args {
		ep = strings.ReplaceAll(ep, ":"+name, value)
	}
	u.Path = path.Join("/", u.Path, ep)
	q := u.Query()
	q.Set("nocache", "1")
	u.RawQuery = q.Encode()
	return &u
}

// Do implements api.Client: it tries again after connection errors, torn
// answers, 429 and 5xx, except 501 and what a bad query gives. A query without an
// answer in time is not tried again: a server that is too slow would only have
// more to do.
func (b *bounded) Do(ctx context.Context, req *http.Request) (*http.Response, []byte, error) {
	if err := b.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer b.leave()
	begin := time.Now()
	resp, body, err := b.try(ctx, req)
	b.metrics.duration.WithLabelValues(outcome(resp, err)).Observe(time.Since(begin).Seconds())
	return resp, body, err
}

// errBusy is an error of a server that takes longer to answer than it is asked.
var errBusy = errors.New("the source answers too slowly: too many queries wait for it")

// enter waits for a turn, for as long as a query may take: behind a server that
// hangs nothing piles up.
func (b *bounded) enter(ctx context.Context) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	if n := b.waiting.Add(1); n > int64(b.o.Waiting) {
		b.waiting.Add(-1)
		b.metrics.refused.Inc()
		return noResponse{error: fmt.Errorf("%w (%d)", errBusy, n-1)}
	}
	defer b.waiting.Add(-1)
	timer := time.NewTimer(b.o.Timeout)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		b.metrics.refused.Inc()
		return noResponse{error: fmt.Errorf("%w (no turn within %s)", errBusy, b.o.Timeout)}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *bounded) leave() { <-b.slots }

func (b *bounded) try(ctx context.Context, req *http.Request) (*http.Response, []byte, error) {
	wait := b.o.Backoff
	for try := 0; ; try++ {
		resp, body, err := b.attempt(ctx, req)
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("given up after %d attempts: %w", try+1, context.Cause(ctx))
		}
		if try >= b.o.Retries || !again(resp, body, err) {
			if err != nil && try > 0 {
				err = fmt.Errorf("%w (after %d attempts)", err, try+1)
			}
			if err != nil && !errors.Is(err, errTooLarge) {
				err = noResponse{error: err, late: errors.Is(err, errLate)}
			}
			return resp, body, err
		}
		pause := min(maxBackoff, max(wait, retryAfter(resp)))
		b.metrics.retries.Inc()
		b.log.Debug("the source is asked again", "url", showURL(b.base), "attempt", try+1, "in", pause, "err", err)
		if err := sleep(ctx, pause); err != nil {
			return nil, nil, err
		}
		wait *= 2
	}
}

var errLate = errors.New("no answer")

// errTooLarge is not tried again: the answer would be as large.
var errTooLarge = errors.New("the answer is too large: aggregate in the query, or raise the limit")

func (b *bounded) attempt(ctx context.Context, req *http.Request) (*http.Response, []byte, error) {
	// The server has the time-out as a parameter; ours is a little longer, so
	// that it can say itself what took long.
	timeout := b.o.Timeout + time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", errLate, timeout))
	defer cancel()
	req = req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, nil, err
		}
		req.Body = body
	}
	req.Header.Set("Accept-Encoding", "gzip") // Prometheus's client config switches Go's own off
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, nil, b.because(ctx, err)
	}
	defer resp.Body.Close()
	var text io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if text, err = gzip.NewReader(resp.Body); err != nil {
			return nil, nil, fmt.Errorf("the answer is broken gzip: %w", b.because(ctx, err))
		}
	}
	data, err := io.ReadAll(io.LimitReader(text, b.o.MaxBytes+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("the answer broke off after %d bytes: %w", len(data), b.because(ctx, err))
	case int64(len(data)) > b.o.MaxBytes:
		return nil, nil, fmt.Errorf("more than %d bytes: %w", b.o.MaxBytes, errTooLarge)
	}
	if bytes.Contains(data[:min(len(data), 200)], []byte(vmPartial)) {
		tellPartial(ctx)
	}
	return resp, data, nil
}

// because prefers the reason of our time-out to what it made net/http say.
func (b *bounded) because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return withoutURL(err)
}

func again(resp *http.Response, body []byte, err error) bool {
	if err != nil {
		return !errors.Is(err, errTooLarge) && !errors.Is(err, errLate)
	}
	switch code := resp.StatusCode; code {
	case http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	case http.StatusServiceUnavailable:
		// Prometheus's answer to a query that takes too long: it would again.
		return !bytes.Contains(body, []byte("query timed out"))
	default:
		return code >= 500
	}
}

// retryAfter returns what the server asks for in seconds, or 0.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	s, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return time.Duration(min(s, int(maxBackoff/time.Second))) * time.Second
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
