package incident

import (
	"encoding/json"
	"math"
	"time"
)

// JSON has no NaN and no infinities; unknown numbers are null there.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func fromNumber(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}

type plainAnomaly Anomaly

type anomalyJSON struct {
	plainAnomaly
	Value    *float64 `json:"value"`
	Expected *float64 `json:"expected"`
	Score    *float64 `json:"score"`
}

// MarshalJSON writes unknown numbers as null.
func (a Anomaly) MarshalJSON() ([]byte, error) {
	return json.Marshal(anomalyJSON{plainAnomaly(a), number(a.Value), number(a.Expected), number(a.Score)})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (a *Anomaly) UnmarshalJSON(b []byte) error {
	var j anomalyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*a = Anomaly(j.plainAnomaly)
	a.Value, a.Expected, a.Score = fromNumber(j.Value), fromNumber(j.Expected), fromNumber(j.Score)
	return nil
}

type pointJSON struct {
	Time     time.Time `json:"time"`
	Value    *float64  `json:"value"`
	Expected *float64  `json:"expected"`
	Lower    *float64  `json:"lower"`
	Upper    *float64  `json:"upper"`
	Score    *float64  `json:"score"`
}

// MarshalJSON writes unknown numbers as null.
func (p Point) MarshalJSON() ([]byte, error) {
	return json.Marshal(pointJSON{
		p.Time, number(p.Value), number(p.Expected), number(p.Lower), number(p.Upper), number(p.Score),
	})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (p *Point) UnmarshalJSON(b []byte) error {
	var j pointJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = Point{
		j.Time, fromNumber(j.Value), fromNumber(j.Expected),
		fromNumber(j.Lower), fromNumber(j.Upper), fromNumber(j.Score),
	}
	return nil
}

type plainEffect Effect

type effectJSON struct {
	plainEffect
	Offset float64 `json:"offset_seconds"`
}

// MarshalJSON writes the offset in seconds.
func (e Effect) MarshalJSON() ([]byte, error) {
	return json.Marshal(effectJSON{plainEffect(e), e.Offset.Seconds()})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (e *Effect) UnmarshalJSON(b []byte) error {
	var j effectJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*e = Effect(j.plainEffect)
	e.Offset = time.Duration(j.Offset * float64(time.Second))
	return nil
}
