package incident

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Candidates with exponential scores, some of which are far out since they were
// real: what is let through after the first week keeps to the rate.
func TestBudgetKeepsItsRate(t *testing.T) {
	for _, tt := range []struct {
		name          string
		candidates    float64 // a day
		real          int     // far out, over all
		rate          Rate
		least, atMost int // sent in the 30 days after the first week, without the real ones
	}{
		{"few candidates pass", 0.5, 0, Rate{1, 24 * time.Hour}, 10, 22},
		{"ten times too many", 10, 0, Rate{1, 24 * time.Hour}, 20, 45},
		{"the same with real incidents among them", 10, 15, Rate{1, 24 * time.Hour}, 18, 45},
		{"a rate rarer than the history", 3, 0, Rate{1, 30 * 24 * time.Hour}, 0, 5},
		{"no bound", 10, 0, Rate{}, 250, 350},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(3, 4))
			b := budget{rate: tt.rate, base: 3}
			begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
			sent := 0
			for hour := range 37 * 24 {
				now := begin.Add(time.Duration(hour) * time.Hour)
				if dice.Float64() < tt.candidates/24 {
					score := 3 + dice.ExpFloat64()*0.5
					if hour >= 7*24 && score >= b.least(now, begin) {
						sent++
					}
					b.add(now, score)
				}
				if tt.real > 0 && hour%(37*24/tt.real) == 0 {
					if now.Sub(begin) > budgetAfter && b.least(now, begin) > 12 {
						t.Errorf("after %d days a score of 12 is not sent any more: %.1f is wanted", hour/24, b.least(now, begin))
					}
					b.add(now, 12)
				}
			}
			if sent < tt.least || sent > tt.atMost {
				t.Errorf("%d were sent, want %d to %d", sent, tt.least, tt.atMost)
			}
		})
	}
}

func TestBudgetForgets(t *testing.T) {
	b := budget{rate: Rate{1, 24 * time.Hour}, base: 3}
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 3 * maxPeaks {
		b.add(begin.Add(time.Duration(i)*time.Minute), 4)
	}
	if len(b.peaks) != maxPeaks {
		t.Errorf("%d peaks are kept, want %d", len(b.peaks), maxPeaks)
	}
	late := begin.Add(100 * 24 * time.Hour)
	b.add(late, 5)
	if len(b.peaks) != 1 {
		t.Errorf("%d peaks are kept after a quiet month, want 1", len(b.peaks))
	}
	if got := b.least(late, begin); got != 3 || math.IsNaN(got) {
		t.Errorf("a score of %v is wanted, want 3", got)
	}
}
