package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// queryAPI serves Prometheus's two query endpoints over a store.
func queryAPI(l *Local) http.Handler {
	at := func(s string) time.Time {
		f, _ := strconv.ParseFloat(s, 64)
		return time.UnixMilli(int64(math.Round(f * 1000)))
	}
	answer := func(w http.ResponseWriter, v parser.Value, err error) {
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": "bad_data", "error": err.Error()})
			return
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":%q,"result":%s}}`, v.Type(), resultJSON(v))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/prom/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		v, _, err := l.Evaluate(r.Context(), r.FormValue("query"), at(r.FormValue("time")))
		answer(w, v, err)
	})
	mux.HandleFunc("/prom/api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		step, _ := strconv.ParseFloat(r.FormValue("step"), 64)
		v, _, err := l.EvaluateRange(r.Context(), r.FormValue("query"), at(r.FormValue("start")), at(r.FormValue("end")), time.Duration(step*1e9))
		answer(w, v, err)
	})
	return mux
}

func resultJSON(v parser.Value) string {
	point := func(t int64, f float64) string {
		return fmt.Sprintf(`[%s,%q]`, strconv.FormatFloat(float64(t)/1000, 'f', -1, 64), strconv.FormatFloat(f, 'f', -1, 64))
	}
	metric := func(l labels.Labels) string {
		b, _ := json.Marshal(l.Map())
		return string(b)
	}
	parts := []string{}
	switch v := v.(type) {
	case promql.Scalar:
		return point(v.T, v.V)
	case promql.String:
		return fmt.Sprintf(`[%d,%q]`, v.T/1000, v.V)
	case promql.Vector:
		for _, s := range v {
			parts = append(parts, fmt.Sprintf(`{"metric":%s,"value":%s}`, metric(s.Metric), point(s.T, s.F)))
		}
	case promql.Matrix:
		for _, s := range v {
			ps := []string{}
			for _, p := range s.Floats {
				ps = append(ps, point(p.T, p.F))
			}
			parts = append(parts, fmt.Sprintf(`{"metric":%s,"values":[%s]}`, metric(s.Metric), strings.Join(ps, ",")))
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func newRemote(t *testing.T, url string, o RemoteOptions) *Remote {
	t.Helper()
	o.URL = url
	if o.Results == nil {
		o.Results = temporary(t)
	}
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	r, err := NewRemote(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func remoteOver(t *testing.T, l *Local, o RemoteOptions) *Remote {
	s := httptest.NewServer(queryAPI(l))
	t.Cleanup(s.Close)
	return newRemote(t, s.URL+"/prom/", o)
}

// fake answers each request with the next of the handlers, the last one for ever.
func fake(t *testing.T, hs ...http.HandlerFunc) (url string, asked *atomic.Int32) {
	asked = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm() // a server notices that a client is gone only after it has read the body
		hs[min(int(asked.Add(1)), len(hs))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func says(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

const okBody = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","e":""},"value":[1772323200.5,"NaN"]}]}}`

func TestRemoteBadServers(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`)
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
				return
			}
		}
	}
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 64 {
			z.Write(make([]byte, 64<<10))
		}
		z.Close()
	}
	torn := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, okBody[:50])
	}
	small := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(zipped(t, okBody))
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, c := range []struct {
		name  string
		hs    []http.HandlerFunc
		asked int32
		want  []string // of the error; none: it goes well
	}{
		{"works", []http.HandlerFunc{says(200, okBody)}, 1, nil},
		{"gzip", []http.HandlerFunc{small}, 1, nil},
		{"no gzip", []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, okBody)
		}}, 3, []string{"broken gzip"}},
		{"500 then works", []http.HandlerFunc{says(500, "oops"), says(200, okBody)}, 2, nil},
		{"503 and 429 then works", []http.HandlerFunc{says(503, "busy"), says(429, "slow down"), says(200, okBody)}, 3, nil},
		{"torn then works", []http.HandlerFunc{torn, says(200, okBody)}, 2, nil},
		{"500 for ever", []http.HandlerFunc{says(500, "disk on fire")}, 4, []string{"500", "disk on fire"}},
		{"torn for ever", []http.HandlerFunc{torn}, 3, []string{"broke off after 50 bytes", "unexpected EOF", "after 3 attempts"}},
		{"bad query", []http.HandlerFunc{says(400, `{"status":"error","errorType":"bad_data","error":"no such function"}`)}, 1, []string{"no such function"}},
		{"too many samples", []http.HandlerFunc{says(422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples"}`)}, 1, []string{"too many samples"}},
		{"unauthorized", []http.HandlerFunc{says(401, "who are you?")}, 1, []string{"401", "who are you?"}},
		{"no API", []http.HandlerFunc{says(404, "not here")}, 1, []string{"404", "not here"}},
		{"web page", []http.HandlerFunc{says(200, "<html>hello</html>")}, 1, []string{"bad_response"}},
		{"empty", []http.HandlerFunc{says(200, "")}, 1, []string{"bad_response"}},
		{"no data", []http.HandlerFunc{says(200, `{"status":"success"}`)}, 1, []string{""}},
		{"null sample", []http.HandlerFunc{says(200, `{"status":"success","data":{"resultType":"vector","result":[null]}}`)}, 1, []string{"null"}},
		{"other type", []http.HandlerFunc{says(200, `{"status":"success","data":{"resultType":"table","result":[]}}`)}, 1, []string{"table"}},
		{"histogram", []http.HandlerFunc{says(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"1","buckets":[]}]}]}}`)}, 1, []string{"native histogram"}},
		{"endless", []http.HandlerFunc{endless}, 1, []string{"more than 1048576 bytes", "too large"}},
		{"gzip bomb", []http.HandlerFunc{bomb}, 1, []string{"more than 1048576 bytes"}},
		{"too many series", []http.HandlerFunc{says(200, `{"status":"success","data":{"resultType":"vector","result":[`+strings.Repeat(`{"metric":{},"value":[1,"1"]},`, 100)+`{"metric":{},"value":[1,"1"]}]}}`)}, 1, []string{"more than 100 samples"}},
		{"slow for one", []http.HandlerFunc{hang, says(200, okBody)}, 2, []string{"no answer within", "too large"}},
		{"500 for one", []http.HandlerFunc{says(500, "oops"), says(500, "oops"), says(500, "oops"), says(200, okBody)}, 4, []string{"oops"}},
		{"query timeout", []http.HandlerFunc{says(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`)}, 1, []string{"timed out", "too large"}},
		{"slow", []http.HandlerFunc{hang}, 2, []string{"no answer within"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, asked := fake(t, c.hs...)
			o := RemoteOptions{Retries: 2, MaxBytes: 1 << 20, MaxSamples: 100}
			if strings.HasPrefix(c.name, "slow") {
				o.Retries, o.Timeout = -1, time.Millisecond
			}
			r := newRemote(t, strings.Replace(url, "http://", "http://user:secret@", 1)+"/?token=secret", o)
			v, err := r.query(context.Background(), `up{a="b"}`, t0)
			if asked.Load() != c.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), c.asked)
			}
			if c.want == nil {
				if err != nil || len(v) != 1 || v[0].T != t0.UnixMilli()+500 || !math.IsNaN(v[0].F) || v[0].Metric.String() != `{__name__="up"}` {
					t.Errorf("got %v, %v", v, err)
				}
				return
			}
			wantError(t, err, append(c.want, url, `up{a="b"}`)...)
			down := []string{"no gzip", "500 for ever", "torn for ever", "unauthorized", "no API", "web page", "empty", "slow"}
			if got, want := IsUnavailable(err), slices.Contains(down, c.name); got != want {
				t.Errorf("%v: unavailable is %v, want %v", err, got, want)
			}
			large := []string{"too many samples", "endless", "gzip bomb", "too many series", "slow for one", "query timeout"}
			if got, want := isTooLarge(err), slices.Contains(large, c.name); got != want {
				t.Errorf("%v: too large is %v, want %v", err, got, want)
			}
			if got, want := isAnswer(err), c.name == "bad query"; got != want {
				t.Errorf("%v: the server's answer is %v, want %v", err, got, want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q gives credentials away", err)
			}
		})
	}
}

func TestRemoteConnectionRefused(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	r := newRemote(t, s.URL, RemoteOptions{Retries: 1})
	_, err := r.query(context.Background(), `up`, t0)
	wantError(t, err, s.URL, "connection refused", "after 2 attempts")
	if !IsUnavailable(err) {
		t.Errorf("%v: want that the source is unavailable", err)
	}
	// What reads only our own needs no server.
	wantValues(t, r.query, `vector(1)`, t0, `{} 1`)
}

func TestRemoteContext(t *testing.T) {
	started := make(chan struct{}, 1)
	url, _ := fake(t, func(_ http.ResponseWriter, r *http.Request) { started <- struct{}{}; <-r.Context().Done() })
	r := newRemote(t, url, RemoteOptions{Concurrency: 1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { _, err := r.query(ctx, `up`, t0); done <- err }()
	<-started
	waiting := make(chan error)
	go func() { _, err := r.query(ctx, `down`, t0); waiting <- err }() // waits for its turn
	cancel()
	for _, c := range []chan error{done, waiting} {
		if err := <-c; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	// A wait before a retry ends with the context as well.
	url, asked := fake(t, says(500, ""))
	r = newRemote(t, url, RemoteOptions{Backoff: time.Hour})
	ctx, cancel = context.WithCancel(context.Background())
	go func() { _, err := r.query(ctx, `up`, t0); done <- err }()
	eventually(t, "the first attempt", func() bool { return asked.Load() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestRemoteSends(t *testing.T) {
	var got http.Request
	url, _ := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // some servers only take GET
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		r.ParseForm()
		got = *r
		io.WriteString(w, okBody)
	})
	http := config_util.DefaultHTTPClientConfig
	http.BasicAuth = &config_util.BasicAuth{Username: "u", Password: "p"}
	r := newRemote(t, url+"/tenant/api/v1?team=shop", RemoteOptions{HTTPClient: &http, Timeout: 7 * time.Second, LookbackDelta: time.Minute})
	mustQuery(t, r.query, `up`, t0)
	for name, want := range map[string]string{
		"query": "up", "time": "1772323200", "team": "shop", "timeout": "7s", "lookback_delta": "1m0s", "nocache": "1",
	} {
		if g := got.Form.Get(name); g != want {
			t.Errorf("%s: got %q, want %q", name, g, want)
		}
	}
	if u, p, _ := got.BasicAuth(); got.URL.Path != "/tenant/api/v1/query" || u != "u" || p != "p" {
		t.Errorf("got path %s, user %s, password %s", got.URL.Path, u, p)
	}
	if r.URL() != url+"/tenant" {
		t.Errorf("URL: got %s", r.URL())
	}
}

func TestRemoteWarningsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	url, _ := fake(t, says(200, strings.Replace(okBody, `"data"`, `"warnings":["half of the stores are down"],"data"`, 1)))
	r := newRemote(t, url, RemoteOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		mustQuery(t, r.query, `up`, t0)
	}
	if n := strings.Count(log.String(), "half of the stores"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
	_, notes, err := r.Evaluate(context.Background(), `up`, t0)
	if err != nil || len(notes) != 1 {
		t.Errorf("Evaluate: got %v, %v, want one warning", notes, err)
	}
}

func TestRemoteMixture(t *testing.T) {
	url, asked := fake(t, says(200, okBody))
	own := map[string]bool{}
	r := newRemote(t, url, RemoteOptions{Own: func() map[string]bool { return own }})
	mustQuery(t, r.query, `job:x`, t0)
	own = map[string]bool{"job:x": true} // a reload
	mustQuery(t, r.query, `job:x`, t0)
	if asked.Load() != 1 {
		t.Errorf("the server was asked %d times, want once", asked.Load())
	}
	_, err := r.query(context.Background(), `job:x / up`, t0)
	wantError(t, err, "job:x", "reads both")
}

func TestNewRemoteErrors(t *testing.T) {
	results := temporary(t)
	http := config_util.HTTPClientConfig{BearerToken: "a", BearerTokenFile: "b"}
	for _, c := range []struct {
		o    RemoteOptions
		want string
	}{
		{RemoteOptions{URL: "http://x"}, "store for results"},
		{RemoteOptions{URL: "", Results: results}, "want http://host:port"},
		{RemoteOptions{URL: "localhost:9090", Results: results}, "want http://host:port"},
		{RemoteOptions{URL: "ftp://u:secret@x", Results: results}, "ftp://u:xxxxx@x"},
		{RemoteOptions{URL: "http://u:secret@[", Results: results}, "url"},
		{RemoteOptions{URL: "http://x", Results: results, HTTPClient: &http}, "http_client"},
	} {
		_, err := NewRemote(c.o)
		wantError(t, err, c.want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("error %q gives credentials away", err)
		}
	}
}

// Whatever a server answers: no panic.
func FuzzRemoteAnswer(f *testing.F) {
	f.Add([]byte(okBody))
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"1"],[1,"2"]]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"string","result":null}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":` + strings.Repeat("[", 20_000)))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":` + strings.Repeat(`{"a":`, 20_000)))
	results := temporary(f)
	var body []byte
	rt := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{}}, nil
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		body = data
		r := newRemote(t, "http://x", RemoteOptions{Retries: -1, Results: results})
		r.client.Transport = rt
		_, _ = r.query(context.Background(), `up`, t0)
		_, _ = r.queryRange(context.Background(), `up`, t0, t0.Add(time.Hour), time.Minute)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
