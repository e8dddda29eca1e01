package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
)

// journalHeader is the first line of a journal: its format and version.
const journalHeader = "foreshock-journal 1"

// maxJournalLine bounds one entry, so that a broken file cannot ask for memory.
const maxJournalLine = 4 << 20

// Journal keeps the transitions of incidents on disk: each is written and
// synced before it is sent. A line is the CRC-32C of an incident in hex, a
// space, and the incident as JSON; the last line of a name counts.
type Journal struct {
	mu   sync.Mutex
	path string
	file *os.File
	past []*incident.Incident
	size int // bytes since the last compaction
}

// maxJournal is how much is appended before the journal is written anew with
// the newest state of each incident alone.
const maxJournal = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenJournal reads the journal at the path, or starts one. A last line that
// was cut off by a crash is dropped with a warning. Any other damage, or a file
// that is no journal, is set aside under the name path.damaged and said in the
// log; what could be read before the damage is kept.
func OpenJournal(path string, log *slog.Logger) (*Journal, error) {
	j := &Journal{path: path}
	damaged, err := j.load()
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("journal %s: %w", path, err)
	case damaged != nil:
		aside := path + ".damaged"
		if err := os.Rename(path, aside); err != nil {
			return nil, fmt.Errorf("journal %s: %w; it cannot be set aside: %w", path, damaged, err)
		}
		log.Error("the journal of incidents is damaged; it was set aside and starts anew with what could be read",
			"file", aside, "err", damaged, "incidents", len(j.past))
	}
	if err := j.compact(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, nil
}

// load reads the file into past. It returns damage apart from errors of I/O.
func (j *Journal) load() (damage, err error) {
	f, err := os.Open(j.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	byID := map[string]int{}
	for n := 1; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			if n == 1 && len(line) > 0 {
				return errors.New("line 1: not a journal of foreshock"), nil
			}
			return nil, nil // an unfinished last line was never acted upon
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err), nil
		}
		if n == 1 {
			if string(line) != journalHeader {
				return errors.New("line 1: not a journal of this version of foreshock"), nil
			}
			continue
		}
		i, err := decodeEntry(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err), nil
		}
		if k, ok := byID[i.ID]; ok {
			j.past[k] = i
			continue
		}
		byID[i.ID] = len(j.past)
		j.past = append(j.past, i)
	}
}

// remember keeps the newest state of an incident for the next compaction.
func (j *Journal) remember(i *incident.Incident) {
	k := slices.IndexFunc(j.past, func(o *incident.Incident) bool { return o.ID == i.ID })
	if k >= 0 {
		j.past[k] = i
		return
	}
	j.past = append(j.past, i)
	if n := len(j.past) - maxRecent; n > 0 {
		j.past = slices.Delete(j.past, 0, n)
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxJournalLine {
			return nil, errors.New("longer than any entry")
		}
		if err == nil {
			return bytes.TrimSuffix(line, []byte("\n")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func decodeEntry(line []byte) (*incident.Incident, error) {
	sum, body, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil {
		return nil, errors.New("no checksum")
	}
	if uint32(want) != crc32.Checksum(body, castagnoli) {
		return nil, errors.New("checksum does not match")
	}
	i := &incident.Incident{}
	if err := json.Unmarshal(body, i); err != nil {
		return nil, err
	}
	if i.ID == "" {
		return nil, errors.New("an incident without a name")
	}
	return i, nil
}

func encodeEntry(i *incident.Incident) ([]byte, error) {
	lean := *i
	lean.Anomalies = append([]incident.Anomaly(nil), i.Anomalies...)
	for k := range lean.Anomalies {
		lean.Anomalies[k].Trail = nil // comes back with the replayed past
	}
	body, err := json.Marshal(&lean)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

// Past returns what the journal held when it was opened, oldest first.
func (j *Journal) Past() []*incident.Incident {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.past)
}

// compact writes the newest state of each incident to a new file and replaces
// the old one, keeping at most maxRecent.
func (j *Journal) compact() error {
	if n := len(j.past) - maxRecent; n > 0 {
		j.past = j.past[n:]
	}
	if err := os.MkdirAll(filepath.Dir(j.path), 0o777); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(journalHeader + "\n")
	for _, i := range j.past {
		line, err := encodeEntry(i)
		if err != nil {
			return err
		}
		b.Write(line)
	}
	tmp := j.path + ".new"
	if err := writeSynced(tmp, b.Bytes()); err != nil {
		return err
	}
	if err := os.Rename(tmp, j.path); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(j.path)); err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
	j.file, j.size = f, 0
	return err
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// Append writes incidents and syncs.
func (j *Journal) Append(incidents ...*incident.Incident) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []byte
	for _, i := range incidents {
		line, err := encodeEntry(i)
		if err != nil {
			return fmt.Errorf("journal %s: incident %s: %w", j.path, i.ID, err)
		}
		all = append(all, line...)
		j.remember(i)
	}
	if j.size += len(all); j.size > maxJournal {
		if err := j.file.Close(); err != nil {
			return fmt.Errorf("journal %s: %w", j.path, err)
		}
		if err := j.compact(); err != nil {
			return fmt.Errorf("journal %s: %w", j.path, err)
		}
		return nil
	}
	if _, err := j.file.Write(all); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// journal writes the incidents whose state, severity or labels changed. A
// journal that cannot be written is no reason to keep quiet: it is said and
// what was decided is sent all the same.
func (e *Engine) journal(incidents []*incident.Incident) {
	if e.o.Journal == nil || !e.live {
		return
	}
	var changed []*incident.Incident
	for _, i := range incidents {
		if len(i.Sent) == 0 {
			continue
		}
		state := fmt.Sprint(i.State, i.Severity, len(i.Sent), i.FirstAlert.IsZero())
		if e.saved[i.ID] != state {
			e.saved[i.ID] = state
			changed = append(changed, i)
		}
		if i.State == incident.Resolved {
			delete(e.saved, i.ID)
		}
	}
	if len(changed) == 0 {
		return
	}
	if err := e.o.Journal.Append(changed...); err != nil {
		e.metrics.journalFailures.Inc()
		e.log.Error("incidents could not be journalled; they are sent, but a restart will not know them", "err", err)
	}
}

// GoLive ends the replay of the past: from now on what is decided is journalled
// and delivered. Incidents that the journal has open are carried on; the
// resolved ones are remembered.
func (e *Engine) GoLive(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = true
	var past []*incident.Incident
	if e.o.Journal != nil {
		past = e.o.Journal.Past()
	}
	var recent []*incident.Incident
	for _, i := range past {
		e.told[i.ID] = true
		if i.State == incident.Resolved {
			recent = append(recent, i)
		}
	}
	for _, i := range e.recent {
		if !e.told[i.ID] {
			recent = append(recent, i)
		}
	}
	slices.SortStableFunc(recent, func(a, b *incident.Incident) int { return a.Resolved.Compare(b.Resolved) })
	e.recent = recent
	e.correlator.Restore(now, past)
	e.show(incident.Input{Graph: e.topology.At(now)})
}
