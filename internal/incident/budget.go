package incident

import (
	"math"
	"slices"
	"time"
)

// Rate is how often something may happen for nothing: so many events in a span.
// The zero value sets no bound.
type Rate struct {
	Events float64
	Per    time.Duration
}

const (
	// budgetAfter is how much history a budget needs before it says anything.
	budgetAfter = 7 * 24 * time.Hour
	// budgetMemory is how far back candidates count.
	budgetMemory = 30 * 24 * time.Hour
	// maxPeaks bounds the candidates that are remembered.
	maxPeaks = 5000
)

// budget keeps what asked to be sent, and says how rare evidence has to be so
// that no more is sent than its rate allows.
//
// Each incident counts once, with its largest score while it asked: its peak.
// Peaks above the base are taken to fall off exponentially, as calibrated
// scores do; the scale comes from their median, which a few real incidents in
// the past do not move. See Coles, An Introduction to Statistical Modeling of
// Extreme Values (2001), chapter 4, with shape zero.
type budget struct {
	rate  Rate
	base  float64 // score from which on something asks at all
	peaks []peak  // oldest first
}

type peak struct {
	at    time.Time
	score float64
}

// add remembers the peak of an incident that ended.
func (b *budget) add(now time.Time, score float64) {
	if b.rate.Events <= 0 || score < b.base {
		return
	}
	first := 0
	for first < len(b.peaks) && (now.Sub(b.peaks[first].at) > budgetMemory || len(b.peaks)-first >= maxPeaks) {
		first++
	}
	b.peaks = append(slices.Delete(b.peaks, 0, first), peak{now, score})
}

// least is the score from which on evidence is sent, after having watched since
// the given time.
func (b *budget) least(now, since time.Time) float64 {
	span := min(now.Sub(since), budgetMemory)
	if b.rate.Events <= 0 || span < budgetAfter {
		return b.base
	}
	allowed := b.rate.Events * float64(span) / float64(b.rate.Per)
	var excess []float64
	for _, p := range b.peaks {
		if now.Sub(p.at) <= span {
			excess = append(excess, p.score-b.base)
		}
	}
	if float64(len(excess)) <= allowed {
		return b.base
	}
	slices.Sort(excess)
	scale := excess[len(excess)/2] / math.Ln2
	return b.base + scale*math.Log(float64(len(excess))/allowed)
}
