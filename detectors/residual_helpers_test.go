package detectors

// residuals are the detectors of a residual: their properties do not hold for
// those of events or absences.
func residuals() []Detector { return []Detector{EWMA, LevelShift, Seasonality, Spike} }
