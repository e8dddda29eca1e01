package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// series is one labelled series of a set.
type series struct {
	set, name string   // name is the path of its file within the set's data folder
	stamps    []string // the times as the file writes them
	at        []int64  // Unix milliseconds
	value     []float64
	label     []bool
	step      time.Duration
	first     int // rows before it are history: not scored
	events    []event
}

// event is a run of labelled rows.
type event struct{ begin, end int } // rows, end exclusive

// days is the scored time.
func (s *series) days() float64 {
	return float64(s.at[len(s.at)-1]-s.at[s.first]) / 86400e3
}

// historyShare of each series is history, as the sets' READMEs say.
const historyShare = 0.15

// readSet reads all series of a set, sorted by name.
func readSet(dir, set string) ([]*series, error) {
	root := filepath.Join(dir, "series", set, "data")
	windows, err := readWindows(filepath.Join(dir, "series", set, "labels", "combined_windows.json"))
	if err != nil {
		return nil, err
	}
	var out []*series
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !(strings.HasSuffix(path, ".csv") || strings.HasSuffix(path, ".csv.gz")) {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := &series{set: set, name: filepath.ToSlash(strings.TrimSuffix(rel, ".gz"))}
		if err := s.read(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if windows != nil {
			if err := s.labelWindows(windows[s.name]); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		s.prepare()
		out = append(out, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", set, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("set %s: no CSV files under %s", set, root)
	}
	slices.SortFunc(out, func(a, b *series) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// prepare fills what follows from the rows.
func (s *series) prepare() {
	s.first = int(historyShare * float64(len(s.at)))
	for i := s.first; i < len(s.label); i++ {
		switch {
		case !s.label[i]:
		case i > s.first && s.label[i-1]:
			s.events[len(s.events)-1].end = i + 1
		default:
			s.events = append(s.events, event{i, i + 1})
		}
	}
	var steps []int64
	for i := 1; i < len(s.at) && len(steps) < 1000; i++ {
		if d := s.at[i] - s.at[i-1]; d > 0 {
			steps = append(steps, d)
		}
	}
	slices.Sort(steps)
	s.step = time.Minute
	if len(steps) > 0 {
		s.step = time.Duration(steps[len(steps)/2]) * time.Millisecond
	}
}

func (s *series) read(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, z.Close()) }()
		in = z
	}
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return err
	}
	place := map[string]int{}
	for i, h := range header {
		place[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))] = i
	}
	it, okT := place["timestamp"]
	iv, okV := place["value"]
	il, okL := place["label"]
	if !okT || !okV {
		return errors.New("no columns timestamp and value")
	}
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		line, _ := rows.FieldPos(0)
		t, err := parseTime(row[it])
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		v := math.NaN()
		if row[iv] != "" {
			if v, err = strconv.ParseFloat(row[iv], 64); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
		}
		s.stamps = append(s.stamps, strings.Clone(row[it]))
		s.at = append(s.at, t)
		s.value = append(s.value, v)
		s.label = append(s.label, okL && row[il] != "" && row[il] != "0" && row[il] != "0.0")
	}
	if len(s.at) < 10 {
		return fmt.Errorf("only %d rows", len(s.at))
	}
	return nil
}

// parseTime reads Unix seconds, RFC 3339 or NAB's form, in Unix milliseconds.
func parseTime(s string) (int64, error) {
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		return int64(math.Round(sec * 1000)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("time %q: neither Unix seconds nor RFC 3339", s)
}

// readWindows reads NAB's windows; a set without the file has its labels in the rows.
func readWindows(path string) (map[string][][2]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out map[string][][2]string
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func (s *series) labelWindows(windows [][2]string) error {
	for _, w := range windows {
		from, err := parseTime(w[0])
		if err != nil {
			return err
		}
		to, err := parseTime(w[1])
		if err != nil {
			return err
		}
		for i, t := range s.at {
			s.label[i] = s.label[i] || (t >= from && t <= to)
		}
	}
	return nil
}
