package demo

import "testing"

func TestCalendar(t *testing.T) {
	c := newCalendar(&Pool{Size: 2, Queue: 1})
	const ms = 1000
	for i, tc := range []struct {
		t, until, d int64
		start       int64
		code        code
	}{
		{0, 500 * ms, 100 * ms, 0, codeOK},
		{10 * ms, 500 * ms, 200 * ms, 10 * ms, codeOK},
		{20 * ms, 500 * ms, 10 * ms, 100 * ms, codeOK},  // waits for the first
		{30 * ms, 500 * ms, 10 * ms, 30 * ms, codeBusy}, // one waits already
		{105 * ms, 108 * ms, 10 * ms, 108 * ms, codeClosed},
		{110 * ms, 500 * ms, 10 * ms, 110 * ms, codeOK},
		{300 * ms, 500 * ms, 10 * ms, 300 * ms, codeOK},
		{250 * ms, 500 * ms, 10 * ms, 250 * ms, codeOK}, // out of order
	} {
		start, got := c.take(tc.t, tc.until, tc.d)
		if start != tc.start || got != tc.code {
			t.Errorf("query %d: %d, %s; want %d, %s", i, start, got, tc.start, tc.code)
		}
	}
	for _, tc := range []struct{ t, running, waiting int64 }{
		{5 * ms, 1, 0}, {50 * ms, 2, 1}, {106 * ms, 2, 1}, {150 * ms, 1, 0}, {220 * ms, 0, 0}, {255 * ms, 1, 0},
	} {
		if r, w := c.at(tc.t); int64(r) != tc.running || int64(w) != tc.waiting {
			t.Errorf("at %d: %d running, %d waiting; want %d, %d", tc.t, r, w, tc.running, tc.waiting)
		}
	}
	for _, to := range []int64{305 * ms, 306 * ms, calendarSlots*ms + 200*ms, 5 * calendarSlots * ms} {
		c.advance(to)
		if r, w := c.at(to - ms); r != 0 || w != 0 {
			t.Errorf("after advancing to %d the past is not forgotten: %d, %d", to, r, w)
		}
	}
	if r, _ := c.at(0); r != 0 {
		t.Errorf("after a long way %d run", r)
	}
}
