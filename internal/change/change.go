// Package change keeps what was changed when: deploys found in version labels,
// and changes that were posted or read from a file.
package change

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/foreshock/foreshock/internal/topology"
)

// Change is something that was changed at a time, on a service.
type Change struct {
	ID      string           `json:"id"`
	Time    time.Time        `json:"time"`
	Service topology.Service `json:"service"`
	Kind    string           `json:"kind"` // deploy, flag, config, scaling, …
	From    string           `json:"from,omitempty"`
	To      string           `json:"to,omitempty"`
	Title   string           `json:"title,omitempty"`
	// Until is when announced maintenance ends; zero for what was done at once.
	Until time.Time `json:"until,omitzero"`
}

// DefaultKind is the kind of a change that says none.
const DefaultKind = "deploy"

// Bounds of the texts of a change, in bytes.
const (
	maxName  = 256 // id, kind, from, to
	maxTitle = 2048
)

// complete returns the change with its defaults filled in and its time in UTC,
// or says what is wrong with it.
func (c Change) complete() (Change, error) {
	switch {
	case c.Time.IsZero():
		return c, errors.New("the change has no time")
	case c.Time.Year() < 1970 || c.Time.Year() > 9998:
		return c, fmt.Errorf("the time %s is not between the years 1970 and 9998", c.Time.Format(time.RFC3339))
	case c.Service == "":
		return c, errors.New("the change has no service")
	}
	for _, f := range []struct {
		name, text string
		most       int
	}{
		{"id", c.ID, maxName}, {"kind", c.Kind, maxName}, {"from", c.From, maxName}, {"to", c.To, maxName},
		{"title", c.Title, maxTitle}, {"service", string(c.Service), maxTitle},
	} {
		if len(f.text) > f.most {
			return c, fmt.Errorf("%s is longer than %d bytes (%d)", f.name, f.most, len(f.text))
		}
		if !utf8.ValidString(f.text) {
			return c, fmt.Errorf("%s is not valid UTF-8", f.name)
		}
	}
	if err := c.completeUntil(); err != nil {
		return c, err
	}
	if c.Kind == "" {
		c.Kind = DefaultKind
	}
	c.Time = c.Time.Round(0).UTC()
	if c.ID == "" {
		c.ID = c.hash()
	}
	return c, nil
}

// completeUntil checks the end of a change: only maintenance has one.
func (c *Change) completeUntil() error {
	if c.Until.IsZero() {
		return nil
	}
	if c.Kind == "" {
		c.Kind = Maintenance
	}
	switch {
	case c.Kind != Maintenance:
		return fmt.Errorf("until: a change of kind %q is done at once: only %s lasts until a time", c.Kind, Maintenance)
	case !c.Until.After(c.Time):
		return fmt.Errorf("until: the maintenance ends (%s) before it begins (%s)", c.Until.Format(time.RFC3339), c.Time.Format(time.RFC3339))
	case c.Until.Sub(c.Time) > MaxAge:
		return fmt.Errorf("until: the maintenance lasts longer than %d days", MaxAge/(24*time.Hour))
	}
	c.Until = c.Until.Round(0).UTC()
	return nil
}

// Before is how long before a time the change was last at work: for
// maintenance from its end on, and not at all while it lasts.
func (c Change) Before(at time.Time) time.Duration {
	switch {
	case c.Until.IsZero() || at.Before(c.Time):
		return at.Sub(c.Time)
	case at.Before(c.Until):
		return 0
	}
	return at.Sub(c.Until)
}

// hash is a name made of the change's content: 16 hexadecimal digits, the same
// for the same content.
func (c Change) hash() string {
	h := sha256.New()
	for _, s := range []string{c.Time.UTC().Format(time.RFC3339Nano), string(c.Service), c.Kind, c.From, c.To, c.Title} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	if !c.Until.IsZero() {
		h.Write([]byte(c.Until.UTC().Format(time.RFC3339Nano)))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func compare(a, b Change) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
}
