package demo

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// series is one simulated series as the sink knows it.
type series struct {
	labels labels.Labels
	ref    uint64
	shown  bool // the last step had a sample
}

// counter counts whole things.
type counter struct {
	series
	n int64
}

// histogram is a latency histogram. It shows after the first observation, or at
// once with eager, as children of a histogram vector do.
type histogram struct {
	buckets [len(buckets) + 1]counter // counts are not cumulative until shown
	total   series
	seconds series
	sum     int64 // microseconds
	eager   bool
}

// bucketOf maps milliseconds to the position of the bucket.
var bucketOf = func() (table [4096]uint8) {
	for ms := range table {
		for int(table[ms]) < len(buckets) && float64(ms+1) > math.Round(buckets[table[ms]]*1000) {
			table[ms]++
		}
	}
	return table
}()

func (h *histogram) observe(us int64) {
	ms := max(us-1, 0) / 1000 // upper bounds belong to their bucket
	h.buckets[bucketOf[min(ms, int64(len(bucketOf)-1))]].n++
	h.sum += us
}

// outgoing is what a caller counts of one kind of call.
type outgoing struct {
	requests  [numCodes]*counter
	durations *histogram
	retries   *counter
}

// clientWork is what the database counts of one client.
type clientWork struct {
	queries, rows *counter
}

// process is one simulated process: its metrics.
type process struct {
	target  []string // label names and values that the scrape adds
	stopped bool
	up      series
	version series
	ended   []series // to be marked stale at the next step

	counters   []*counter   // all, in a fixed order
	histograms []*histogram // all, in a fixed order

	requests  [numCodes]*counter
	durations []*histogram // by code; nil on the database
	calls     []outgoing

	poolSize             int
	inUse, size, waiting series // database only
	queries              *histogram
	clients              []clientWork // by position of the client
}

func newProcess(spec *Spec, service int, version string) *process {
	svc := &spec.Services[service]
	p := &process{target: []string{"job", Job, "service", svc.Name, "instance", svc.Instance()}}
	p.up = p.series("up")
	p.version = p.series("build_info", "version", version)
	for _, c := range serverCodes {
		p.requests[c] = p.counter("http_requests_total", "code", c.String())
	}
	if svc.Pool == nil {
		p.durations = make([]*histogram, numCodes)
		for _, c := range serverCodes {
			p.durations[c] = p.histogram(c == codeOK, "http_request_duration_seconds", "code", c.String())
		}
	} else {
		p.poolSize = svc.Pool.Size
		p.inUse, p.size, p.waiting = p.series("db_pool_in_use"), p.series("db_pool_size"), p.series("db_pool_waiting")
		p.queries = p.histogram(true, "db_query_duration_seconds")
		p.clients = make([]clientWork, len(spec.Services))
		for _, client := range spec.clients(svc.Name) {
			p.clients[spec.index(client)] = clientWork{
				queries: p.counter("db_queries_total", "client", client),
				rows:    p.counter("db_rows_examined_total", "client", client),
			}
		}
	}
	for _, call := range svc.Calls {
		out := outgoing{
			durations: p.histogram(true, "http_client_request_duration_seconds", "callee", call.Callee),
			retries:   p.counter("http_client_retries_total", "callee", call.Callee),
		}
		for _, c := range clientCodes {
			out.requests[c] = p.counter("http_client_requests_total", "callee", call.Callee, "code", c.String())
		}
		p.calls = append(p.calls, out)
	}
	return p
}

// clients returns the names of the services that call a service.
func (s Spec) clients(callee string) []string {
	var names []string
	for _, svc := range s.Services {
		for _, c := range svc.Calls {
			if c.Callee == callee {
				names = append(names, svc.Name)
			}
		}
	}
	return names
}

func (p *process) series(name string, more ...string) series {
	pairs := append([]string{"__name__", name}, p.target...)
	return series{labels: labels.FromStrings(append(pairs, more...)...)}
}

func (p *process) counter(name string, more ...string) *counter {
	c := &counter{series: p.series(name, more...)}
	p.counters = append(p.counters, c)
	return c
}

func (p *process) histogram(eager bool, name string, more ...string) *histogram {
	h := &histogram{
		total:   p.series(name+"_count", more...),
		seconds: p.series(name+"_sum", more...),
		eager:   eager,
	}
	for i := range h.buckets {
		le := "+Inf"
		if i < len(buckets) {
			le = strconv.FormatFloat(buckets[i], 'g', -1, 64)
		}
		h.buckets[i].series = p.series(name+"_bucket", append([]string{"le", le}, more...)...)
	}
	p.histograms = append(p.histograms, h)
	return h
}

// stop ends the process: its counters are lost.
func (p *process) stop() {
	p.stopped = true
	end := func(s *series, _ float64) {
		if s.shown {
			p.ended = append(p.ended, *s)
			s.shown = false
		}
	}
	p.each(end)
	end(&p.inUse, 0)
	end(&p.size, 0)
	end(&p.waiting, 0)
}

// restart starts the process again, with fresh counters. Where nobody looked in
// between, no series ended.
func (p *process) restart() {
	p.stopped = false
	for _, c := range p.counters {
		c.n = 0
	}
	for _, h := range p.histograms {
		h.sum = 0
		for i := range h.buckets {
			h.buckets[i].n = 0
		}
	}
	p.ended = nil
}

func (p *process) setVersion(version string) {
	if p.version.shown {
		p.ended = append(p.ended, p.version)
	}
	p.version = p.series("build_info", "version", version)
}

// each visits all series that a scrape of the process would find, except up and
// the gauges of the pool.
func (p *process) each(visit func(*series, float64)) {
	visit(&p.version, 1)
	for _, c := range p.counters {
		visit(&c.series, float64(c.n))
	}
	for _, h := range p.histograms {
		total := int64(0)
		for i := range h.buckets {
			total += h.buckets[i].n
		}
		if total == 0 && !h.eager {
			continue
		}
		cumulative := int64(0)
		for i := range h.buckets {
			cumulative += h.buckets[i].n
			visit(&h.buckets[i].series, float64(cumulative))
		}
		visit(&h.total, float64(total))
		visit(&h.seconds, float64(h.sum)/float64(time.Second/time.Microsecond))
	}
}

// emit hands the samples of one step to the sink.
func (s *simulation) emit(at int64) error {
	t := s.clock(at).UnixMilli()
	var failed error
	show := func(out *series, v float64) {
		if failed != nil {
			return
		}
		if out.ref == 0 {
			s.stats.Series++
		}
		out.shown = true
		s.stats.Samples++
		out.ref, failed = s.sink.Append(out.ref, out.labels, t, v)
	}
	for _, p := range s.processes {
		for i := range p.ended {
			show(&p.ended[i], math.Float64frombits(value.StaleNaN))
		}
		p.ended = nil
		if p.stopped {
			show(&p.up, 0)
			continue
		}
		show(&p.up, 1)
		p.each(show)
		if p.queries != nil {
			running, waiting := s.pool.at(at)
			show(&p.inUse, float64(running))
			show(&p.size, float64(p.poolSize))
			show(&p.waiting, float64(waiting))
		}
	}
	if failed != nil {
		return failed
	}
	return s.sink.Commit(t)
}
