//go:build e2e

package app

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/demo"
)

// A day of the shop without a fault, lived through as the demo does, a sample a
// second: nobody is told anything. SHOP_DAYS=n lives through n such days, each
// with a seed of its own; without it the test takes one seed and three hours.
func TestShopQuietDay(t *testing.T) {
	seeds, lasts := 1, 3*time.Hour
	if n, err := strconv.Atoi(os.Getenv("SHOP_DAYS")); err == nil {
		seeds, lasts = n, 24*time.Hour
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
			t.Parallel()
			tale := time.Date(2026, 3, 6+seed, (7*seed)%24, 30, 0, 0, time.UTC) // also over a weekend
			s := simulateStory(t, demo.NoFault, uint64(seed+1), demo.StoryOptions{Quiet: time.Minute, Lasts: 2 * time.Minute}, 2*24*time.Hour, tale, lasts)
			for _, w := range s.play(t) {
				t.Errorf("%s after %s, seed %d: want nobody told, got a %s of %s\n%s", lasts, w.After, seed+1, w.Severity, w.Service, w.Text)
			}
		})
	}
}
