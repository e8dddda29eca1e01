package detectors

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Silence finds series that fall silent: they drop to zero, or stop.
var Silence = absences(Define("silence", `Series that fall silent: drops to zero, and series that stop.

How often a series reports something, by hour of the day and on weekdays and
weekends, tells how many reports are missed while it is silent. What is rare is
judged by the silences that the series had before: nights, weekends and sparse
events are habits, not silences.`,
	func() *SilenceOptions { return &SilenceOptions{Zero: 0, ProfileAlpha: 0.2} }, newSilence))

// SilenceOptions are the options of [Silence].
type SilenceOptions struct {
	// Zero is the largest magnitude of a value that counts as silence.
	Zero float64 `yaml:"zero"`
	// ProfileAlpha is the share that each day has in the habit of an hour, above 0 to 1.
	ProfileAlpha float64 `yaml:"profile_alpha"`
}

// Validate implements [Options].
func (o *SilenceOptions) Validate() error {
	err := validAlpha(o.ProfileAlpha)
	if !(o.Zero >= 0 && o.Zero <= maxMagnitude) {
		err = errors.Join(err, fmt.Errorf("zero is %g; it must be 0 or more", o.Zero))
	}
	return err
}

// absences marks a detector that judges missing samples.
func absences(d Detector) Detector {
	d.Absences, d.Falls = true, true
	return d
}

// SilenceKind says in which way a series is silent.
type SilenceKind uint8

const (
	SilenceNone    SilenceKind = iota
	SilenceZero                // it reports zero
	SilenceMissing             // it reports nothing, and why is not known
	SilenceScrape              // its target fails to be scraped
	SilenceTarget              // its target is not there any more
	SilenceSeries              // its target is well, the series is not there
)

// String returns the kind in words, "" for none.
func (k SilenceKind) String() string {
	names := [...]string{"", "zero", "missing", "failed scrape", "removed target", "vanished series"}
	if int(k) < len(names) {
		return names[k]
	}
	return ""
}

const (
	hourMs      = 3600_000
	hourSeconds = 3600.0
	// habitPrior is how many seconds the overall habit counts as in each hour.
	habitPrior = 10.0
	// habitMemory is the time constant of the overall habit.
	habitMemory = 7 * 86400.0

	// mostHours of a silence are learnt, the last ones.
	mostHours = 14 * 24
	// silenceLevel is the time constant of the value that a series has while it reports.
	silenceLevel = 3600.0
)

// habit is how much of a time a series reported something.
type habit struct{ active, total float32 } // seconds

// silenceState is the state of one series under a silenceModel.
type silenceState struct {
	clock    clock
	hours    [2][24]habit // of weekdays and of weekends
	overall  habit
	running  habit // of the running hour
	hour     int64 // its number since 1970
	missed   float64
	from     int64 // ms; first silent sample
	untaught int64 // ms; since when the silence is not learnt
	level    level // of the value while it reports
	episodes episodes
	reports  uint32
	silent   bool
	rare     bool // the silence reached a score of 1
	held     bool
}

// silenceModel judges how many reports are missed.
type silenceModel struct {
	alpha, zero float64
	scoring     scoring
	step        time.Duration
}

func newSilence(o *SilenceOptions, c Conditions) (Model[silenceState], error) {
	return &silenceModel{alpha: o.ProfileAlpha, zero: o.Zero, scoring: newScoring(c.Budget), step: c.Step}, nil
}

func (m *silenceModel) Observe(s *silenceState, t int64, v float64) Verdict {
	k, ok := s.clock.admit(t, m.step)
	if !ok {
		return s.unjudged(v)
	}
	if k.first {
		s.episodes = newEpisodes(math.Log(k.dt))
		s.hour = hourNumber(t)
	}
	if s.clock.samples == 2 {
		s.episodes.spacing = math.Log(k.dt)
	}
	if k.gap && s.silent { // nobody looked: that is no silence
		m.teach(s, t-int64(1000*k.distance))
		s.untaught = t
	}
	m.enter(s, k)
	if !math.IsNaN(v) && math.Abs(v) > m.zero {
		return m.reported(s, k, v)
	}
	return m.silence(s, k, v)
}

func hourNumber(t int64) int64 {
	n := t / hourMs
	if t < n*hourMs {
		n--
	}
	return n
}

// place is where the habit of an hour stands: the kind of its day, and the hour of the day.
func place(hour int64) (kind, of int64) {
	day := hour / 24
	if hour < day*24 {
		day--
	}
	if weekday := ((day+3)%7 + 7) % 7; weekday >= 5 { // 1970 began on a Thursday; 0 is Monday
		kind = 1
	}
	return kind, hour - day*24
}

func (s *silenceState) habitOf(hour int64) *habit {
	kind, of := place(hour)
	return &s.hours[kind][of]
}

// expected is the share of the samples that should report something in an hour.
func (s *silenceState) expected(hour int64) float64 {
	prior := 0.0
	if s.overall.total > 0 {
		prior = float64(s.overall.active) / float64(s.overall.total)
	}
	kind, of := place(hour)
	if s.hours[kind][of].total == 0 { // as on the other kind of day
		kind = 1 - kind
	}
	h := &s.hours[kind][of]
	return (float64(h.active) + habitPrior*prior) / (float64(h.total) + habitPrior)
}

// enter learns the reports of the hour that has ended.
func (m *silenceModel) enter(s *silenceState, k tick) {
	n := hourNumber(k.t)
	if n == s.hour {
		return
	}
	if s.running.total > 0 {
		s.habitOf(s.hour).learn(m.alpha, s.running)
		s.running = habit{}
	}
	s.hour = n
}

func (h *habit) learn(alpha float64, by habit) {
	keep := float32(1 - alpha)
	h.active, h.total = h.active*keep+by.active, h.total*keep+by.total
}

// reported takes a sample that ends a silence, if there was one.
func (m *silenceModel) reported(s *silenceState, k tick, v float64) Verdict {
	out := s.unjudged(v)
	lnDistance, slow := math.Log(k.dt), gain(k.dt, spacingMemory)
	ended := 0.0
	if s.silent {
		ended = s.missed
		m.teach(s, k.t-int64(1000*k.dt))
		s.silent, s.rare, s.missed = false, false, 0
	}
	if s.reports >= warmUp {
		terms := m.scoring.terms(s.clock.span())
		if terms.short {
			out.Doubts |= DoubtShortHistory
		}
		out.Expected = s.level.mean
		out.Up = v > out.Expected
		out.Score = terms.score(s.episodes.weeks(0) - s.episodes.crowding(lnDistance))
	}
	if s.held {
		return out
	}
	if s.reports >= warmUp {
		s.episodes.learn(ended, k, lnDistance, slow)
	}
	if finite(v) && math.Abs(v-s.level.mean) <= maxMagnitude && math.Abs(v) <= maxMagnitude {
		s.level.learn(v-s.level.mean, gain(k.dt, silenceLevel))
	}
	dt := float32(k.dt)
	s.running.active, s.running.total = s.running.active+dt, s.running.total+dt
	s.overall.learn(gain(k.dt, habitMemory), habit{dt, dt})
	if s.reports < math.MaxUint32 {
		s.reports++
	}
	return out
}

// silence takes a silent sample.
func (m *silenceModel) silence(s *silenceState, k tick, v float64) Verdict {
	steps := k.dt / k.usual
	if k.gap {
		steps = 1
	}
	if !s.silent {
		s.silent, s.from, s.untaught = true, k.t, k.t-int64(1000*steps*k.usual)
	}
	if s.held {
		s.untaught = k.t
	}
	s.missed = min(maxPeak, s.missed+s.expected(s.hour)*steps)
	out := s.unjudged(v)
	if s.reports < warmUp {
		return out
	}
	out.Expected = s.level.mean
	terms := m.scoring.terms(s.clock.span())
	if terms.short {
		out.Doubts |= DoubtShortHistory
	}
	lnDistance := math.Log(k.dt)
	out.Score = terms.score(s.episodes.weeks(s.missed) - s.episodes.crowding(lnDistance))
	if out.Score >= 1 {
		s.rare = true
		out.Onset, out.Kind = s.from, KindSilence
		out.Silence = SilenceZero
		if math.IsNaN(v) {
			out.Silence = SilenceMissing
		}
	}
	if !s.held {
		s.episodes.learn(0, k, lnDistance, gain(k.dt, spacingMemory))
	}
	return out
}

// teach learns the silence up to a time, hour by hour. A silence that was rare
// teaches little, unless such silences have become the habit.
func (m *silenceModel) teach(s *silenceState, to int64) {
	from := s.untaught
	s.untaught = to
	if s.held || to <= from {
		return
	}
	w := 1.0
	if s.rare && s.episodes.seen(s.missed) < habitual {
		w = maskedWeight
	}
	weight := float32(w)
	s.overall.learn(w*gain(float64(to-from)/1000, habitMemory), habit{0, weight * float32(to-from) / 1000})
	last := hourNumber(to)
	for hour := max(hourNumber(from), last-mostHours); hour <= last; hour++ {
		begin, end := max(from, hour*hourMs), min(to, (hour+1)*hourMs)
		silent := weight * float32(end-begin) / 1000
		switch h := s.habitOf(hour); {
		case hour == s.hour:
			s.running.total += silent
		case end-begin == hourMs:
			h.learn(w*m.alpha, habit{0, silent})
		default: // what was reported in this hour is learnt already
			h.total += silent
		}
	}
}

// unjudged is the verdict on a sample that cannot be judged.
func (s *silenceState) unjudged(v float64) Verdict {
	nan := math.NaN()
	return Verdict{
		Value: v, Expected: nan, Lower: nan, Upper: nan, Score: nan,
		Learnt: s.reports, Doubts: s.clock.doubts(s.reports, s.held),
	}
}

// Hold withholds the learning of silences and reports. A running silence is
// not learnt in any case before it ends.
func (m *silenceModel) Hold(s *silenceState, since int64) {
	if s.held {
		return
	}
	s.held = true
	if s.hour*hourMs >= since {
		s.running = habit{}
	}
}

// Release ends a hold. With accept a silence that lasts is the habit from now on.
func (m *silenceModel) Release(s *silenceState, accept bool) {
	if !s.held {
		return
	}
	s.held = false
	if !accept || !s.silent {
		return
	}
	for kind := range s.hours {
		for i := range s.hours[kind] {
			s.hours[kind][i].active = 0
		}
	}
	s.overall.active, s.running.active, s.missed, s.rare = 0, 0, 0, false
	s.from, s.untaught = s.clock.last, s.clock.last
}

// Check implements [Checker].
func (m *silenceModel) Check(s *silenceState) error {
	in := func(t int64) bool { return t >= -maxTime && t <= maxTime+1 }
	good := s.clock.valid() && in(s.from) && in(s.untaught) && in(s.hour) && s.level.valid()
	good = good && s.missed >= 0 && s.missed <= maxPeak && (s.clock.samples == 0 || s.episodes.valid())
	fine := func(h habit) bool {
		return h.active >= 0 && h.total >= 0 && h.total <= 1e30 && h.active <= h.total*1.001+1
	}
	good = good && fine(s.overall) && fine(s.running)
	for _, day := range s.hours {
		for _, h := range day {
			good = good && fine(h)
		}
	}
	if !good {
		return errors.New("its numbers are out of range")
	}
	return nil
}
