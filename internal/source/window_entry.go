package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// entryKind says what an entry of the cache holds after its first byte, which
// is the kind. Numbers are little endian, values the bits of a float64.
type entryKind uint8

const (
	// stepsEntry: for each step, how many values there are up to its end
	// (uint32); for each step, one bit a row of the table; the values that
	// there are, step by step in order of rows.
	stepsEntry entryKind = iota
	// listEntry, of one step: the row of each sample (uint32), then their
	// values; in the order of the answer.
	listEntry
	// failedEntry, of one step: the message of the error.
	failedEntry
)

const (
	// entryBytes is about the size of an entry of several steps; one is held on
	// the heap for each window. A larger one, of many series at one step, is kept
	// in pieces of this size. Six of them fill one of fastcache's chunks of 64 KiB,
	// which an entry cannot reach across; and the smaller they are, the more
	// evenly they fill its 512 parts.
	entryBytes = 10_800
	maxSteps   = 1024 // of an entry
)

// pieceKey is the key of a piece of an entry in the cache.
func pieceKey(serial uint64, piece int) [12]byte {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], serial)
	binary.LittleEndian.PutUint32(b[8:], uint32(piece))
	return b
}

// set puts an entry into the cache.
func (w *Windows) set(s span, e []byte) {
	for piece := 0; len(e) > 0; piece++ {
		n := min(len(e), entryBytes)
		key := pieceKey(s.serial, piece)
		w.cache.Set(key[:], e[:n])
		e = e[n:]
	}
}

// read appends an entry to b; nothing where it is lost.
func (w *Windows) read(b []byte, s span) []byte {
	start := len(b)
	for piece := range s.pieces() {
		key := pieceKey(s.serial, piece)
		b = w.cache.Get(b, key[:])
	}
	if len(b)-start != int(s.size) {
		return b[:start]
	}
	return b
}

// cached says whether an entry is there as a whole.
func (w *Windows) cached(s span) bool {
	for piece := range s.pieces() {
		if key := pieceKey(s.serial, piece); !w.cache.Has(key[:]) {
			return false
		}
	}
	return true
}

func (s span) pieces() int { return (int(s.size) + entryBytes - 1) / entryBytes }

func stepsPerEntry(rows int) int64 {
	return int64(min(maxSteps, max(1, entryBytes/(4+8*rows+(rows+7)/8))))
}

// rowsOf sorts the series by labels and returns the label sets.
func rowsOf(m promql.Matrix) ([]labels.Labels, error) {
	slices.SortFunc(m, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	rows := make([]labels.Labels, len(m))
	for i, s := range m {
		if len(s.Histograms) > 0 {
			return nil, errNeverWindow
		}
		if i > 0 && labels.Equal(m[i-1].Metric, s.Metric) {
			return nil, errDuplicate
		}
		rows[i] = s.Metric
	}
	return rows, nil
}

// rowsOfVector returns the label sets in order; the vector keeps its own.
func rowsOfVector(v promql.Vector) []labels.Labels {
	rows := make([]labels.Labels, len(v))
	for i, s := range v {
		rows[i] = s.Metric
	}
	slices.SortFunc(rows, labels.Compare)
	return rows
}

// encodeSteps makes the entries of n steps from index on, each of per steps (the last of fewer).
func encodeSteps(m promql.Matrix, g gridKey, index, n, per int64) ([][]byte, error) {
	points := make([]int, n)
	for _, s := range m {
		for _, p := range s.Floats {
			i := (p.T-g.offset)/g.step - index
			if i < 0 || i >= n || (i+index)*g.step+g.offset != p.T {
				return nil, fmt.Errorf("series %s has a point at %d ms, which is not a step of the range query", s.Metric, p.T)
			}
			points[i]++
		}
	}
	width := (len(m) + 7) / 8
	entries := make([][]byte, 0, (n+per-1)/per)
	next := make([]int, n) // where the next value of a step goes
	for base := int64(0); base < n; base += per {
		steps := int(min(per, n-base))
		sum := 0
		for j := range steps {
			next[int(base)+j] = 1 + (4+width)*steps + 8*sum
			sum += points[int(base)+j]
		}
		e := make([]byte, 1+(4+width)*steps+8*sum)
		e[0] = byte(stepsEntry)
		for j, end := 0, 0; j < steps; j++ {
			end += points[int(base)+j]
			binary.LittleEndian.PutUint32(e[1+4*j:], uint32(end))
		}
		entries = append(entries, e)
	}
	for row, s := range m {
		for _, p := range s.Floats {
			i := (p.T-g.offset)/g.step - index
			e := entries[i/per]
			steps := int(min(per, n-i/per*per))
			e[1+4*steps+int(i%per)*width+row/8] |= 1 << (row % 8)
			binary.LittleEndian.PutUint64(e[next[i]:], math.Float64bits(p.F))
			next[i] += 8
		}
	}
	return entries, nil
}

func encodeFailure(err error) []byte { return append([]byte{byte(failedEntry)}, err.Error()...) }

// encodeList makes the entry of one vector.
func encodeList(v promql.Vector) []byte {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return labels.Compare(v[a].Metric, v[b].Metric) })
	e := make([]byte, 1+12*len(v))
	e[0] = byte(listEntry)
	for row, i := range order {
		binary.LittleEndian.PutUint32(e[1+4*i:], uint32(row))
	}
	for i, s := range v {
		binary.LittleEndian.PutUint64(e[1+4*len(v)+8*i:], math.Float64bits(s.F))
	}
	return e
}

// decodeStep returns the answer of a step; ok is false where the entry is not the span's.
func decodeStep(e []byte, s span, index, ms int64) (v promql.Vector, ok bool, err error) {
	if len(e) == 0 || e[0] != byte(s.kind) {
		return nil, false, nil
	}
	e = e[1:]
	rows := s.table.rows
	switch s.kind {
	case failedEntry:
		return nil, true, errors.New(string(e))
	case listEntry:
		if len(e) != 12*len(rows) {
			return nil, false, nil
		}
		v = make(promql.Vector, len(rows))
		for i := range v {
			row := binary.LittleEndian.Uint32(e[4*i:])
			if int(row) >= len(rows) {
				return nil, false, nil
			}
			v[i] = promql.Sample{T: ms, F: float(e[4*len(rows)+8*i:]), Metric: rows[row]}
		}
		return v, true, nil
	}
	steps, width, j := int(s.steps), (len(rows)+7)/8, int(index-s.base)
	head := (4 + width) * steps
	if j < 0 || j >= steps || len(e) < head {
		return nil, false, nil
	}
	from, to := 0, int(binary.LittleEndian.Uint32(e[4*j:]))
	if j > 0 {
		from = int(binary.LittleEndian.Uint32(e[4*(j-1):]))
	}
	if from > to || to > (len(e)-head)/8 {
		return nil, false, nil
	}
	present, values := e[4*steps+j*width:][:width], e[head+8*from:head+8*to]
	v = make(promql.Vector, 0, to-from)
	for i, b := range present {
		for ; b != 0; b &= b - 1 {
			row := 8*i + bits.TrailingZeros8(b)
			if row >= len(rows) || len(values) < 8 {
				return nil, false, nil
			}
			v = append(v, promql.Sample{T: ms, F: float(values), Metric: rows[row]})
			values = values[8:]
		}
	}
	return v, len(values) == 0, nil
}

func float(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
