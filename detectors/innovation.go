package detectors

import (
	"math"
	"time"
)

// innovation is what is known of the errors of a one-step-ahead prediction:
// the part that such detectors have in common.
type innovation struct {
	clock      clock
	origin     float64 // first value; predictions are relative to it
	scale      scale
	episodes   episodes
	departure  departure
	savedScale scale   // as it was at savedTime, before a departure
	savedTime  int64   // ms
	first      float64 // least score of the departure that the first change opened; 0 = none
	residuals  uint32
	varied     bool // it was not constant
	held       bool
	isSaved    bool
}

// innovationModel judges the errors of a prediction that the detector makes.
type innovationModel struct {
	transform transform
	scoring   scoring
	step      time.Duration
	scale     float64 // time constant in seconds
	clip      float64 // of what one error teaches, in scales
}

func newInnovationModel(scale time.Duration, transform string, clip float64, c Conditions) innovationModel {
	return innovationModel{
		transform: newTransform(transform), scoring: newScoring(c.Budget), step: c.Step, scale: scale.Seconds(), clip: clip,
	}
}

// innovationSample is a sample and what was predicted, relative to the origin
// and on the transformed scale.
type innovationSample struct{ value, expected, rest float64 }

// admit takes the time of a sample; ok is false when it cannot be judged.
func (m *innovationModel) admit(s *innovation, t int64, v float64) (k tick, ok bool) {
	origin, ok := m.transform.origin(v, s.origin, s.clock.samples == 0)
	if !ok {
		return tick{}, false
	}
	k, ok = s.clock.admit(t, m.step)
	switch {
	case !ok:
	case k.first:
		s.origin = origin
		s.episodes = newEpisodes(math.Log(k.dt))
	case s.clock.samples == 2:
		s.episodes.spacing = math.Log(k.dt)
	}
	return k, ok
}

// rest is the error of a prediction, relative to the origin.
func (m *innovationModel) rest(s *innovation, v, expected float64) float64 {
	rest := m.transform.forward(v, s.origin+expected) - s.origin - expected
	if math.Abs(rest) <= rounding(expected, s.origin) {
		return 0
	}
	return rest
}

// interrupt ends what a gap ends.
func (s *innovation) interrupt() {
	s.episodes.close()
	s.departure, s.first = departure{}, 0
}

// judge says how rare the error of a sample is, and learns from it unless
// learning is withheld. It returns what the error may teach the prediction,
// and whether a departure began before which the prediction is to be saved.
func (m *innovationModel) judge(s *innovation, k tick, x innovationSample) (out Verdict, clipped float64, began bool) {
	sigma := s.scale.sigma(fastShare)
	out, began = m.score(s, k, x, sigma)
	limit := m.clip * sigma
	if s.residuals < clipAfter {
		limit = maxMagnitude
	}
	clipped = clip(x.rest, limit)
	if s.held {
		return out, clipped, began
	}
	abs := math.Abs(x.rest)
	if s.residuals >= warmUp && sigma > 0 {
		s.episodes.learn(abs/sigma, k, math.Log(k.dt), gain(k.dt, spacingMemory))
	}
	s.varied = s.varied || x.rest != 0
	if s.residuals >= clipAfter {
		limit = clipSigmas * sigma
	}
	s.scale.learn(abs, limit, gain(k.dt, m.scale), gain(k.dt, fastSeconds))
	if s.residuals < math.MaxUint32 {
		s.residuals++
	}
	return out, clipped, began
}

// score says how rare the error of a sample is.
func (m *innovationModel) score(s *innovation, k tick, x innovationSample, sigma float64) (out Verdict, began bool) {
	out = s.unjudged(x.value)
	out.Expected = m.transform.back(s.origin + x.expected)
	out.Up = x.rest > 0
	if s.residuals < warmUp {
		return out, false
	}
	r := m.scoring.judge(departing{
		episodes: &s.episodes, span: s.clock.span(), lnDistance: math.Log(k.dt), rest: x.rest, sigma: sigma, varied: s.varied, first: &s.first,
	})
	out.Score = r.score
	out.Doubts |= r.doubts
	out.Lower = m.transform.back(s.origin + x.expected - r.alarm*sigma)
	out.Upper = m.transform.back(s.origin + x.expected + r.alarm*sigma)
	if s.departure.begins(r.z, r.low) && !s.held {
		s.savedScale, s.savedTime, s.isSaved = s.scale, k.t, true
		began = true
	}
	s.departure.observe(k, r.z, r.low, out.Score, k.t, out.Up)
	if !s.departure.running {
		s.first = 0
	}
	out.Onset = s.departure.onset()
	if out.Onset != 0 || out.Score >= 1 {
		out.Kind = KindSpike
	}
	return out, began
}

// unjudged is the verdict on a sample that cannot be judged.
func (s *innovation) unjudged(v float64) Verdict {
	nan := math.NaN()
	return Verdict{
		Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan,
		Learnt: s.residuals, Doubts: s.clock.doubts(s.residuals, s.held),
	}
}

// hold withholds learning, and says whether the prediction is to be restored.
func (m *innovationModel) hold(s *innovation, since int64) (restore bool) {
	if s.held {
		return false
	}
	s.held = true
	if !s.isSaved || !(s.departure.running || s.savedTime >= since) {
		return false
	}
	s.scale = s.savedScale
	s.episodes.peak = 0
	return true
}

// release ends a hold, and says whether the newest value becomes the normal one.
func (m *innovationModel) release(s *innovation, accept bool) (renew bool) {
	if !s.held {
		return false
	}
	s.held = false
	if !accept || s.clock.samples == 0 {
		return false
	}
	s.episodes.peak = 0
	s.departure, s.first, s.isSaved = departure{}, 0, false
	return true
}

func (s *innovation) valid() bool {
	return s.clock.valid() && s.departure.valid() && s.savedTime >= -maxTime && s.savedTime <= maxTime &&
		s.scale.valid() && s.savedScale.valid() && (s.clock.samples == 0 || s.episodes.valid()) &&
		math.Abs(s.origin) <= maxMagnitude && s.first >= 0 && s.first <= 100
}
