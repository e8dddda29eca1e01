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
	// Rollout is how long after a change that is rolled out its service may be
	// less busy, or slower where no people wait, without anybody being told; 0 means 5 minutes.
	Rollout time.Duration
	// Command makes the command that undoes a change, "" where there is none.
	Command func(change.Change) string
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

	changesOf   map[topology.Service][]change.Change // changes, by service
	maintenance []Maintenance

	// heard are alerts that went on when their incident was ended by hand or
	// by age: they say nothing new until they stop.
	heard map[string]bool
	used  map[string]time.Time // names of incidents that ended, and when
	ended []relapse

	pace           pace
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
	since    time.Time            // since when it has asked for at least a ticket, but for short gaps
	wanted   time.Time            // when it last did
	times    int                  // steps at which it did, since then
	focus    time.Time            // what departed before is not what the page is about; zero: all is
	hold     time.Duration
	apart    time.Time // since when its parts are not connected
	told     told
	sincePg  time.Time  // since when it has asked for a page
	order    []*Anomaly // of its series, see [Correlator.ordered]; nil: to be made anew
	tracks   []*track   // the same
	gathered *gathered  // the evidence that was collected last in this step
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
	if o.Rollout == 0 {
		o.Rollout = 5 * time.Minute
	}
	if o.Command == nil {
		o.Command = func(change.Change) string { return "" }
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
		o: o, tracks: newTracks(), alerts: map[string]Alert{}, heard: map[string]bool{}, used: map[string]time.Time{},
		pages: budget{rate: o.FalsePages, base: ticketScore}, tickets: budget{rate: o.FalseTickets, base: ticketScore},
	}, nil
}

// Refused returns how many incidents were not formed because MaxOpen was reached.
func (c *Correlator) Refused() int { return c.refused }

// Services returns those that have readings, sorted.
func (c *Correlator) Services() []topology.Service { return c.tracks.services() }

// Opening reports whether the next step may open an incident, so that the
// caller can first ask what other replicas have open. It is given the alerts of
// that step, which may confirm what waits already.
func (c *Correlator) Opening(now time.Time, alerts []Alert) bool {
	return slices.ContainsFunc(c.open, func(t *thread) bool {
		if t.State != Forming {
			return false
		}
		return t.wants != None && now.Add(c.o.Interval).Sub(t.since) >= c.o.Settle+c.o.Wait ||
			slices.ContainsFunc(alerts, func(a Alert) bool { return a.harmful() && t.services[a.Service] })
	})
}

// Step takes in what was observed by now and returns what follows. Calls have
// ascending times but for jumps of the clock, which end nothing.
func (c *Correlator) Step(now time.Time, in Input) Output {
	if c.began.IsZero() {
		c.began = now
	}
	c.jumped(now, c.pace.step(now))
	swept := c.tracks.swept
	c.observe(now, in)
	for _, t := range c.open {
		t.changed(swept != c.tracks.swept)
	}
	c.gather(now, in.Graph)
	c.split(now, in.Graph)
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
	out.Holds = append(out.Holds, c.holds(now)...)
	return out
}

// observe takes in readings, alerts and changes.
func (c *Correlator) observe(now time.Time, in Input) {
	c.tracks.observe(in.Readings)
	c.tracks.sweep(now, longest)
	clear(c.alerts)
	still := map[string]bool{}
	for _, a := range in.Alerts {
		if a.informs() {
			continue
		}
		k := a.Key()
		if c.heard[k] {
			still[k] = true
			continue
		}
		c.alerts[k] = a
	}
	c.heard = still
	c.changed(now, in.Changes)
	c.announced(now, in.Maintenance)
}

// changed takes in changes and keeps those of the last day.
func (c *Correlator) changed(now time.Time, list []change.Change) {
	known := make(map[string]int, len(c.changes))
	for i, ch := range c.changes {
		known[ch.ID] = i
	}
	for _, ch := range list {
		if i, ok := known[ch.ID]; ok {
			c.changes[i].Until = ch.Until // it may be moved
			continue
		}
		known[ch.ID] = len(c.changes)
		c.changes = append(c.changes, ch)
	}
	slices.SortFunc(c.changes, func(a, b change.Change) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	c.changes = slices.DeleteFunc(c.changes, func(ch change.Change) bool {
		return ch.Before(now) > longest+c.o.ChangeWindow
	})
	c.changesOf = map[topology.Service][]change.Change{}
	for _, ch := range c.changes {
		c.changesOf[ch.Service] = append(c.changesOf[ch.Service], ch)
	}
}

// gather assigns running anomalies and firing alerts to incidents: services
// with evidence, and those of open incidents, that are connected belong together.
func (c *Correlator) gather(now time.Time, g *topology.Graph) {
	active := map[topology.Service]bool{}
	for t := range c.tracks.departing {
		if !t.running() {
			continue
		}
		active[t.last.Service] = true
		if t.last.Caller != "" {
			active[t.last.Caller] = true
		}
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
	for _, group := range g.Components(slices.Collect(maps.Keys(active))) {
		t := c.threadOf(now, group)
		for _, s := range group {
			for _, tr := range c.tracks.byService[s] {
				if !tr.running() {
					continue
				}
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
				if t != nil && !a.harmful() && a.Since.Before(t.Onset.Add(-c.o.ChangeWindow)) {
					continue // it fires for reasons of its own
				}
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
	c.guess(now, g)
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
// Where the group connects several, they become one: a page, then the one that
// was sent first, or else the oldest, goes on.
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
		if pa, pb := a.Severity == Page, b.Severity == Page; pa != pb {
			if pa {
				return -1
			}
			return 1
		}
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
		t.end(now, whyMerged+first.ID)
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
	if !t.keys[tr.key] {
		t.keys[tr.key] = true
		t.changed(true)
	}
	t.services[tr.last.Service] = true
	if tr.last.Caller != "" {
		t.services[tr.last.Caller] = true
	}
}

func (t *thread) absorb(o *thread) {
	maps.Copy(t.keys, o.keys)
	t.changed(true)
	maps.Copy(t.alerts, o.alerts)
	maps.Copy(t.services, o.services)
	for severity, score := range o.peaks {
		t.peaks[severity] = max(t.peaks[severity], score)
	}
	t.Last, t.asked = later(t.Last, o.Last), later(t.asked, o.asked)
	t.FirstAlert = earlier(t.FirstAlert, o.FirstAlert)
}

func (t *thread) end(now time.Time, why string) {
	t.State, t.Resolved, t.Why = Resolved, now, why
	t.note(now, "resolved: "+why)
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
