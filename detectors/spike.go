package detectors

import (
	"errors"
	"time"
)

// Spike finds short departures of one series from its usual course.
var Spike = Define("spike", `Short departures from the usual course of the day.

The expected value is a daily profile plus a level of about an hour. Residuals
are standardised by a robust scale, and the peaks of their declustered
exceedances are calibrated into how often such a departure begins. A sustained
change is forgotten as the level follows it, unless learning is withheld: use
level_shift beside it.`,
	func() *SpikeOptions {
		return &SpikeOptions{
			Slots: 96, ProfileAlpha: 0.2, Timezone: utc, Weekend: usualWeekend(), Level: 15 * time.Minute, Scale: week, Transform: TransformNone,
		}
	}, newSpike)

// SpikeOptions are the options of [Spike].
type SpikeOptions struct {
	// Slots of the daily profile, 24 to 96; fewer are used where a slot would have fewer than two samples.
	Slots int `yaml:"slots"`
	// ProfileAlpha is the share that each day has in the profile, above 0 to 1.
	ProfileAlpha float64 `yaml:"profile_alpha"`
	// Timezone is the IANA name of the zone whose days the profile has, such as Europe/Berlin.
	Timezone string `yaml:"timezone"`
	// Weekend names the days that may differ from the others, such as saturday; without any all days are alike.
	Weekend []string `yaml:"weekend"`
	// Level is the time constant of the level.
	Level time.Duration `yaml:"level"`
	// Scale is the time constant of the scale.
	Scale time.Duration `yaml:"scale"`
	// Transform is none or log.
	Transform string `yaml:"transform"`
}

// Validate implements [Options].
func (o *SpikeOptions) Validate() error {
	return errors.Join(
		validSlots(o.Slots), validAlpha(o.ProfileAlpha), validTimezone(o.Timezone), validWeekend(o.Weekend),
		validTau("level", o.Level), validTau("scale", o.Scale), validTransform(o.Transform),
	)
}

func newSpike(o *SpikeOptions, c Conditions) (Model[residualState], error) {
	calendar, err := newCalendar(o.Slots, o.ProfileAlpha, c.Step).in(o.Timezone, o.Weekend)
	if err != nil {
		return nil, err
	}
	return &residualModel{
		calendar:  calendar,
		scoring:   newScoring(c.Budget),
		transform: newTransform(o.Transform),
		step:      c.Step.Seconds(),
		kind:      KindSpike,
		level:     o.Level.Seconds(),
		scale:     o.Scale.Seconds(),
		newest:    spikeNewestSeconds,
		fastShare: fastShare,
	}, nil
}

// spikeNewestSeconds is the time constant of the newest level, which an
// accepted change takes over.
const spikeNewestSeconds = 300.0
