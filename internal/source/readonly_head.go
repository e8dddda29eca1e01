package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
)

// shadowHead replays what of a directory is in no block yet.
type shadowHead struct {
	dir    string // somebody else's: only read
	shadow string // ours
	newest int64  // end of the newest block, milliseconds
	log    *slog.Logger
}

const (
	walDir    = "wal"
	chunksDir = "chunks_head"
)

// flush writes the head as blocks and returns their directory. torn says why a
// log was read in part: what Prometheus would cut off at its next start.
func (h shadowHead) flush() (dir string, torn, err error) {
	for _, name := range []string{chunksDir, wlog.WblDirName} {
		if err := link(filepath.Join(h.dir, name), filepath.Join(h.shadow, name)); err != nil {
			return "", nil, err
		}
	}
	wal, err := wlog.Open(h.log, filepath.Join(h.dir, walDir))
	if err != nil {
		return "", nil, fmt.Errorf("write-ahead log: %w", err)
	}
	var wbl *wlog.WL
	if at := filepath.Join(h.shadow, wlog.WblDirName); isDir(at) {
		// Writing out-of-order blocks begins a new segment of this log, so it
		// has to be one of ours.
		if wbl, err = wlog.New(h.log, nil, at, compression.None); err != nil {
			return "", nil, fmt.Errorf("out-of-order log: %w", err)
		}
	}
	opts := tsdb.DefaultHeadOptions()
	opts.ChunkDirRoot = h.shadow // damaged chunk files are deleted there, new ones are written
	head, err := tsdb.NewHead(nil, h.log, wal, wbl, opts, tsdb.NewHeadStats())
	if err != nil {
		return "", nil, fmt.Errorf("head: %w", err)
	}
	defer func() { err = errors.Join(err, head.Close()) }()
	if err := head.Init(h.newest); err != nil {
		var corrupt *wlog.CorruptionErr
		if !errors.As(err, &corrupt) {
			return "", nil, fmt.Errorf("write-ahead log: %w", err)
		}
		torn = err
	}
	dir = filepath.Join(h.shadow, "blocks")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	return dir, torn, h.write(head, dir, wbl != nil)
}

func (h shadowHead) write(head *tsdb.Head, dir string, late bool) error {
	if head.NumSeries() == 0 {
		return nil
	}
	ctx := context.Background()
	c, err := tsdb.NewLeveledCompactor(ctx, nil, h.log, []int64{tsdb.DefaultBlockDuration}, chunkenc.NewPool(), nil)
	if err != nil {
		return err
	}
	// A block's end is not in it.
	if from, to := head.MinTime(), head.MaxTime(); from <= to {
		if _, err := c.Write(dir, tsdb.NewRangeHead(head, from, to), from, to+1, nil); err != nil {
			return fmt.Errorf("write-ahead log as a block: %w", err)
		}
	}
	if !late {
		return nil
	}
	ooo, err := tsdb.NewOOOCompactionHead(ctx, head)
	if err != nil {
		return fmt.Errorf("out-of-order samples: %w", err)
	}
	if ooo.MinTime() == math.MaxInt64 {
		return nil
	}
	meta := &tsdb.BlockMeta{}
	meta.Compaction.SetOutOfOrder()
	size := ooo.ChunkRange()
	for t := size * (ooo.MinTime() / size); t <= ooo.MaxTime(); t += size {
		if _, err := c.Write(dir, ooo.CloneForTimeRange(t, t+size-1), t, t+size, meta); err != nil {
			return fmt.Errorf("out-of-order samples as a block: %w", err)
		}
	}
	return nil
}

// link makes a directory of symbolic links to the files of another. Hard links
// would not work across file systems nor to another user's files.
func link(from, to string) error {
	files, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Symlink(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
