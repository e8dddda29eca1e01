package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foreshock/foreshock/detectors"
	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
)

// picture is what the page of a detector shows: a real series, as the detector
// judges it after all that came before.
type picture struct {
	detector string
	// file is a CSV below series/, or OpenMetrics below incidents/ with the names
	// of a series and, for detectors of a share or a difference, of what it is taken of.
	file, metric, of string
	from, to         string // what is shown, in the file's time
	unit             string
	title            string
	set              func(detectors.Options)
}

// pictureBudget is the one that the pictures are judged under.
const pictureBudget = "1 per 30d"

// picturePoints bounds the points of a picture.
const picturePoints = 240

// pictures are those of docs/detectors.
func pictures() []picture {
	const edge = `edge_latency_seconds{client="frontend",quantile="0.5",reporter="%s",server="recommendationservice"}`
	return []picture{
		{detector: "spike", file: "nab/data/realKnownCause/nyc_taxi.csv", from: "2014-10-30T00:00:00Z", to: "2014-11-05T00:00:00Z",
			title: "Taxi passengers in New York every half hour, the night the clocks went back (NAB, MIT)"},
		{detector: "level_shift", file: "nab/data/realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv", from: "2014-02-23T00:00:00Z", to: "2014-02-27T00:00:00Z",
			title: "CPU use of a database in percent (NAB, MIT)"},
		{detector: "seasonality", file: "ms_cloud/data/ecommerce-api-incoming-rps/api-01.csv", from: "2018-03-01T00:00:00Z", to: "2018-03-12T00:00:00Z",
			title: "Requests to the API of a shop every hour (Microsoft cloud monitoring dataset, MIT)"},
		{detector: "ewma", file: "aiops_kpi/data/4d2af31a-9916-3d9f-8a8e-8a268a48c095.csv.gz", from: "2017-07-09T16:00:00Z", to: "2017-07-10T04:00:00Z",
			title: "A key figure of a web service every minute (AIOps 2018, MIT)"},
		{detector: "rate", file: "aiops_kpi/data/6d1114ae-be04-3c46-b5aa-be1a003a57cd.csv.gz", from: "2017-06-14T00:00:00Z", to: "2017-06-16T00:00:00Z",
			title: "Counts of a web service every minute (AIOps 2018, MIT)"},
		{detector: "silence", file: "aiops_kpi/data/adb2fde9-8589-3f5b-a410-5fe14386c7af.csv.gz", from: "2017-06-23T00:00:00Z", to: "2017-06-24T00:00:00Z",
			title: "A key figure of a web service that drops to zero (AIOps 2018, MIT)"},
		{detector: "trend", file: "nab/data/realKnownCause/machine_temperature_system_failure.csv", from: "2013-12-14T00:00:00Z", to: "2013-12-18T00:00:00Z",
			title: "Temperature of a machine that fails (NAB, MIT)"},
		{detector: "threshold", file: "nab/data/realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv", from: "2014-02-23T00:00:00Z", to: "2014-02-27T00:00:00Z",
			title: "CPU use of a database in percent, with the limit 12 (NAB, MIT)",
			set:   func(o detectors.Options) { o.(*detectors.ThresholdOptions).Upper = 12 }},
		{detector: "edge", file: "nezha-ob/2022-08-22/metrics.om.gz", metric: fmt.Sprintf(edge, "source"), of: fmt.Sprintf(edge, "destination"),
			from: "2022-08-22T06:42:00Z", to: "2022-08-22T07:05:00Z", unit: "seconds",
			title: "Seconds that a caller sees more than its callee, with a network delay at 06:53 (Nezha, MIT)",
			set:   func(o detectors.Options) { o.(*detectors.EdgeOptions).Relation = "difference" }},
	}
}

// draw writes the pictures into a folder, one SVG for each detector.
func draw(data, dir string) error {
	for _, p := range pictures() {
		svg, err := p.draw(data)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, p.detector+".svg"), svg, 0o644)
		}
		if err != nil {
			return fmt.Errorf("picture of %s: %w", p.detector, err)
		}
	}
	return nil
}

func (p picture) draw(data string) ([]byte, error) {
	s, of, err := p.read(data)
	if err != nil {
		return nil, err
	}
	from, to, err := p.shown()
	if err != nil {
		return nil, err
	}
	d, ok := detectors.Lookup(p.detector)
	if !ok {
		return nil, errors.New("there is no such detector")
	}
	opts := d.Options()
	if p.set != nil {
		p.set(opts)
	}
	budget, err := detectors.ParseBudget(pictureBudget)
	if err != nil {
		return nil, err
	}
	bank, err := d.New(opts, detectors.Conditions{Budget: budget, Step: s.step})
	if err != nil {
		return nil, err
	}
	ref := bank.Add()
	o := plot.Options{Title: p.title, Unit: p.unit, Theme: plot.Page, MaxPoints: picturePoints}
	begin, end := time.Time{}, time.Time{} // of the running alarm
	for i, at := range s.at {
		var v detectors.Verdict
		if of == nil {
			v = bank.Observe(ref, at, s.value[i])
		} else {
			v = bank.(detectors.TrialsBank).ObserveOf(ref, at, s.value[i], of[i])
		}
		t := time.UnixMilli(at).UTC()
		if t.Before(from) || t.After(to) {
			continue
		}
		o.Points = append(o.Points, incident.Point{Time: t, Value: v.Value, Expected: v.Expected, Lower: v.Lower, Upper: v.Upper, Score: v.Score})
		if !(v.Score >= 1) {
			continue
		}
		if !begin.IsZero() && t.Sub(end) > to.Sub(from)/50 {
			o.Spans = append(o.Spans, plot.Span{From: begin, To: end})
			begin = time.Time{}
		}
		if begin.IsZero() {
			begin = t
		}
		end = t.Add(s.step)
	}
	if !begin.IsZero() {
		o.Spans = append(o.Spans, plot.Span{From: begin, To: end})
	}
	if len(o.Spans) == 0 {
		return nil, errors.New("nothing is anomalous in what is shown: choose another time")
	}
	svg, err := plot.Draw(o)
	if err != nil {
		return nil, err
	}
	return bytes.Replace(svg, []byte("</title>"), []byte("</title>\n"+pictureStyle), 1), nil
}

// pictureStyle gives a picture that stands alone the colours of its reader's theme.
const pictureStyle = `<style>
svg{--plot-text:#57606a;--plot-grid:#e2e5ea;--plot-band:#c9dbf5;--plot-value:#1c4fa8;--plot-expected:#5d7fb8;--plot-onset:#c4202b;--plot-after:#c4202b33;background:#fff}
@media (prefers-color-scheme:dark){svg{--plot-text:#9aa7b8;--plot-grid:#2a3340;--plot-band:#223a5e;--plot-value:#8cbcff;--plot-expected:#6b8fc4;--plot-onset:#ff6b6b;--plot-after:#ff6b6b33;background:#0d1117}}
</style>`

func (p picture) shown() (from, to time.Time, err error) {
	if from, err = time.Parse(time.RFC3339, p.from); err == nil {
		to, err = time.Parse(time.RFC3339, p.to)
	}
	return from, to, err
}

// read reads the series; of is nil where it is taken of nothing.
func (p picture) read(data string) (s *series, of []float64, err error) {
	if p.metric == "" {
		s = &series{}
		if err := s.read(filepath.Join(data, "series", filepath.FromSlash(p.file))); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.file, err)
		}
		s.prepare()
		return s, nil, nil
	}
	found, err := readMetrics(filepath.Join(data, "incidents", filepath.FromSlash(p.file)), p.metric, p.of)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.file, err)
	}
	s = &series{}
	for _, x := range found[0] {
		i, ok := slices.BinarySearchFunc(found[1], x.at, func(y sample, at int64) int { return cmp.Compare(y.at, at) })
		if !ok {
			continue
		}
		s.at, s.value, of = append(s.at, x.at), append(s.value, x.value), append(of, found[1][i].value)
	}
	s.label = make([]bool, len(s.at))
	s.prepare()
	return s, of, nil
}

type sample struct {
	at    int64 // Unix milliseconds
	value float64
}

// readMetrics reads the samples of two series, written as the file writes them,
// from OpenMetrics text in order of time.
func readMetrics(path string, names ...string) ([][]sample, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	out := make([][]sample, len(names))
	lines := bufio.NewScanner(z)
	for n := 1; lines.Scan(); n++ {
		for i, name := range names {
			rest, ok := strings.CutPrefix(lines.Text(), name+" ")
			if !ok {
				continue
			}
			value, stamp, _ := strings.Cut(rest, " ")
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			t, err := strconv.ParseFloat(stamp, 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			out[i] = append(out[i], sample{int64(math.Round(t * 1000)), v})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for i, name := range names {
		if len(out[i]) < 10 {
			return nil, fmt.Errorf("%d samples of %s", len(out[i]), name)
		}
	}
	return out, nil
}
