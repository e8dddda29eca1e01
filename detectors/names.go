package detectors

import "strings"

// String returns "", "spike", "shift", "silence", "limit", "trend" or "peer".
func (k Kind) String() string {
	switch k {
	case KindSpike:
		return "spike"
	case KindShift:
		return "shift"
	case KindSilence:
		return "silence"
	case KindLimit:
		return "limit"
	case KindTrend:
		return "trend"
	case KindPeer:
		return "peer"
	}
	return ""
}

// Strings returns the doubts in words, in a fixed order; nil without doubts.
func (d Doubt) Strings() []string {
	names := [...]string{
		"warming up", "short history", "after a gap", "constant", "held", "partial", "inherited", "few peers",
	}
	var out []string
	for i, name := range names {
		if d&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// String returns the doubts in words, separated by commas.
func (d Doubt) String() string { return strings.Join(d.Strings(), ", ") }
