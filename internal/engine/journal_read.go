package engine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/linelog"
)

// findings are what is wrong with a journal that was read.
type findings struct {
	damage  error // the first
	damaged int   // lines
	torn    bool  // the last line is not whole
}

func (f *findings) add(line int, err error) {
	if f.damaged++; f.damage == nil {
		f.damage = fmt.Errorf("line %d: %w", line, err)
	}
}

// load reads the file into past. It returns damage apart from errors of I/O.
func (j *Journal) load() (found findings, err error) {
	f, err := os.Open(j.path)
	if err != nil {
		return found, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	byID := map[string]int{}
	for n := 1; ; n++ {
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return found, nil
		case errors.Is(err, io.EOF) && n == 1:
			found.add(n, errors.New("not a journal of foreshock"))
			return found, nil
		case errors.Is(err, io.EOF):
			// Only the end of the line may be missing.
			i, err := decodeEntry(line)
			if found.torn = err != nil; !found.torn {
				j.keep(byID, i)
			}
			return found, nil
		case err != nil && !errors.Is(err, errLongLine):
			return found, err
		case err == nil && n == 1:
			if string(line) != journalHeader {
				found.add(n, errors.New("not a journal of this version of foreshock"))
				return found, nil
			}
			continue
		}
		var i *incident.Incident
		if err == nil {
			i, err = decodeEntry(line)
		}
		if err != nil {
			found.add(n, err)
			continue
		}
		j.keep(byID, i)
	}
}

// keep puts an entry that was read in the place of an earlier one of its name.
func (j *Journal) keep(byID map[string]int, i *incident.Incident) {
	if k, ok := byID[i.ID]; ok {
		j.past[k] = i
		return
	}
	byID[i.ID] = len(j.past)
	j.past = append(j.past, i)
}

var errLongLine = errors.New("longer than any entry")

// readLine returns the next line without its end. Of one that is too long it
// keeps nothing and reads on to its end.
func readLine(r *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if !long {
			line = append(line, part...)
		}
		if len(line) > maxJournalLine {
			line, long = nil, true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil && long:
			return nil, errLongLine
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		default:
			return line, err
		}
	}
}

func decodeEntry(line []byte) (*incident.Incident, error) {
	i := &incident.Incident{}
	if err := linelog.Decode(line, i); err != nil {
		return nil, err
	}
	if i.ID == "" {
		return nil, errors.New("an incident without a name")
	}
	return i, nil
}
