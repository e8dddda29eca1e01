package source

import (
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

var errHistogram = errors.New("the answer holds native histograms, which cannot be taken over: apply histogram_quantile, histogram_sum or the like in the query")

// convert makes the engine's value from an answer of the API.
func convert(v model.Value, maxSamples int) (parser.Value, error) {
	switch v := v.(type) {
	case model.Vector:
		return convertVector(v, maxSamples)
	case model.Matrix:
		return convertMatrix(v, maxSamples)
	case *model.Scalar:
		if v == nil {
			break
		}
		return promql.Scalar{T: int64(v.Timestamp), V: float64(v.Value)}, nil
	case *model.String:
		if v == nil {
			break
		}
		return promql.String{T: int64(v.Timestamp), V: v.Value}, nil
	}
	return nil, fmt.Errorf("the answer has no result: is it a server with Prometheus's query API?")
}

func convertVector(v model.Vector, maxSamples int) (parser.Value, error) {
	if err := checkSamples(len(v), maxSamples); err != nil {
		return nil, err
	}
	out := make(promql.Vector, 0, len(v))
	var b labels.ScratchBuilder
	for i, s := range v {
		if s == nil {
			return nil, fmt.Errorf("sample %d of the answer is null", i)
		}
		if s.Histogram != nil {
			return nil, errHistogram
		}
		out = append(out, promql.Sample{T: int64(s.Timestamp), F: float64(s.Value), Metric: metric(&b, s.Metric)})
	}
	return out, nil
}

func convertMatrix(v model.Matrix, maxSamples int) (parser.Value, error) {
	n := 0
	out := make(promql.Matrix, 0, len(v))
	var b labels.ScratchBuilder
	for i, s := range v {
		if s == nil {
			return nil, fmt.Errorf("series %d of the answer is null", i)
		}
		if len(s.Histograms) > 0 {
			return nil, errHistogram
		}
		if n += len(s.Values); n > maxSamples {
			return nil, checkSamples(n, maxSamples)
		}
		points := make([]promql.FPoint, len(s.Values))
		for k, p := range s.Values {
			points[k] = promql.FPoint{T: int64(p.Timestamp), F: float64(p.Value)}
			if k > 0 && points[k].T <= points[k-1].T {
				return nil, fmt.Errorf("series %s of the answer is not in order of time", s.Metric)
			}
		}
		out = append(out, promql.Series{Metric: metric(&b, s.Metric), Floats: points})
	}
	return out, nil
}

func checkSamples(n, most int) error {
	if n <= most {
		return nil
	}
	return fmt.Errorf("more than %d samples: %w", most, errTooLarge)
}

func metric(b *labels.ScratchBuilder, m model.Metric) labels.Labels {
	b.Reset()
	for name, value := range m {
		if value != "" {
			b.Add(string(name), string(value))
		}
	}
	b.Sort()
	return b.Labels()
}
