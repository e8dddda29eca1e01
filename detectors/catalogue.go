package detectors

// All returns the catalogue, sorted by name. A new detector is one more line.
func All() []Detector {
	return []Detector{
		Edge,
		EWMA,
		LevelShift,
		Peers,
		Rate,
		Seasonality,
		Silence,
		Spike,
		Threshold,
		Trend,
	}
}

// Lookup finds a detector of the catalogue by its name.
func Lookup(name string) (Detector, bool) {
	for _, d := range All() {
		if d.Name == name {
			return d, true
		}
	}
	return Detector{}, false
}
