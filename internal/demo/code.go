package demo

import "net/http"

// code is how a request ended, as the server or the caller saw it.
type code uint8

const (
	codeOK          code = iota
	codeClosed           // server: the caller went away (499, as nginx counts it)
	codeFailed           // 500
	codeCalleeFails      // 502: a callee failed in spite of retries
	codeBusy             // 503: the pool's queue is full
	codeCalleeSlow       // 504: a callee timed out in spite of retries
	codeUnreachable      // caller: no connection
	codeTimeout          // caller: the attempt's time-out passed
	codeCanceled         // caller: whoever called the caller went away
	numCodes
)

// String is the value of the label code.
func (c code) String() string {
	return [numCodes]string{"200", "499", "500", "502", "503", "504", "error", "timeout", "canceled"}[c]
}

// status is what is sent over HTTP.
func (c code) status() int {
	return [numCodes]int{
		http.StatusOK, 499, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}[c]
}

// codeOfStatus reads a callee's answer; what the shop does not send counts as failed.
func codeOfStatus(status int) code {
	for c := codeOK; c <= codeCalleeSlow; c++ {
		if c.status() == status {
			return c
		}
	}
	return codeFailed
}

// ofCallee turns the outcome of a call into the caller's own answer.
func (c code) ofCallee() code {
	switch c {
	case codeOK:
		return codeOK
	case codeTimeout:
		return codeCalleeSlow
	case codeCanceled:
		return codeClosed
	default:
		return codeCalleeFails
	}
}

// The codes that servers and callers can count; their counters exist from the
// start, so that the first failure is an increase.
var (
	serverCodes = [...]code{codeOK, codeClosed, codeFailed, codeCalleeFails, codeBusy, codeCalleeSlow}
	clientCodes = [...]code{codeOK, codeFailed, codeCalleeFails, codeBusy, codeCalleeSlow, codeUnreachable, codeTimeout, codeCanceled}
)

// buckets are the upper bounds of all latency histograms in seconds. They are
// whole milliseconds, which the simulation relies on.
var buckets = [...]float64{0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.75, 1.5, 3.5}
