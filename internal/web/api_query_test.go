package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

func TestQuery(t *testing.T) {
	h := serve(t)
	for _, tt := range []struct {
		name, path string
		code       int
		want       string // data, or the error's type
	}{
		{"scalar", "/api/v1/query" + query("query", "1", "time", "1435781451.781"), 200, `{"resultType":"scalar","result":[1435781451.781,"1"]}`},
		{"string", "/api/v1/query" + query("query", `"text"`, "time", "10"), 200, `{"resultType":"string","result":[10,"text"]}`},
		{"vector", "/api/v1/query" + query("query", "up", "time", "2015-07-01T20:10:51Z"), 200,
			`{"resultType":"vector","result":[{"metric":{"__name__":"up","service":"payments"},"value":[1435781451,"1"]},{"metric":{"__name__":"up","service":"\u003cscript\u003e\""},"value":[1435781451,"NaN"]}]}`},
		{"empty vector", "/api/v1/query" + query("query", "vector(1) > 2", "time", "0"), 200, `{"resultType":"vector","result":[]}`},
		{"matrix", "/api/v1/query_range" + query("query", "up", "start", "0", "end", "60", "step", "15s"), 200,
			`{"resultType":"matrix","result":[{"metric":{"__name__":"up","service":"payments"},"values":[[0,"1"],[60,"+Inf"]]},{"metric":{"__name__":"up","service":"\u003cscript\u003e\""},"values":[[0,"NaN"],[60,"+Inf"]]}]}`},
		{"limit", "/api/v1/query" + query("query", "up", "time", "0", "limit", "1"), 200, `{"resultType":"vector","result":[{"metric":{"__name__":"up","service":"payments"},"value":[0,"1"]}]}`},
		{"bad expression", "/api/v1/query" + query("query", "sum("), 400, "bad_data"},
		{"no expression", "/api/v1/query", 400, "bad_data"},
		{"bad time", "/api/v1/query" + query("query", "1", "time", "noon"), 400, "bad_data"},
		{"bad timeout", "/api/v1/query" + query("query", "1", "timeout", "soon"), 400, "bad_data"},
		{"bad limit", "/api/v1/query" + query("query", "1", "limit", "-1"), 400, "bad_data"},
		{"execution", "/api/v1/query" + query("query", "many"), 422, "execution"},
		{"storage", "/api/v1/query" + query("query", "storage"), 500, "internal"},
		{"timeout", "/api/v1/query" + query("query", "slow", "timeout", "1ms"), 503, "timeout"},
		{"end before start", "/api/v1/query_range" + query("query", "1", "start", "60", "end", "0", "step", "1"), 400, "bad_data"},
		{"no start", "/api/v1/query_range" + query("query", "1", "end", "0", "step", "1"), 400, "bad_data"},
		{"no step", "/api/v1/query_range" + query("query", "1", "start", "0", "end", "1", "step", "0"), 400, "bad_data"},
		{"huge step", "/api/v1/query_range" + query("query", "1", "start", "0", "end", "1", "step", "1e300"), 400, "bad_data"},
		{"too many points", "/api/v1/query_range" + query("query", "1", "start", "0", "end", "11001", "step", "1"), 400, "bad_data"},
		{"just enough points", "/api/v1/query_range" + query("query", "1", "start", "0", "end", "11000", "step", "1"), 200, `{"resultType":"scalar","result":[0,"1"]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, form, _ := strings.Cut(tt.path, "?")
			for method, w := range map[string]string{"GET": tt.path, "POST": path} {
				body := ""
				if method == "POST" {
					body = form
				}
				rec := ask(h, method, w, body)
				if rec.Code != tt.code {
					t.Fatalf("%s: got %d, want %d: %s", method, rec.Code, tt.code, rec.Body)
				}
				r := decode[json.RawMessage](t, rec)
				got := string(r.Data)
				if rec.Code != 200 {
					got = r.ErrorType
				}
				if got != tt.want {
					t.Errorf("%s: got %s, want %s", method, got, tt.want)
				}
				if tt.name == "limit" && len(r.Warnings) != 1 {
					t.Errorf("%s: got warnings %q, want one", method, r.Warnings)
				}
			}
		})
	}
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want errorType
	}{
		{parser.ParseErrors{}, errorBadData}, {fmt.Errorf("rule: %w", &parser.ParseErr{}), errorBadData},
		{promql.ErrQueryCanceled("x"), errorCanceled}, {context.Canceled, errorCanceled}, {promql.ErrQueryTimeout("x"), errorTimeout},
		{fmt.Errorf("fetch: %w", context.DeadlineExceeded), errorTimeout}, {promql.ErrStorage{Err: errors.New("x")}, errorInternal},
		{&v1.Error{Type: v1.ErrBadData}, errorBadData}, {&v1.Error{Type: v1.ErrServer}, errorUnavailable}, {&v1.Error{Type: v1.ErrExec}, errorExec},
		{&v1.Error{Type: v1.ErrTimeout}, errorTimeout}, {&v1.Error{Type: v1.ErrCanceled}, errorCanceled}, {errors.New("x"), errorExec},
	} {
		if got := classify(tt.err); got != tt.want {
			t.Errorf("classify(%T %v): got %s, want %s", tt.err, tt.err, got, tt.want)
		}
	}
}

func TestNativeHistogram(t *testing.T) {
	hist := &histogram.FloatHistogram{Schema: 0, Count: 5, Sum: 7.5, ZeroCount: 2, ZeroThreshold: 0.001,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{3, 0}}
	d, err := encodeValue(promql.Vector{{T: 1500, H: hist}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"resultType":"vector","result":[{"metric":{},"histogram":[1.5,{"count":"5","sum":"7.5","buckets":[[3,"-0.001","0.001","2"],[0,"0.5","1","3"]]}]}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if _, err := encodeValue(nil); err == nil {
		t.Error("a result of no type: got no error, want one")
	}
}
