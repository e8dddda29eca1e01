package incident

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/foreshock/foreshock/internal/change"
	"github.com/foreshock/foreshock/internal/topology"
)

// Mode says what may be sent at all.
type Mode string

const (
	ModeShadow Mode = "shadow" // decide as in page mode; the caller sends nothing
	ModeTicket Mode = "ticket" // tickets only
	ModePage   Mode = "page"
)

// Options of a correlator. All durations must be more than zero, except Wait.
type Options struct {
	Mode     Mode
	Interval time.Duration // distance of two steps; onsets nearer than two of them count as equal
	Settle   time.Duration // how long the first notification waits for the cause to become stable
	Hold     time.Duration // how long after the last evidence an incident is over
	Wait     time.Duration // further wait before opening: a replica's position × 15 s
	// FalsePages and FalseTickets bound how often nobody should have been told,
	// where at least seven days were watched. What the team's own alerts say is
	// not counted.
	FalsePages, FalseTickets Rate
	// ChangeWindow is how long before the first departure a change may lie to
	// be looked at; 0 means 30 minutes.
	ChangeWindow time.Duration
	// MaxOpen bounds the incidents in memory, open and forming; 0 means 1,000.
	MaxOpen int
	// Rank orders the services of an incident; nil means [BlameFlow].
	Rank Ranker
	// Labels makes the identity labels of a service.
	Labels func(topology.Service) map[string]string
}

// longest is how long one incident may last, after law 3: then the present
// level is taken as the new one.
const longest = 24 * time.Hour

// Correlator keeps what was observed and the incidents made of it. It is not
// safe for concurrent use.
type Correlator struct {
	o       Options
	tracks  tracks
	alerts  map[string]Alert // firing now, by [Alert.Key]
	open    []*thread        // forming and open, oldest first
	changes []change.Change
	refused int

	began          time.Time // the first step
	pages, tickets budget
}

// thread is an incident with what is needed to carry it on.
type thread struct {
	Incident
	keys     map[seriesKey]bool // series that are or were part of it
	alerts   map[string]Alert   // alerts that are or were part of it
	services map[topology.Service]bool
	peaks    map[Severity]float64 // largest score while it asked for that
	merged   bool                 // into another one
	wants    Severity             // what the evidence asks for now
	asked    time.Time            // when the evidence last asked for what was sent
	since    time.Time            // since when it has asked for at least a ticket
	sincePg  time.Time            // since when it has asked for a page
}

// New makes a correlator.
func New(o Options) (*Correlator, error) {
	switch o.Mode {
	case ModeShadow, ModeTicket, ModePage:
	default:
		return nil, fmt.Errorf("incidents: mode %q: want shadow, ticket or page", o.Mode)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"interval", o.Interval}, {"settle", o.Settle}, {"hold", o.Hold}} {
		if d.d <= 0 {
			return nil, fmt.Errorf("incidents: %s is %s: it must be more than zero", d.name, d.d)
		}
	}
	if o.ChangeWindow == 0 {
		o.ChangeWindow = 30 * time.Minute
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = 1000
	}
	if o.Rank == nil {
		o.Rank = BlameFlow
	}
	if o.Labels == nil {
		o.Labels = func(s topology.Service) map[string]string { return map[string]string{"service": string(s)} }
	}
	return &Correlator{
		o: o, tracks: newTracks(), alerts: map[string]Alert{},
		pages: budget{rate: o.FalsePages, base: 1}, tickets: budget{rate: o.FalseTickets, base: ticketScore},
	}, nil
}

// Refused returns how many incidents were not formed because MaxOpen was reached.
func (c *Correlator) Refused() int { return c.refused }

// Opening reports whether the next step may open an incident, so that the
// caller can first ask what other replicas have open.
func (c *Correlator) Opening(now time.Time) bool {
	for _, t := range c.open {
		if t.State == Forming && t.wants != None && now.Add(c.o.Interval).Sub(t.since) >= c.o.Settle+c.o.Wait {
			return true
		}
	}
	return false
}

// Step takes in what was observed by now and returns what follows. Calls must
// have ascending times.
func (c *Correlator) Step(now time.Time, in Input) Output {
	if c.began.IsZero() {
		c.began = now
	}
	c.observe(now, in)
	c.gather(now, in.Graph)
	var out Output
	kept := c.open[:0]
	for _, t := range c.open {
		c.judge(now, t, in)
		if t.State == Forming && t.Last.Add(c.o.Hold).Before(now) {
			c.spend(now, t)
			c.drop(t) // never asked for anything that could be sent
			continue
		}
		c.resolve(now, t, in)
		if t.State != Resolved {
			kept = append(kept, t)
		} else {
			c.spend(now, t)
			out.Holds = append(out.Holds, c.releases(t)...)
			c.drop(t)
		}
		out.Incidents = append(out.Incidents, t.snapshot())
	}
	clear(c.open[len(kept):])
	c.open = kept
	out.Holds = append(out.Holds, c.holds()...)
	return out
}

// observe takes in readings, alerts and changes.
func (c *Correlator) observe(now time.Time, in Input) {
	c.tracks.observe(in.Readings)
	c.tracks.sweep(now, longest)
	clear(c.alerts)
	for _, a := range in.Alerts {
		c.alerts[a.Key()] = a
	}
	for _, ch := range in.Changes {
		at := func(o change.Change) bool { return o.ID == ch.ID }
		if !slices.ContainsFunc(c.changes, at) {
			c.changes = append(c.changes, ch)
		}
	}
	slices.SortFunc(c.changes, func(a, b change.Change) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	c.changes = slices.DeleteFunc(c.changes, func(ch change.Change) bool {
		return now.Sub(ch.Time) > longest+c.o.ChangeWindow
	})
}

// gather assigns running anomalies and firing alerts to incidents: services
// with evidence, and those of open incidents, that are connected belong together.
func (c *Correlator) gather(now time.Time, g *topology.Graph) {
	active := map[topology.Service]bool{}
	bySvc := map[topology.Service][]*track{}
	for _, t := range c.tracks.running() {
		active[t.last.Service] = true
		bySvc[t.last.Service] = append(bySvc[t.last.Service], t)
	}
	alertsOf := map[topology.Service][]Alert{}
	for _, a := range c.alerts {
		active[a.Service] = true
		alertsOf[a.Service] = append(alertsOf[a.Service], a)
	}
	for _, t := range c.open {
		for s := range t.services {
			active[s] = true
		}
	}
	for _, group := range g.Components(slices.Sorted(maps.Keys(active))) {
		t := c.threadOf(now, group)
		for _, s := range group {
			for _, tr := range bySvc[s] {
				t = c.ensure(t, tr.anomaly.Onset)
				if t == nil {
					break
				}
				t.join(tr)
				if c.replaced(now, tr) {
					tr.anomaly.End = tr.last.Time
					continue
				}
				// It runs until a reading says otherwise: missing data resolve nothing.
				t.Last = now
			}
			for _, a := range alertsOf[s] {
				t = c.ensure(t, a.Since)
				if t == nil {
					break
				}
				t.alerts[a.Key()] = a
				t.services[a.Service] = true
				t.Last = now
			}
		}
	}
	slices.SortFunc(c.open, func(a, b *thread) int {
		return cmp.Or(a.Onset.Compare(b.Onset), cmp.Compare(a.ID, b.ID))
	})
}

// replaced reports whether a silent series is one of several that the rule has
// for the service, and another one reports that all is well: then a member of
// the group is gone (a pod of the rolled back version), not its data.
func (c *Correlator) replaced(now time.Time, silent *track) bool {
	if now.Sub(silent.last.Time) <= c.o.Hold {
		return false
	}
	for _, t := range c.tracks.byService[silent.last.Service] {
		if t.key.rule == silent.key.rule &&
			t.last.Time.After(silent.last.Time.Add(c.o.Hold)) && !t.running() {
			return true
		}
	}
	return false
}

// threadOf returns the incident that the group of services belongs to, or nil.
// Where the group connects several, they become one: the one that was sent
// first, or else the oldest, goes on.
func (c *Correlator) threadOf(now time.Time, group []topology.Service) *thread {
	var found []*thread
	for _, t := range c.open {
		if t.State == Resolved {
			continue
		}
		if slices.ContainsFunc(group, func(s topology.Service) bool { return t.services[s] }) {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortStableFunc(found, func(a, b *thread) int {
		if sa, sb := len(a.Sent) > 0, len(b.Sent) > 0; sa != sb {
			if sa {
				return -1
			}
			return 1
		}
		return cmp.Or(a.Opened.Compare(b.Opened), a.Onset.Compare(b.Onset), cmp.Compare(a.ID, b.ID))
	})
	first := found[0]
	for _, t := range found[1:] {
		first.absorb(t)
		first.note(now, "joined by incident "+t.ID+": they turned out to be one")
		t.end(now, "merged into "+first.ID)
		t.merged = true
		if len(t.Sent) == 0 {
			c.open = slices.DeleteFunc(c.open, func(o *thread) bool { return o == t })
		}
	}
	return first
}

// ensure makes a new incident where there is none; nil when there are too many.
func (c *Correlator) ensure(t *thread, onset time.Time) *thread {
	if t != nil {
		return t
	}
	if len(c.open) >= c.o.MaxOpen {
		c.refused++
		return nil
	}
	t = &thread{
		Incident: Incident{State: Forming, Onset: onset},
		keys:     map[seriesKey]bool{}, alerts: map[string]Alert{}, services: map[topology.Service]bool{},
		peaks: map[Severity]float64{},
	}
	c.open = append(c.open, t)
	return t
}

func (t *thread) join(tr *track) {
	t.keys[tr.key] = true
	t.services[tr.last.Service] = true
}

func (t *thread) absorb(o *thread) {
	maps.Copy(t.keys, o.keys)
	maps.Copy(t.alerts, o.alerts)
	maps.Copy(t.services, o.services)
	for severity, score := range o.peaks {
		t.peaks[severity] = max(t.peaks[severity], score)
	}
	t.Last, t.asked = later(t.Last, o.Last), later(t.asked, o.asked)
}

func (t *thread) end(now time.Time, why string) {
	t.State, t.Resolved, t.Why = Resolved, now, why
	t.note(now, "resolved: "+why)
}

// resolve ends an incident that is over: quiet for the hold, closed by an
// operator, or lasting so long that its level is the new one.
func (c *Correlator) resolve(now time.Time, t *thread, in Input) {
	if t.State != Open {
		return
	}
	for _, a := range in.Acts {
		if a.Incident != t.ID {
			continue
		}
		switch a.Kind {
		case "accept":
			t.end(now, WhyNewLevel)
		case "false":
			t.end(now, WhyFalse)
		case "close":
			t.end(now, WhyClosed)
		}
		return
	}
	switch {
	case now.Sub(t.Opened) >= longest:
		t.end(now, WhyNewLevel)
	case now.Sub(t.asked) >= c.o.Hold:
		t.end(now, WhyQuiet)
	}
}

// Reasons why an incident was resolved.
const (
	WhyQuiet    = "quiet"
	WhyNewLevel = "new level"
	WhyFalse    = "marked as false"
	WhyClosed   = "closed by an operator"
)

// spend counts what an incident that ended asked for.
func (c *Correlator) spend(now time.Time, t *thread) {
	if t.merged {
		return
	}
	c.pages.add(now, t.peaks[Page])
	c.tickets.add(now, max(t.peaks[Ticket], t.peaks[Page]))
}

// drop forgets the anomalies of an incident that ended. One that still runs
// (new level, closed, hurting nobody any more) was accepted. Those of an
// incident that became part of another one live on in it.
func (c *Correlator) drop(t *thread) {
	if t.merged {
		return
	}
	for k := range t.keys {
		tr := c.tracks.get(k)
		if tr == nil {
			continue
		}
		if tr.running() && t.State == Resolved {
			tr.accepted = t.Resolved
		}
		tr.anomaly = nil
	}
}

// holds asks that no series of a service in a sent incident learns.
func (c *Correlator) holds() []Hold {
	since := map[topology.Service]time.Time{}
	for _, t := range c.open {
		if t.State != Open {
			continue
		}
		for s := range t.services {
			if o, ok := since[s]; !ok || t.Onset.Before(o) {
				since[s] = t.Onset
			}
		}
	}
	if len(since) == 0 {
		return nil
	}
	var out []Hold
	for _, s := range slices.Sorted(maps.Keys(since)) {
		for _, tr := range c.tracks.byService[s] {
			out = append(out, Hold{Rule: tr.key.rule, Series: tr.key.series, Since: since[s]})
		}
	}
	return out
}

// releases ends the holds of a resolved incident. Where the level was accepted
// they say so. After a quiet end they do for what still departs: nobody suffers
// from it any more, so it is the new level and not the next incident.
func (c *Correlator) releases(t *thread) []Hold {
	accepted := t.Why == WhyNewLevel || t.Why == WhyFalse
	if !accepted && t.Why != WhyQuiet {
		return nil
	}
	var out []Hold
	for _, k := range slices.SortedFunc(maps.Keys(t.keys), func(a, b seriesKey) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.series, b.series))
	}) {
		if tr := c.tracks.get(k); accepted || tr != nil && tr.running() {
			out = append(out, Hold{Rule: k.rule, Series: k.series, Accept: true})
		}
	}
	return out
}

// identify names a new incident by what it is made of, so that the same input
// gives the same name.
func identify(onset time.Time, s topology.Service) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", onset.UnixMilli(), s)
	return "fs-" + strconv.FormatUint(h.Sum64(), 36)
}

// Key names the alert by all its labels.
func (a Alert) Key() string {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		fmt.Fprintf(h, "%q=%q,", k, a.Labels[k])
	}
	return fmt.Sprintf("%s/%s/%016x", a.Name, a.Service, h.Sum64())
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
