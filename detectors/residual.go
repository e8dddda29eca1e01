package detectors

import "math"

const (
	// warmUp is how many residuals are learnt before the first score.
	warmUp = 10
	// clipAfter is how many residuals are learnt before they are clipped.
	clipAfter = 30
	// fastSeconds is the time constant of the scale's fast mean.
	fastSeconds = 2 * 3600.0
	// firstDayShare is what the scale of the first day, which had no profile, counts afterwards, in time constants.
	// A smooth model's has few independent residuals.
	firstDayShare, smoothFirstDayShare = 0.3, 0.1
	// smoothReady is the weight from which a smoothed level is one: 1.6 time constants.
	smoothReady = 0.8
	// trustAfter is how old a series must be for its profile to predict: what
	// was there on one day alone is no course of the day.
	trustAfter = 2 * dayMs
	// noEvidence is how much of the squared scale the course of the day must beat.
	noEvidence = 0.02
)

// residualState is the state of one series under a residualModel. What every
// sample needs comes first, to lie together in six lines of the cache.
type residualState struct {
	clock     clock
	line      segment // of the profile, now
	origin    float64 // first value; everything below is relative to it
	low, high float64 // least and largest value
	share     float64 // of the profile that predicts
	now       learnt
	newest    level // of the last minutes, learnt even while held
	terms     terms // until termsEnd
	termsEnd  int64 // ms
	residuals uint32
	varied    bool // it was not constant
	held      bool
	isSaved   bool
	profiled  bool // the profile has been known for a sample
	departure departure
	profile   profile

	side      int64   // ms; since when the samples are beyond the low threshold on one side
	changed   int64   // ms; first change of a series that was constant until then
	waiting   int64   // ms; since when a change is not believed
	size      float32 // the largest residual since then
	reach     float32 // the largest judged value since then
	run       uint32  // samples of the departure that the first change opened
	constant  uint32  // equal samples before it
	evidence  float32 // log10 of how unlikely the run is
	calm      uint8   // samples since the last that departed, of a constant series
	sign      int8    // the side: -1, 0, 1
	saved     kept    // as it was at savedTime, before a departure
	savedTime int64   // ms
}

// learnt is what a departure must not teach.
type learnt struct {
	level    anchored
	scale    scale
	episodes episodes
}

// kept is what of it a hold restores.
type kept struct {
	level              anchored
	clipped, raw, fast float32 // of the scale
	weight             float32
	tail, count        float32 // of the episodes
	rarely             float32 // their level
}

func (l *learnt) keep() kept {
	e, c := &l.episodes, &l.scale
	return kept{
		level:   l.level,
		clipped: float32(c.clipped), raw: float32(c.raw), fast: float32(c.fast), weight: float32(c.weight),
		tail: float32(e.tail), count: float32(e.count), rarely: float32(e.level),
	}
}

func (k *kept) restore(l *learnt) {
	e, c := &l.episodes, &l.scale
	l.level = k.level
	c.clipped, c.raw, c.fast, c.weight = float64(k.clipped), float64(k.raw), float64(k.fast), float64(k.weight)
	e.tail, e.count, e.level, e.peak = float64(k.tail), float64(k.count), float64(k.rarely), 0
	e.estimate()
}

// residualModel judges what is left of a sample when a level and the course of
// the day are taken away: each sample's rest, or, when smooth, the rest's mean
// over the time constant newest.
type residualModel struct {
	calendar  calendar
	scoring   scoring
	transform transform
	step      float64 // seconds
	kind      Kind
	smooth    bool

	level, scale, newest float64 // time constants in seconds
	fastShare            float64 // of the scale's fast mean

	// Gains for the distance of the last sample, which is usually that of the next one.
	gainsFor                      float64
	aLevel, aScale, aFast         float64
	aNewest, aSpacing, lnDistance float64
}

func (m *residualModel) gains(dt float64) {
	m.gainsFor = dt
	m.aLevel, m.aScale = gain(dt, m.level), gain(dt, m.scale)
	m.aFast, m.aNewest = gain(dt, fastSeconds), gain(dt, m.newest)
	m.aSpacing, m.lnDistance = gain(dt, spacingMemory), math.Log(dt)
}

// sample is one admitted sample on its way through the model, relative to the
// origin and on the transformed scale.
type sample struct {
	tick
	value    float64 // as given
	course   float64 // how far the profile is from its mean over the time of the level
	expected float64
	rest     float64 // of the sample
	judged   float64 // the rest, or its mean
	sigma    float64 // scale of what is judged
	z        float64 // |judged| / sigma
	known    bool    // the slot of the day is known
}

func (m *residualModel) Observe(s *residualState, t int64, v float64) (out Verdict) {
	m.observe(s, t, v, &out)
	return out
}

// observe implements fastModel.
func (m *residualModel) observe(s *residualState, t int64, v float64, out *Verdict) {
	origin, ok := s.origin, true
	if m.transform.log || s.clock.samples == 0 || !(math.Abs(v-origin) <= maxMagnitude) {
		origin, ok = m.transform.origin(v, s.origin, s.clock.samples == 0)
	}
	var x sample
	if !ok || !s.clock.take(&x.tick, t, m.step) {
		*out = s.unjudged(v)
		return
	}
	if x.dt != m.gainsFor {
		m.gains(x.dt)
	}
	if x.first {
		m.begin(s, t, origin)
		*out = s.unjudged(v)
		return
	}
	if s.clock.samples == 2 {
		s.now.episodes.spacing = m.lnDistance
	}
	if t >= s.line.until {
		m.turn(s, x.tick)
	}
	if x.gap {
		m.skip(s, x.tick)
	}
	m.predict(s, &x, v)
	if !m.ready(s) || s.residuals < warmUp {
		*out = s.unjudged(v)
		out.Expected, out.Up = m.transform.back(s.origin+x.expected), x.judged > 0
		if s.residuals >= warmUp {
			out.Doubts |= DoubtAfterGap
		}
	} else {
		m.judge(s, &x, out)
	}
	if !s.held {
		m.learn(s, &x)
	}
}

// predict fills what the sample is judged by.
func (m *residualModel) predict(s *residualState, x *sample, v float64) {
	x.value, x.known = v, s.line.known
	if x.known {
		x.course = s.line.at(x.t) - s.now.level.course
	}
	plain := s.share * x.course
	// What was never seen is not expected: a ratio of zero does not rise to zero.
	expected := s.now.level.mean + plain
	if expected > s.high {
		expected = s.high
	}
	if expected < s.low {
		expected = s.low
	}
	at := v
	if m.transform.log {
		at = m.transform.forward(v, s.origin+expected)
	}
	rest := at - s.origin - expected
	tiny := rounding(expected, s.origin)
	if math.Abs(rest) <= tiny {
		rest = 0
	}
	x.expected, x.rest, x.judged = expected, rest, rest
	s.newest.learn(clip(expected+rest-plain, maxMagnitude)-s.newest.mean, m.aNewest)
	if m.smooth {
		x.judged = s.newest.mean - s.now.level.mean
		if math.Abs(x.judged) <= tiny {
			x.judged = 0
		}
	}
	x.sigma = s.now.scale.sigma(m.fastShare)
	if x.judged != 0 && x.sigma > 0 {
		x.z = math.Abs(x.judged) / x.sigma
		if x.z > maxPeak {
			x.z = maxPeak
		}
	}
}

// begin takes the first sample.
func (m *residualModel) begin(s *residualState, t int64, origin float64) {
	s.origin = origin
	s.profile.begin(&m.calendar, m.calendar.moment(t).local)
	s.line.until, s.termsEnd = t, t
	s.now.level = anchored{weight: m.aLevel}
	s.newest = level{weight: m.aNewest}
	s.now.episodes = newEpisodes(m.lnDistance)
}

// rounding is the size of residuals that the arithmetic alone may leave.
func rounding(expected, origin float64) float64 {
	return 2e-7*math.Abs(expected) + 1e-12*math.Abs(origin)
}

// skip takes what a gap ends.
func (m *residualModel) skip(s *residualState, k tick) {
	s.newest.weight *= math.Exp(-k.distance / m.newest)
	if s.held {
		return
	}
	s.now.episodes.close()
	s.departure, s.run, s.sign = departure{}, 0, 0
	if !m.smooth { // a day's level outlives a gap
		s.now.level.weight = 0
	}
}

// ready says whether there is something to judge.
func (m *residualModel) ready(s *residualState) bool {
	return s.now.level.weight > 0 && (!m.smooth || s.newest.weight >= smoothReady)
}

// termsShare is by what share the span must grow for new terms.
const termsShare = 1.0 / 64

// judge says how rare the sample is and follows the departure.
func (m *residualModel) judge(s *residualState, x *sample, out *Verdict) {
	if x.t >= s.termsEnd {
		s.terms = m.scoring.terms(s.clock.span())
		s.termsEnd = x.t + int64(float64(x.t-s.clock.first)*termsShare)
	}
	e := &s.now.episodes
	crowding := e.crowding(m.lnDistance)
	alarm := e.reach(s.terms.one + crowding)
	low := lowThreshold(alarm)
	*out = Verdict{Doubts: s.doubts()}
	if x.judged != 0 && !(x.sigma > 0) && m.believed(s, x) {
		x.z = maxPeak
	}
	score := s.terms.score(e.weeks(x.z) - crowding)
	if x.z > low && (s.run > 0 || x.z == maxPeak) {
		score = m.firstChange(s, x, s.terms, score)
	}
	if m.smooth || s.departure.running || x.z > low {
		m.follow(s, x, low, score)
		out.Onset = s.departure.onset()
	}
	if out.Onset != 0 || score >= 1 {
		out.Kind = m.kind
	}
	out.Value, out.Score, out.Learnt, out.Up = x.value, score, s.residuals, x.judged > 0
	middle, width := s.origin+x.expected, alarm*x.sigma
	out.Expected, out.Lower, out.Upper = middle, middle-width, middle+width
	if m.transform.log {
		out.Expected, out.Lower, out.Upper = m.transform.back(middle), m.transform.back(middle-width), m.transform.back(middle+width)
	}
}

// doubts are those of a judged sample.
func (s *residualState) doubts() (d Doubt) {
	if s.terms.short {
		d |= DoubtShortHistory
	}
	if !s.varied {
		d |= DoubtConstant
	}
	if s.clock.sinceGap < doubtfulAfterGap {
		d |= DoubtAfterGap
	}
	if s.held {
		d |= DoubtHeld
	}
	return d
}
