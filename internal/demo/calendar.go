package demo

import "math"

// calendar knows for each millisecond of the near future how many queries run
// and how many wait. It takes queries in any order of time that is not before
// the last advance.
type calendar struct {
	size, queue uint8
	running     []uint8 // ring, by millisecond
	waiting     []uint8
	now         int64 // milliseconds before it are forgotten
}

// calendarSlots covers the longest request and the longest query after it.
const calendarSlots = 1 << 14 // milliseconds; more than maxPatience + maxExecution

func newCalendar(p *Pool) *calendar {
	return &calendar{
		size: uint8(p.Size), queue: uint8(p.Queue),
		running: make([]uint8, calendarSlots), waiting: make([]uint8, calendarSlots),
	}
}

// advance forgets what is before t (microseconds).
func (c *calendar) advance(t int64) {
	to := t / 1000
	if to <= c.now {
		return
	}
	if to-c.now >= calendarSlots {
		clear(c.running)
		clear(c.waiting)
		c.now = to
		return
	}
	from, until := c.now&(calendarSlots-1), to&(calendarSlots-1)
	c.now = to
	if from <= until {
		clear(c.running[from:until])
		clear(c.waiting[from:until])
		return
	}
	clear(c.running[from:])
	clear(c.waiting[from:])
	clear(c.running[:until])
	clear(c.waiting[:until])
}

// take finds a place for a query that arrives at t, takes d, and gives up
// waiting at until. It returns when the query starts with codeOK, or when it
// ended without having run: codeBusy when the queue is full, codeClosed when
// the client went away.
func (c *calendar) take(t, until, d int64) (int64, code) {
	const mask = calendarSlots - 1
	first, last := t/1000, until/1000
	length := max(1, (d+500)/1000)
	start := first
	for i := start; i < start+length; i++ {
		if c.running[i&mask] >= c.size {
			start = i + 1
			if start >= last {
				break
			}
		}
	}
	if start > first && c.waiting[first&mask] >= c.queue {
		return t, codeBusy
	}
	for i := first; i < min(start, last); i++ {
		if w := &c.waiting[i&mask]; *w < math.MaxUint8 {
			*w++
		}
	}
	if start > first && start >= last {
		return until, codeClosed
	}
	for i := start; i < start+length; i++ {
		c.running[i&mask]++
	}
	return max(t, start*1000), codeOK
}

// at returns how many queries run and wait at t.
func (c *calendar) at(t int64) (running, waiting int) {
	i := t / 1000 & (calendarSlots - 1)
	return int(c.running[i]), int(c.waiting[i])
}
