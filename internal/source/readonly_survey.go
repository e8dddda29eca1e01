package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// survey is what a data directory holds.
type survey struct {
	blocks []string // folders with a meta.json, in order of name
	wal    bool
}

const blockMeta = "meta.json"

// surveyTSDB looks at a directory and says what is missing where it is no TSDB.
func surveyTSDB(dir string) (survey, error) {
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return survey{}, fmt.Errorf("TSDB directory %s: %w", dir, inner(err))
	case !st.IsDir():
		return survey{}, fmt.Errorf("TSDB directory %s: it is a file: name the directory that holds the blocks and wal/ (Prometheus's --storage.tsdb.path)", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return survey{}, fmt.Errorf("TSDB directory %s: %w", dir, inner(err))
	}
	s := survey{wal: isDir(filepath.Join(dir, walDir))}
	for _, e := range entries {
		if !e.IsDir() || !isULID(e.Name()) {
			continue
		}
		ok, err := hasMeta(filepath.Join(dir, e.Name()))
		if err != nil {
			return survey{}, fmt.Errorf("TSDB directory %s: %w", dir, err)
		}
		if ok {
			s.blocks = append(s.blocks, e.Name())
		}
	}
	if len(s.blocks) == 0 && !s.wal {
		hint := ""
		if isDir(filepath.Join(dir, "data", walDir)) {
			hint = fmt.Sprintf("; %s looks like one", filepath.Join(dir, "data"))
		}
		return survey{}, fmt.Errorf("%s is no TSDB directory: neither a block's folder with a %s nor %s/ is in it%s", dir, blockMeta, walDir, hint)
	}
	return s, nil
}

// hasMeta says whether a folder is a block. One without meta.json is being
// written or deleted; Prometheus passes over it, too.
func hasMeta(block string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(block, blockMeta))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("block %s: %w", filepath.Base(block), err)
	}
	var m tsdb.BlockMeta
	if err := json.Unmarshal(text, &m); err != nil {
		return false, fmt.Errorf("block %s is damaged: its %s cannot be read: %w: move the block's folder away", filepath.Base(block), blockMeta, err)
	}
	return true, nil
}

// isULID says whether a folder is named as a block is.
func isULID(name string) bool {
	return len(name) == 26 && strings.Trim(strings.ToUpper(name), "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

// refuse takes no samples.
type refuse struct{ err error }

func (r refuse) Appender(context.Context) storage.Appender { return refusing(r) }

type refusing struct{ err error }

var _ storage.Appender = refusing{}

func (r refusing) Append(storage.SeriesRef, labels.Labels, int64, float64) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, r.err
}
func (r refusing) SetOptions(*storage.AppendOptions) {}
func (r refusing) Commit() error                     { return r.err }
func (r refusing) Rollback() error                   { return nil }
