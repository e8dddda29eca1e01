package source

import (
	"fmt"
	"log/slog"
	"os"
)

// TemporaryOptions are those of a store that ends with its Close.
type TemporaryOptions struct {
	Query  QueryOptions
	Dir    string       // where its directory is made; empty: the system's temporary directory
	Logger *slog.Logger // nil: silent
}

// OpenTemporary makes an empty store in a temporary directory, which Close
// removes: for the results of a replay, or for the samples of a case. It takes
// samples of any time, in order of time within each series, scrapes nothing and
// forgets nothing before Close. A query that runs while samples are committed
// may see some of them.
func OpenTemporary(o TemporaryOptions) (*Local, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp(o.Dir, "foreshock-")
	if err != nil {
		return nil, fmt.Errorf("temporary store: %w: set TMPDIR to a writable directory", err)
	}
	db, err := openScratch(dir, o.Logger)
	if err != nil {
		return nil, fmt.Errorf("temporary store in %s: %w", dir, err)
	}
	return &Local{
		evaluator: newEvaluator(db, o.Query, o.Logger, nil),
		db:        db, log: o.Logger, temporary: true,
	}, nil
}
