package demo

// kind of a record.
type recordKind uint8

const (
	served    recordKind = iota // a service answered
	called                      // a caller's attempt ended
	retried                     // a caller tries again
	completed                   // a query ended
)

// record is something to be counted at a time.
type record struct {
	at      int64
	value   int64 // duration in microseconds
	rows    int32 // of a query
	kind    recordKind
	service uint8 // who counts it
	call    uint8 // position of the call in the service; of a query, the client's service
	code    code
}

// note counts a record when its time has come.
func (s *simulation) note(r record) {
	if r.at < s.border {
		s.count(r)
	} else {
		s.later = append(s.later, r)
	}
}

func (s *simulation) count(r record) {
	p := s.processes[r.service]
	if p.stopped {
		return
	}
	switch r.kind {
	case served:
		p.requests[r.code].n++
		if p.durations != nil {
			p.durations[r.code].observe(r.value)
		}
	case called:
		c := p.calls[r.call]
		c.requests[r.code].n++
		c.durations.observe(r.value)
	case retried:
		p.calls[r.call].retries.n++
	case completed:
		p.queries.observe(r.value)
		p.clients[r.call].queries.n++
		p.clients[r.call].rows.n += int64(r.rows)
	}
}

// serve lets a service handle a request that reaches it at t and whose caller
// goes away at until.
func (s *simulation) serve(service, client int, call *Call, t, until int64) (end int64, result code) {
	svc := &s.spec.Services[service]
	switch {
	case svc.Pool != nil:
		end, result = s.query(service, client, call, t, until)
	default:
		end = t + s.dice.around(float64(svc.Latency.Microseconds()))
		if s.dice.fails() {
			result = codeFailed
		} else if end < until {
			end, result = s.callAll(service, end, until)
		}
		if end >= until {
			end, result = until, codeClosed
		}
	}
	s.note(record{kind: served, at: end, value: end - t, service: uint8(service), code: result})
	return end, result
}

// query runs on the database: it waits for a place in the pool and then runs to
// its end, whether its client is still there or not.
func (s *simulation) query(service, client int, call *Call, t, until int64) (int64, code) {
	if s.dice.fails() {
		return t, codeFailed
	}
	median, rows := s.at(t).query(client, call, s.database)
	d := min(s.dice.around(float64(median.Microseconds())), maxExecution.Microseconds())
	start, result := s.pool.take(t, until, d)
	if result != codeOK {
		return start, result
	}
	end := start + d
	s.note(record{kind: completed, at: end, value: d, rows: int32(s.dice.around(float64(rows))), service: uint8(service), call: uint8(client)})
	if end >= until {
		return until, codeClosed
	}
	return end, codeOK
}

// callAll makes the calls of a service side by side.
func (s *simulation) callAll(service int, t, until int64) (end int64, result code) {
	calls := s.spec.Services[service].Calls
	end = t
	for i := range calls {
		at, c := t, codeOK
		for n := 0; n < calls[i].Times && c == codeOK; n++ {
			at, c = s.call(service, i, at, until)
		}
		end = max(end, at)
		if result == codeOK {
			result = c.ofCallee()
		}
	}
	return end, result
}

// call calls once, with retries.
func (s *simulation) call(service, call int, t, until int64) (int64, code) {
	c := &s.spec.Services[service].Calls[call]
	callee := s.callees[service][call]
	conditions := s.at(t)
	policy := conditions.policy(service, c)
	timeout, backoff := policy.Timeout.Microseconds(), policy.Backoff.Microseconds()
	for retry := 0; ; retry++ {
		limit := min(t+timeout, until)
		var end int64
		var result code
		if s.at(t).Stopped[callee] {
			end, result = t+s.hop, codeUnreachable
		} else {
			end, result = s.serve(callee, service, c, t+s.hop, limit)
			end += s.hop
		}
		if end >= limit || result == codeClosed {
			end, result = limit, codeTimeout
			if limit == until {
				result = codeCanceled
			}
		}
		s.note(record{kind: called, at: end, value: end - t, service: uint8(service), call: uint8(call), code: result})
		if result == codeOK || result == codeCanceled || retry == policy.Retries {
			return end, result
		}
		t = end + s.dice.backoff(backoff, retry)
		if t >= until {
			return until, codeCanceled
		}
		s.note(record{kind: retried, at: t, service: uint8(service), call: uint8(call)})
	}
}
