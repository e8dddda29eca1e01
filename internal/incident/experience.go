package incident

import (
	"maps"
	"time"
)

// Experience is what a correlator has learnt of its own: since when it watches
// and what asked to be sent, by which budgets are kept, and the names that are
// taken. It can be kept as JSON.
type Experience struct {
	Began   time.Time            `json:"began"`
	Pages   []Peak               `json:"pages,omitempty"`
	Tickets []Peak               `json:"tickets,omitempty"`
	Used    map[string]time.Time `json:"used,omitempty"` // names, and when their incidents ended
}

// Peak is the largest score of an incident while it asked to be sent.
type Peak struct {
	Time  time.Time `json:"time"`
	Score float64   `json:"score"`
}

// Experience returns what later steps do not change.
func (c *Correlator) Experience() Experience {
	return Experience{Began: c.began, Pages: c.pages.export(), Tickets: c.tickets.export(), Used: maps.Clone(c.used)}
}

// Recall takes up what an earlier run learnt, before the first step.
func (c *Correlator) Recall(x Experience) {
	c.began = x.Began
	c.pages.recall(x.Pages)
	c.tickets.recall(x.Tickets)
	maps.Copy(c.used, x.Used)
}

func (b *budget) export() []Peak {
	out := make([]Peak, 0, len(b.peaks))
	for _, p := range b.peaks {
		out = append(out, Peak{p.at, p.score})
	}
	return out
}

func (b *budget) recall(peaks []Peak) {
	b.peaks = nil
	for _, p := range peaks[max(0, len(peaks)-maxPeaks):] {
		b.peaks = append(b.peaks, peak{p.Time, p.Score})
	}
}
