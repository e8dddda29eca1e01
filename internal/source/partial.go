package source

import (
	"context"
	"strings"
	"sync/atomic"
)

// partialKey is the context's key of what [WatchPartial] looks at.
type partialKey struct{}

// WatchPartial returns a context whose queries of a [Remote] are watched, and a
// function that says whether one of them was answered in part: some store
// behind the server did not answer, so series or samples may be missing.
// A context that is watched already tells the outer one as well.
func WatchPartial(ctx context.Context) (context.Context, func() bool) {
	seen := &atomic.Bool{}
	outer, _ := ctx.Value(partialKey{}).(func())
	var tell func() = func() {
		seen.Store(true)
		if outer != nil {
			outer()
		}
	}
	return context.WithValue(ctx, partialKey{}, tell), seen.Load
}

// tellPartial says that an answer to a query of this context was partial.
func tellPartial(ctx context.Context) {
	if tell, ok := ctx.Value(partialKey{}).(func()); ok {
		tell()
	}
}

// isPartial says whether a warning means that data may be missing. Those of
// Prometheus's engine are about the expression; all others come from the parts
// behind a server (Thanos, Mimir, remote read) that did not answer.
func isPartial(warning string) bool {
	return !strings.HasPrefix(warning, "PromQL ") && warning != errTruncated.Error()
}

// vmPartial is how the cluster version of VictoriaMetrics begins an answer that lacks what some of its nodes have.
const vmPartial = `"isPartial":true`

// vmPartialWarning is what is said instead.
const vmPartialWarning = "the answer is partial: some nodes did not answer"
