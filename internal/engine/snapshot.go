package engine

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/linelog"
	"github.com/foreshock/foreshock/internal/topology"
)

// A snapshot is a header line and frames: what it is (1 byte), its length and
// the CRC-32C of the rest (4 bytes each, little endian), and the rest.
const (
	snapshotHeader = "foreshock-snapshot 1\n"

	frameRest   = 'M' // snapshotRest as JSON, first
	frameStates = 'D' // what detection rules learnt, see [rules.Manager.Snapshot]
	frameEnd    = 'E' // empty, last

	// maxFrame bounds one frame, so that a broken file cannot ask for memory.
	maxFrame = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshotRest is what there is beside the detection rules.
type snapshotRest struct {
	Time       time.Time            `json:"time"` // of the last incident step
	Identity   []string             `json:"identity"`
	Edges      []topology.Edge      `json:"edges,omitempty"`
	Changes    []change.Change      `json:"changes,omitempty"`
	Firing     map[string]time.Time `json:"firing,omitempty"`
	Experience incident.Experience  `json:"experience"`
}

// Save writes what the engine has learnt to a file, in place of the one that is
// there. It may be called while the engine works: a step waits for a part of it
// only. Nothing is written before the first step.
func (e *Engine) Save(path string) error {
	rest, ok := e.rest()
	if !ok {
		return nil
	}
	tmp := path + ".new"
	if err := e.save(tmp, rest); err != nil {
		return fmt.Errorf("snapshot %s: %w", path, errors.Join(err, ignoreMissing(os.Remove(tmp))))
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("snapshot %s: %w", path, err)
	}
	return linelog.SyncDirectory(filepath.Dir(path))
}

func (e *Engine) rest() (snapshotRest, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rest := snapshotRest{
		Time: e.lastTick, Identity: e.config.Identity.Names(),
		Edges: e.topology.Discovered(), Changes: e.o.Changes.All(), Experience: e.correlator.Experience(),
		Firing: map[string]time.Time{},
	}
	for k, since := range e.firing {
		rest.Firing[k] = since
	}
	return rest, !e.lastTick.IsZero()
}

func (e *Engine) save(path string, rest snapshotRest) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.WriteString(snapshotHeader); err != nil {
		return err
	}
	body, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	if err := writeFrame(w, frameRest, body); err != nil {
		return err
	}
	if err := e.rules.Load().Snapshot(func(frame []byte) error { return writeFrame(w, frameStates, frame) }); err != nil {
		return err
	}
	if err := writeFrame(w, frameEnd, nil); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func writeFrame(w io.Writer, what byte, body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("a frame of %d bytes: the most is %d", len(body), maxFrame)
	}
	head := []byte{what}
	head = binary.LittleEndian.AppendUint32(head, uint32(len(body)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(body, castagnoli))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// readFrame returns the next frame; the body is the caller's.
func readFrame(r io.Reader) (what byte, body []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, cutOff(err)
	}
	n, sum := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint32(head[5:])
	if n > maxFrame {
		return 0, nil, errors.New("a frame is longer than any")
	}
	// By and by, so that a length is not believed before its bytes are there.
	body, err = io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return 0, nil, err
	}
	if len(body) < int(n) {
		return 0, nil, cutOff(io.ErrUnexpectedEOF)
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, nil, errors.New("the checksum of a frame does not match")
	}
	return head[0], body, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends early")
	}
	return err
}

// Restore takes up what a file holds, all of it or, on an error, nothing, and
// returns until when it was learnt: the replay goes on from there. Incidents
// that the journal has open go on too. It is called after [Engine.Attach] and
// before the first step. accept may refuse the file for its time. A file of
// another identity, or without what one of the detection rules learnt, is an
// error.
func (e *Engine) Restore(path string, accept func(until time.Time) error) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	rest, err := e.restore(bufio.NewReaderSize(f, 1<<20), accept)
	if err != nil {
		return time.Time{}, fmt.Errorf("snapshot %s: %w", path, err)
	}
	return rest.Time, nil
}

func (e *Engine) restore(r io.Reader, accept func(time.Time) error) (rest snapshotRest, err error) {
	header := make([]byte, len(snapshotHeader))
	if _, err := io.ReadFull(r, header); err != nil || string(header) != snapshotHeader {
		return rest, errors.New("not a snapshot of this version of foreshock")
	}
	what, body, err := readFrame(r)
	if err != nil {
		return rest, err
	}
	if what != frameRest {
		return rest, fmt.Errorf("it begins with a frame of kind %q", what)
	}
	if err := json.Unmarshal(body, &rest); err != nil {
		return rest, err
	}
	if err := accept(rest.Time); err != nil {
		return rest, fmt.Errorf("of %s: %w", rest.Time.UTC().Format(time.RFC3339), err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if names := e.config.Identity.Names(); !slices.Equal(rest.Identity, names) {
		return rest, fmt.Errorf("its services are named by %v, those of the configuration by %v", rest.Identity, names)
	}
	// Frames are read to the end before a rule takes anything.
	if err := e.rules.Load().Restore(stateFrames(r)); err != nil {
		return rest, err
	}
	e.topology.Recall(rest.Edges)
	for _, c := range rest.Changes {
		if err := e.o.Changes.Add(c); err != nil {
			e.log.Warn("a change of an earlier run is left out", "err", err)
		}
	}
	for k, since := range rest.Firing {
		e.firing[k] = since
	}
	e.correlator.Recall(rest.Experience)
	if e.o.Journal != nil {
		e.correlator.Restore(rest.Time, e.o.Journal.Past())
	}
	e.lastTick = rest.Time
	return rest, nil
}

// stateFrames are the frames of detection rules up to the end, which must come.
func stateFrames(r io.Reader) func(yield func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		for {
			what, body, err := readFrame(r)
			switch {
			case err != nil:
			case what == frameEnd:
				return
			case what != frameStates:
				err = fmt.Errorf("a frame of kind %q", what)
			}
			if !yield(body, err) || err != nil {
				return
			}
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
