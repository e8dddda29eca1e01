package detectors

import (
	"errors"
	"time"
)

// LevelShift finds sustained changes of one series.
var LevelShift = Define("level_shift", `Sustained changes: steps, drops, ramps, flat lines.

The mean of the last half hour, freed of the daily profile, is compared with
the level of the last day, by a scale of a week and a calibration of its own.
It is slower than spike, and keeps seeing what spike forgets.`,
	func() *LevelShiftOptions {
		return &LevelShiftOptions{
			Slots: 96, ProfileAlpha: 0.2, Timezone: utc, Weekend: usualWeekend(), Window: 30 * time.Minute, Level: day, Scale: week, Transform: TransformNone,
		}
	}, newLevelShift)

// LevelShiftOptions are the options of [LevelShift].
type LevelShiftOptions struct {
	// Slots of the daily profile, 24 to 96; fewer are used where a slot would have fewer than two samples.
	Slots int `yaml:"slots"`
	// ProfileAlpha is the share that each day has in the profile, above 0 to 1.
	ProfileAlpha float64 `yaml:"profile_alpha"`
	// Timezone is the IANA name of the zone whose days the profile has, such as Europe/Berlin.
	Timezone string `yaml:"timezone"`
	// Weekend names the days that may differ from the others, such as saturday; without any all days are alike.
	Weekend []string `yaml:"weekend"`
	// Window is the time constant of the mean that is judged, shorter than Level.
	Window time.Duration `yaml:"window"`
	// Level is the time constant of the normal level.
	Level time.Duration `yaml:"level"`
	// Scale is the time constant of the scale.
	Scale time.Duration `yaml:"scale"`
	// Transform is none or log.
	Transform string `yaml:"transform"`
}

// Validate implements [Options].
func (o *LevelShiftOptions) Validate() error {
	err := errors.Join(
		validSlots(o.Slots), validAlpha(o.ProfileAlpha), validTimezone(o.Timezone), validWeekend(o.Weekend), validTau("window", o.Window),
		validTau("level", o.Level), validTau("scale", o.Scale), validTransform(o.Transform),
	)
	if err == nil && o.Window >= o.Level {
		return errors.New("window must be shorter than level")
	}
	return err
}

func newLevelShift(o *LevelShiftOptions, c Conditions) (Model[residualState], error) {
	calendar, err := newCalendar(o.Slots, o.ProfileAlpha, c.Step).in(o.Timezone, o.Weekend)
	if err != nil {
		return nil, err
	}
	return &residualModel{
		calendar:  calendar,
		scoring:   newScoring(c.Budget),
		transform: newTransform(o.Transform),
		step:      c.Step.Seconds(),
		kind:      KindShift,
		level:     o.Level.Seconds(),
		scale:     o.Scale.Seconds(),
		newest:    o.Window.Seconds(),
		smooth:    true,
	}, nil
}
