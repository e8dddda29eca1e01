package main

import (
	"math"
	"slices"
)

// eventFigures are those of the data's event scorer: one threshold for all
// series of a set, swept over every distinct score among the top share of rows.
type eventFigures struct {
	kF1, kAt float64   // F1 with a delay of at most seven rows, and its threshold
	recall   []float64 // share of events found, for each of eventBudgets
	at       []float64 // their thresholds
}

// eventBudgets are false alarms per series and day.
var eventBudgets = [...]float64{0.03, 0.1, 0.3, 1}

const (
	eventDelay = 7  // rows
	eventCool  = 10 // flags within so many rows are one alarm
	eventTop   = 0.1
)

type candidate struct {
	score       float64
	series, row int32 // row within the scored part
}

// sweep is the state of the sweep over one series.
type sweep struct {
	owner []int32 // of each row: its event, or -1
	first []int   // of each event: the earliest flag, or -1
	mark  []bool
}

// scoreEvents computes the figures; scores belong to the rows of the series.
func scoreEvents(all []*series, scores [][]float64) eventFigures {
	var entries []candidate
	var days float64
	state := make([]sweep, len(all))
	positives, events := 0, 0
	for k, s := range all {
		val := scores[k][s.first:]
		days += max(0, s.days())
		w := sweep{owner: make([]int32, len(val)), first: make([]int, len(s.events)), mark: make([]bool, len(val))}
		for i := range w.owner {
			w.owner[i] = -1
		}
		for j, e := range s.events {
			w.first[j] = -1
			positives += e.end - e.begin
			for i := e.begin; i < e.end; i++ {
				w.owner[i-s.first] = int32(j)
			}
		}
		events += len(s.events)
		state[k] = w
		sorted := slices.Clone(val)
		slices.Sort(sorted)
		cut := sorted[len(sorted)-max(1, int(eventTop*float64(len(val))))]
		for i, v := range val {
			if v >= cut && v > 0 {
				entries = append(entries, candidate{v, int32(k), int32(i)})
			}
		}
	}
	slices.SortStableFunc(entries, func(a, b candidate) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	out := eventFigures{recall: make([]float64, len(eventBudgets)), at: make([]float64, len(eventBudgets))}
	hit, alarms, credited, wrong := 0, 0, 0, 0
	for i := 0; i < len(entries); {
		level := entries[i].score
		for ; i < len(entries) && entries[i].score == level; i++ {
			e := entries[i]
			w, row := &state[e.series], int(e.row)
			j := w.owner[row]
			if j < 0 {
				wrong++
				alarms += w.flag(row)
				continue
			}
			span := all[e.series].events[j]
			off := row - (span.begin - all[e.series].first)
			was := w.first[j]
			if was < 0 {
				hit++
			}
			if was < 0 || off < was {
				if off <= eventDelay && (was < 0 || was > eventDelay) {
					credited += span.end - span.begin
				}
				w.first[j] = off
			}
		}
		if credited > 0 {
			missed := positives - credited
			if f := 2 * float64(credited) / float64(2*credited+wrong+missed); f > out.kF1 {
				out.kF1, out.kAt = f, level
			}
		}
		rate := float64(alarms) / days
		for b, most := range eventBudgets {
			if recall := float64(hit) / float64(max(1, events)); rate <= most && recall > out.recall[b] {
				out.recall[b], out.at[b] = recall, level
			}
		}
	}
	return out
}

// flag marks a row outside all events and returns by how much the number of alarms grows.
func (w *sweep) flag(row int) int {
	left, right := 0, 0
	for d := 1; d <= eventCool; d++ {
		if left == 0 && row-d >= 0 && w.mark[row-d] {
			left = d
		}
		if right == 0 && row+d < len(w.mark) && w.mark[row+d] {
			right = d
		}
	}
	w.mark[row] = true
	switch {
	case left == 0 && right == 0:
		return 1
	case left != 0 && right != 0 && left+right > eventCool:
		return -1
	}
	return 0
}

// alarmFigures are what somebody who gets the alarms sees at one threshold. An
// alarm begins after an hour (at least three steps) of quiet, and again every
// four hours while it lasts; it is false when it begins neither in an event nor
// within the hour after one.
type alarmFigures struct {
	falseAlarms int
	weeks       float64
	found       int
	events      int
	macro       float64   // mean over the series with events of their share found
	delays      []float64 // of the events found, seconds
}

func (a alarmFigures) perWeek() float64 { return float64(a.falseAlarms) / a.weeks }

func (a alarmFigures) medianDelay() float64 {
	if len(a.delays) == 0 {
		return math.NaN()
	}
	slices.Sort(a.delays)
	return a.delays[len(a.delays)/2]
}

// hot are the rows of a series with its highest scores, in order of time, so
// that many thresholds are tried quickly.
type hot struct {
	s     *series
	rows  []int32
	score []float64
}

func hotRows(s *series, scores []float64, least float64) hot {
	h := hot{s: s}
	for i := s.first; i < len(scores); i++ {
		if scores[i] >= least {
			h.rows, h.score = append(h.rows, int32(i)), append(h.score, scores[i])
		}
	}
	return h
}

func countAlarms(all []hot, threshold float64) alarmFigures {
	var out alarmFigures
	with := 0
	for _, h := range all {
		s := h.s
		out.weeks += s.days() / 7
		quiet := max(3600e3, 3*s.step.Milliseconds())
		last, began := int64(math.MinInt64/2), int64(0)
		next, found, hit := 0, 0, false // the first event that has not ended an hour ago
		for k, v := range h.score {
			if v < threshold {
				continue
			}
			row := int(h.rows[k])
			t := s.at[row]
			for next < len(s.events) && t > s.at[s.events[next].end-1]+3600e3 {
				next, hit = next+1, false
			}
			near := next < len(s.events) && row >= s.events[next].begin
			// The next event may begin within the hour after this one.
			in := -1
			for j := next; j < len(s.events) && s.events[j].begin <= row; j++ {
				if row < s.events[j].end {
					in = j
				}
			}
			if in > next {
				next, hit = in, false
			}
			if in >= 0 && !hit {
				hit = true
				found++
				out.delays = append(out.delays, float64(t-s.at[s.events[in].begin])/1000)
			}
			if t-last > quiet || t-began >= 4*3600e3 {
				began = t
				if !near {
					out.falseAlarms++
				}
			}
			last = t
		}
		out.events += len(s.events)
		out.found += found
		if len(s.events) > 0 {
			with++
			out.macro += float64(found) / float64(len(s.events))
		}
	}
	out.macro /= float64(max(1, with))
	return out
}
