package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/prometheus/promql"
)

// ErrUnavailable is in the chain of each error that says that a server did not
// answer, in spite of all attempts, or refuses to be asked at all (wrong
// credentials or address): every other query would fail as well. It is not in
// the chain where the server answers, but not to this query.
var ErrUnavailable error = unavailable{}

type unavailable struct{}

func (unavailable) Error() string { return "the source is unavailable" }

// Unavailable tells those who know no [ErrUnavailable].
func (unavailable) Unavailable() bool { return true }

// IsUnavailable says whether a query failed because its source did, which is
// something else than a query that is wrong or has no data.
func IsUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) }

// errLasting is in the chain of errors that the same query would give again.
var errLasting = errors.New("the query would fail again")

// answer is an error that the server gave as its answer to the query.
type answer struct{ error }

func (a answer) Unwrap() error      { return a.error }
func (answer) Is(target error) bool { return target == errLasting }

// isAnswer says whether the same query would fail in the same way again.
func isAnswer(err error) bool { return errors.Is(err, errLasting) }

// isTooLarge says whether a shorter range may be answered.
func isTooLarge(err error) bool {
	var samples promql.ErrTooManySamples
	var late promql.ErrQueryTimeout
	return errors.Is(err, errTooLarge) || errors.As(err, &samples) || errors.As(err, &late)
}

// noResponse is an error of the connection: there was no answer, or part of one.
type noResponse struct {
	error
	late bool // no answer in time: it may be this query alone that takes so long
}

func (n noResponse) Unwrap() error { return n.error }

// tooLargeTexts are what servers say where a shorter range may succeed.
var tooLargeTexts = []string{
	"exceeded maximum resolution",              // Prometheus, Thanos: more than 11,000 points
	"too many samples",                         // Prometheus, Thanos, Mimir: query.max-samples
	"maxPointsPerTimeseries",                   // VictoriaMetrics
	"maxSamplesPerQuery",                       // VictoriaMetrics
	"maxMemoryPerQuery",                        // VictoriaMetrics
	"query time range exceeds the limit",       // Mimir
	"exceeded the maximum number of chunks",    // Mimir
	"exceeded the aggregated chunks size",      // Mimir
	"exceeded the maximum estimated memory",    // Mimir
	"response larger than the max",             // Mimir, between its parts
	"received message larger than max",         // Thanos, between its parts
	"query timed out",                          // Prometheus
	"exceeds `-search.maxQueryDuration`",       // VictoriaMetrics
	"cannot be completed in the configured ti", // VictoriaMetrics
}

// classify puts into an error's chain what a replay has to know of it.
func (r *Remote) classify(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, errTooLarge) {
		return err
	}
	var silent noResponse
	if errors.As(err, &silent) && !silent.late {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var said *apiv1.Error
	if errors.As(err, &said) {
		text := said.Msg + said.Detail
		for _, t := range tooLargeTexts {
			if strings.Contains(text, t) {
				return fmt.Errorf("%w: %w", errTooLarge, err)
			}
		}
		switch {
		case said.Type == apiv1.ErrExec, said.Type == apiv1.ErrBadData, said.Type == "422": // the last is VictoriaMetrics's
			return answer{err}
		case said.Type == apiv1.ErrBadResponse, said.Type == apiv1.ErrClient && !strings.HasSuffix(said.Msg, " 403"):
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	} else if !silent.late {
		return err // the answer came, but is of no use
	}
	// Is it the server that fails, or this query alone?
	if !r.http.answers(ctx) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if silent.late {
		return fmt.Errorf("%w: %w", errTooLarge, err)
	}
	return err
}

// Answers says why the server answers no queries; nil: it does.
func (r *Remote) Answers(ctx context.Context) error {
	_, _, err := r.instant(ctx, `vector(1)`, time.Unix(0, 0))
	return err
}

// answers asks for next to nothing, once.
func (b *bounded) answers(ctx context.Context) bool {
	if b.enter(ctx) != nil {
		return false
	}
	defer b.leave()
	form := strings.NewReader(url.Values{"query": {"vector(1)"}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL("/api/v1/query", nil).String(), form)
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, body, err := b.attempt(ctx, req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	var said struct{ Status string }
	return json.Unmarshal(body, &said) == nil && said.Status == "success"
}
