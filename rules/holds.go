package rules

import "time"

// Hold asks that a series of a detection rule shall not learn.
type Hold struct {
	Rule   string    // name of the detection rule
	Series string    // the reading's key
	Since  time.Time // what was learnt since then is forgotten, as far as the detector can
	Accept bool      // when the hold ends, take the present level as the normal one
	Until  time.Time // the hold ends by itself then; zero: never
}

// holdSet is a set of holds. It is not changed once it is made.
type holdSet struct {
	byRule map[string]map[string]Hold // by rule and key of the series
	ends   bool                       // some of them end by themselves
}

// Hold sets the holds in force: all of them, each time. A series that is no
// longer among them is released, with Accept as its hold said last. Rules take
// the set up at the start of their group's next evaluation, all of it or none.
func (m *Manager) Hold(holds []Hold) {
	set := holdSet{byRule: map[string]map[string]Hold{}}
	for _, h := range holds {
		if set.byRule[h.Rule] == nil {
			set.byRule[h.Rule] = map[string]Hold{}
		}
		set.byRule[h.Rule][h.Series] = h
		set.ends = set.ends || !h.Until.IsZero()
	}
	m.holds.Store(&set)
}

// of returns the holds of a rule that are in force at the time.
func (set *holdSet) of(rule string, at time.Time) map[string]Hold {
	all := set.byRule[rule]
	if !set.ends {
		return all
	}
	for _, h := range all {
		if h.ended(at) {
			live := make(map[string]Hold, len(all))
			for key, h := range all {
				if !h.ended(at) {
					live[key] = h
				}
			}
			return live
		}
	}
	return all
}

func (h Hold) ended(at time.Time) bool { return !h.Until.IsZero() && !at.Before(h.Until) }

// applyHolds brings the states in line with the holds in force.
func (d *Detection) applyHolds() (err error) {
	var now *series
	defer d.recovered(&now, &err)
	st := d.states
	if d.held == d.applied && d.held != nil && !d.held.ends {
		return nil
	}
	if len(d.holds) == 0 && st.heldCount == 0 {
		d.applied = d.held
		return nil
	}
	for _, s := range st.sorted {
		now = s
		h, want := d.holds[s.key]
		switch {
		case want:
			st.hold(s, h)
		case s.held:
			st.release(s)
		}
	}
	d.applied = d.held
	return nil
}

func (st *states) hold(s *series, h Hold) {
	s.accept = h.Accept
	if s.held {
		return
	}
	st.bank.Hold(s.ref, h.Since.UnixMilli())
	s.held = true
	st.heldCount++
}

func (st *states) release(s *series) {
	st.bank.Release(s.ref, s.accept)
	s.held = false
	st.heldCount--
}
