package engine

import (
	"testing"

	"github.com/foreshock/foreshock/detectors"
)

func TestForecast(t *testing.T) {
	f := forecast(detectors.Verdict{Earliest: 1_700_438_400_000})
	if f.Earliest.UnixMilli() != 1_700_438_400_000 || !f.Latest.IsZero() {
		t.Errorf("got %+v, want the earliest time and no latest", f)
	}
	if f := forecast(detectors.Verdict{}); !f.Earliest.IsZero() || !f.Latest.IsZero() {
		t.Errorf("got %+v of a verdict that knows no limit", f)
	}
}
