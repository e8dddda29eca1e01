package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/linelog"
)

// journalHeader is the first line of a journal: its format and version.
const journalHeader = "foreshock-journal 1"

// maxJournalLine bounds one entry, so that a broken file cannot ask for memory.
const maxJournalLine = 4 << 20

// Journal keeps the transitions of incidents on disk: each is written and
// synced before it is sent. After a header each line is an incident; the last one of a name counts.
type Journal struct {
	mu   sync.Mutex
	path string
	file *linelog.File
	past []*incident.Incident
	// behind: the file lacks what past has, since a write failed. The next
	// write makes it anew.
	behind bool
	size   int // bytes since the last compaction
}

// maxJournal is how much is appended before the journal is written anew with
// the newest state of each incident alone.
const maxJournal = 16 << 20

// OpenJournal reads the journal at the path, or starts one. A last line that
// is not whole, as a crash leaves it, is dropped with a warning. Of a file with
// any other damage, or one that is no journal, a copy is kept under the name
// path.damaged and that is said in the log; the entries that can be read are
// kept, before the damage and after it.
func OpenJournal(path string, log *slog.Logger) (*Journal, error) {
	j := &Journal{path: path}
	found, err := j.load()
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("journal %s: %w", path, err)
	case found.damage != nil:
		aside := path + ".damaged"
		if err := copyFile(path, aside); err != nil {
			return nil, fmt.Errorf("journal %s: %w; it cannot be set aside: %w", path, found.damage, err)
		}
		log.Error("the journal of incidents is damaged; a copy was set aside and it starts anew with what could be read",
			"file", aside, "err", found.damage, "damaged_lines", found.damaged, "incidents", len(j.past))
	}
	if found.torn {
		log.Warn("the last entry of the journal of incidents is not whole and is left out; a crash while it was written leaves that", "file", path)
	}
	if err := j.compact(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, nil
}

// remember keeps the newest state of an incident for the next compaction.
func (j *Journal) remember(i *incident.Incident) {
	k := slices.IndexFunc(j.past, func(o *incident.Incident) bool { return o.ID == i.ID })
	if k >= 0 {
		j.past[k] = i
		return
	}
	j.past = append(j.past, i)
	j.trim()
}

// trim bounds what is remembered: the oldest goes, of the open ones last.
func (j *Journal) trim() {
	over := len(j.past) - maxRecent
	if over <= 0 {
		return
	}
	j.past = slices.DeleteFunc(j.past, func(i *incident.Incident) bool {
		if over <= 0 || i.State == incident.Open {
			return false
		}
		over--
		return true
	})
	if over > 0 {
		j.past = slices.Delete(j.past, 0, over)
	}
}

func encodeEntry(i *incident.Incident) ([]byte, error) {
	lean := *i
	lean.Anomalies = append([]incident.Anomaly(nil), i.Anomalies...)
	for k := range lean.Anomalies {
		lean.Anomalies[k].Trail = nil // comes back with the replayed past
	}
	return linelog.Encode(&lean)
}

// Past returns what the journal held when it was opened, oldest first.
func (j *Journal) Past() []*incident.Incident {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.past)
}

// compact writes the newest state of each incident to a new file and replaces
// the old one, keeping at most maxRecent. On an error the old one stays in use.
func (j *Journal) compact() (err error) {
	j.trim()
	if err := os.MkdirAll(filepath.Dir(j.path), 0o777); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(journalHeader + "\n")
	for _, i := range j.past {
		line, err := encodeEntry(i)
		if err != nil {
			return fmt.Errorf("incident %s: %w", i.ID, err)
		}
		b.Write(line)
	}
	f, err := linelog.Replace(j.path, b.Bytes())
	if f == nil {
		return err
	}
	old := j.file
	j.file, j.size, j.behind = f, 0, false
	if old != nil {
		err = errors.Join(err, old.Close())
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// Append writes incidents and syncs. What could not be written is written with
// the next call, which may be one without incidents.
func (j *Journal) Append(incidents ...*incident.Incident) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(incidents); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	return nil
}

func (j *Journal) append(incidents []*incident.Incident) error {
	var all []byte
	for _, i := range incidents {
		line, err := encodeEntry(i)
		if err != nil {
			return fmt.Errorf("incident %s: %w", i.ID, err)
		}
		all = append(all, line...)
		j.remember(i)
	}
	if j.behind || j.size+len(all) > maxJournal {
		err := j.compact()
		j.behind = err != nil
		return err
	}
	if err := j.file.Append(all); err != nil {
		j.behind = true
		return err
	}
	j.size += len(all)
	return nil
}

// Behind reports whether the file lacks what [Journal.Append] was given.
func (j *Journal) Behind() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.behind
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// journal writes the incidents whose state, severity or labels changed. A
// journal that cannot be written is no reason to keep quiet: it is said once,
// what was decided is sent all the same, and each step tries again.
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
	behind := e.o.Journal.Behind()
	if len(changed) == 0 && !behind {
		return
	}
	err := e.o.Journal.Append(changed...)
	switch {
	case err != nil:
		e.metrics.journalFailures.Inc()
		if !behind {
			e.log.Error("incidents could not be journalled; they are sent, but a restart will not know them; tried again at each step", "err", err)
		}
	case behind:
		e.log.Info("incidents are journalled again")
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
