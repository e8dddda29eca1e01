package detectors

import (
	"fmt"
	"time"
)

func validSlots(n int) error {
	if n < minSlots || n > maxSlots {
		return fmt.Errorf("slots is %d; it must be between %d and %d", n, minSlots, maxSlots)
	}
	return nil
}

func validAlpha(a float64) error {
	if !(a > 0 && a <= 1) {
		return fmt.Errorf("profile_alpha is %g; it must be above 0 and at most 1", a)
	}
	return nil
}

func validTau(name string, d time.Duration) error {
	if d < time.Second || d > year {
		return fmt.Errorf("%s is %v; it must be between 1s and 8760h", name, d)
	}
	return nil
}
