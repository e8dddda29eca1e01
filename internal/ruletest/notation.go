package ruletest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

var staleMarker = math.Float64frombits(value.StaleNaN)

// input is a series that is loaded as time goes on.
type input struct {
	labels labels.Labels
	length int
	sample func(i int) parser.SequenceValue // asked for each i in turn
	next   int
}

// seriesParser reads promtool's notation, with the options that promtool has for it.
func seriesParser() parser.Parser {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions: true, ExperimentalDurationExpr: true,
		EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
	})
}

// inputs reads the input series of a group. As in promtool, where several have
// the same labels the last one counts, and where the text of a series holds an
// empty line (values that end with a newline) no series in the notation is read
// after it; the warnings say so.
func (g *testGroup) inputs(path string) (out []*input, warnings []string, err error) {
	p := seriesParser()
	at := map[string]int{}
	put := func(in *input) {
		k := in.labels.String()
		if i, ok := at[k]; ok {
			out[i] = in
			return
		}
		at[k] = len(out)
		out = append(out, in)
	}
	var starts *startLine
	ended := false
	for i, s := range g.input {
		if s.v.Generate != nil {
			in, err := g.generated(p, s.v)
			if err != nil {
				return nil, nil, yamlfile.At(path, s.node, "%v", err)
			}
			put(in)
			continue
		}
		for _, line := range strings.Split(s.v.Series+" "+s.v.Values, "\n") {
			line = strings.TrimSpace(line)
			if ended {
				break
			}
			if line == "" || strings.HasPrefix(line, "#") {
				ended = true
				if i < len(g.input)-1 {
					warnings = append(warnings, yamlfile.At(path, s.node,
						"the text of this series has an empty line, after which promtool ignores all input series: write the values on one line, or with >-").Error())
				}
				break
			}
			var in *input
			if starts, in, err = readLine(p, line, starts); err != nil {
				return nil, nil, yamlfile.At(path, s.node, "%v", err)
			}
			if in != nil {
				put(in)
			}
		}
	}
	if starts != nil {
		return nil, nil, yamlfile.At(path, yamlfile.Field(g.node, "input_series"), "@st line has no following sample line")
	}
	return out, warnings, nil
}

var (
	repetition = regexp.MustCompile(`x(\d+)`)
	quoted     = regexp.MustCompile("\"(?:\\\\.|[^\"\\\\])*\"|'(?:\\\\.|[^'\\\\])*'|`[^`]*`")
)

// tooLong finds a repetition of more samples than a series may have, before the
// parser makes them all.
func tooLong(line string) error {
	_, values, _ := strings.Cut(quoted.ReplaceAllString(line, ""), " ")
	for _, m := range repetition.FindAllStringSubmatch(values, -1) {
		if n, err := strconv.ParseUint(m[1], 10, 64); err != nil || n > maxSamples {
			return fmt.Errorf("%s repeats a value more than %d times", m[0], maxSamples)
		}
	}
	return nil
}

// readLine reads one line of the notation: an @st line, which the next one
// must match, or a series.
func readLine(p parser.Parser, line string, starts *startLine) (*startLine, *input, error) {
	if err := tooLong(line); err != nil {
		return nil, nil, err
	}
	if i := strings.IndexAny(line, " \t"); i > 0 && strings.HasSuffix(line[:i], "@st") {
		if starts != nil {
			return nil, nil, errors.New("@st line has no following sample line")
		}
		next, err := readStarts(p, line[:i-len("@st")], line[i:])
		return next, nil, err
	}
	metric, values, err := p.ParseSeriesDesc(line)
	if err != nil {
		return nil, nil, err
	}
	if starts != nil {
		if !labels.Equal(metric, starts.metric) {
			return nil, nil, errors.New("@st metric does not match the following sample line metric")
		}
		if starts.count != len(values) {
			return nil, nil, fmt.Errorf("@st line has %d values but sample line has %d", starts.count, len(values))
		}
	}
	return nil, &input{labels: metric, length: len(values), sample: func(i int) parser.SequenceValue { return values[i] }}, nil
}

// startLine is a line of start timestamps. They are checked and not stored,
// since no function of PromQL reads them.
type startLine struct {
	metric labels.Labels
	count  int
}

const durationText = `(?:\d+(?:ms|[smhdwy]))+|0`

var startItem = regexp.MustCompile(`^(?:_|-?(?:` + durationText + `)(?:[+-](?:` + durationText + `))?)(?:x(\d+))?$`)

func readStarts(p parser.Parser, metric, sequence string) (*startLine, error) {
	ls, _, err := p.ParseSeriesDesc(metric + " _")
	if err != nil {
		return nil, fmt.Errorf("@st line, metric %q: %w", metric, err)
	}
	out := &startLine{metric: ls}
	for _, item := range strings.Fields(sequence) {
		m := startItem.FindStringSubmatch(item)
		if m == nil {
			return nil, fmt.Errorf("@st line: %q is no start timestamp: write one such as -1m, _ or -1mx5", item)
		}
		n := 1
		if m[1] != "" {
			times, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, fmt.Errorf("@st line: %q: %w", item, err)
			}
			n = times
			if item[0] != '_' {
				n++
			}
		}
		out.count += n
	}
	return out, nil
}

func (g *testGroup) generated(p parser.Parser, s inputSeries) (*input, error) {
	ls, err := p.ParseMetric(s.Series)
	if err != nil {
		return nil, fmt.Errorf("series %q: %w", s.Series, err)
	}
	long := time.Duration(s.Generate.For)
	if long == 0 {
		long = g.end()
	}
	n := int64(long/time.Duration(g.Interval)) + 1
	if n > maxSamples {
		return nil, fmt.Errorf("series %q: %d samples; at most %d are generated: raise interval or shorten for", s.Series, n, maxSamples)
	}
	gen := newGenerator(*s.Generate, ls.String(), g.start(), time.Duration(g.Interval))
	return &input{labels: ls, length: int(n), sample: gen.sample}, nil
}
