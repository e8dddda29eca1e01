package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reading is what foreshock said of itself at a time, by name of the metric and
// summed over its labels.
type reading struct {
	at     time.Time
	values map[string]float64
}

// watcher reads /metrics of foreshock.
type watcher struct {
	o        options
	url      string
	data     string // directory
	readings []reading
}

// watch reads at each interval until the duration is over.
func (w *watcher) watch(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, w.o.duration)
	defer cancel()
	tick := time.NewTicker(min(w.o.interval, 15*time.Second))
	defer tick.Stop()
	said := time.Now()
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return ctx.Err()
		case err := <-p.end:
			p.end <- err
			return fmt.Errorf("foreshock ended by itself: %w", err)
		case <-tick.C:
		}
		r, err := readMetrics(w.url + "/metrics")
		if err != nil {
			return err
		}
		w.readings = append(w.readings, r)
		if time.Since(said) > w.o.duration/30 {
			said = time.Now()
			fmt.Fprintf(w.o.out, "%s  heap %4.0f MiB  resident %4.0f MiB  goroutines %4.0f  cpu %6.0f s  missed %.0f  %s\n", r.at.Format(time.TimeOnly),
				r.values[heap]/mib, r.values[resident]/mib, r.values[goroutines], r.values[cpu], r.values[missed]+r.values[missedSteps], machineLoad())
		}
	}
}

const mib = 1 << 20

// Metrics that are looked at.
const (
	heap        = "go_memstats_heap_inuse_bytes"
	resident    = "process_resident_memory_bytes"
	goroutines  = "go_goroutines"
	cpu         = "process_cpu_seconds_total"
	missed      = "prometheus_rule_group_iterations_missed_total"
	missedSteps = "foreshock_incident_steps_missed_total"
	failures    = "prometheus_rule_evaluation_failures_total"
	samples     = "prometheus_tsdb_head_samples_appended_total"
	headSeries  = "prometheus_tsdb_head_series"
	judged      = "foreshock_rule_series"
	refused     = "foreshock_rule_series_refused_total"
)

func readMetrics(url string) (reading, error) {
	resp, err := http.Get(url)
	if err != nil {
		return reading{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return parseMetrics(resp.Body)
}

func parseMetrics(r io.Reader) (reading, error) {
	out := reading{at: time.Now(), values: map[string]float64{}}
	s := bufio.NewScanner(r)
	for s.Scan() {
		line := s.Text()
		k := strings.LastIndexByte(line, ' ')
		if k < 1 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[k+1:], 64)
		if err != nil {
			return out, fmt.Errorf("%q: %w", line, err)
		}
		name, _, _ := strings.Cut(line[:k], "{")
		out.values[name] += v
	}
	return out, s.Err()
}

// warm is when the first third is over: until then what is there once comes to be.
func (w *watcher) warm() int { return len(w.readings) / 3 }

// low and high are the least and the most of a metric among readings. The
// least heap is what is left after a collection.
func low(rs []reading, name string) float64 {
	return slices.MinFunc(rs, byValue(name)).values[name]
}

func high(rs []reading, name string) float64 {
	return slices.MaxFunc(rs, byValue(name)).values[name]
}

func byValue(name string) func(a, b reading) int {
	return func(a, b reading) int { return cmp.Compare(a.values[name], b.values[name]) }
}

// openChunk is what the head of the TSDB may grow by for each sample, as long as
// no series has filled its first chunk of 120 samples. It is flat from then on.
const openChunk = 16

// verdict says what grew, failed or was late.
func (w *watcher) verdict() error {
	if len(w.readings) < 6 {
		return fmt.Errorf("%d readings are too few", len(w.readings))
	}
	var errs []error
	third := w.warm()
	middle, end := w.readings[third:2*third], w.readings[2*third:]
	last := end[len(end)-1].values
	grow := 0.1*low(middle, heap) + 8*mib
	if w.o.duration <= 180*w.o.interval {
		grow += openChunk * (last[samples] - middle[0].values[samples])
	}
	if a, b := low(middle, heap), low(end, heap); b > a+grow {
		errs = append(errs, fmt.Errorf("the heap grew from %.0f to %.0f MiB, by more than %.0f", a/mib, b/mib, grow/mib))
	}
	if a, b := high(middle, goroutines), high(end, goroutines); b > a+10 {
		errs = append(errs, fmt.Errorf("goroutines grew from %.0f to %.0f", a, b))
	}
	// What is late while the first samples come in is no sign of what follows.
	first := w.readings[len(w.readings)/10].values
	for _, name := range []string{missed, missedSteps, failures} {
		if n := last[name] - first[name]; n > 0 {
			errs = append(errs, fmt.Errorf("%s grew by %.0f", name, n))
		}
	}
	if n := last[refused]; n > 0 {
		errs = append(errs, fmt.Errorf("%s is %.0f", refused, n))
	}
	if n := last[judged]; n < 0.98*float64(w.o.judged) {
		errs = append(errs, fmt.Errorf("%.0f series are judged, want %d", n, w.o.judged))
	}
	return errors.Join(errs...)
}

// report prints the row of the sizing table and what was wrong.
func (w *watcher) report(restored time.Duration) error {
	if len(w.readings) < 6 {
		return w.verdict()
	}
	rs := w.readings[w.warm():]
	first, last := rs[0], rs[len(rs)-1]
	span := last.at.Sub(first.at).Seconds()
	size, err := sizeOf(w.data)
	if err != nil {
		return err
	}
	snapshot, err := os.Stat(filepath.Join(w.data, "learnt.snapshot"))
	if err != nil {
		return err
	}
	appended := last.values[samples] - first.values[samples]
	fmt.Fprintf(w.o.out, "%.0f series in the head, %.0f samples a second; the data directory has %.0f MiB\n", last.values[headSeries], appended/span, size/mib)
	fmt.Fprintln(w.o.out, "| scraped | judged | interval | cores used | resident, most | heap | snapshot | restored in |")
	fmt.Fprintf(w.o.out, "| %d | %d | %s | %.2f | %.0f MiB | %.0f MiB | %.0f MiB | %s |\n", w.o.series, w.o.judged, w.o.interval,
		(last.values[cpu]-first.values[cpu])/span, high(rs, resident)/mib, low(rs, heap)/mib, float64(snapshot.Size())/mib, restored.Round(10*time.Millisecond))
	if err := w.verdict(); err != nil {
		if w.o.lenient {
			fmt.Fprintln(w.o.out, "not ok:", err)
			return nil
		}
		return err
	}
	fmt.Fprintf(w.o.out, "ok: memory and goroutines are flat, every evaluation was on time; %s\n", machineLoad())
	return nil
}

func sizeOf(dir string) (total float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			total += float64(i.Size())
		}
		return err
	})
	return total, err
}
