package incident

import (
	"github.com/foreshock/foreshock/internal/topology"
)

// endOf says at which end of an edge its anomalies are evidence. More calls than
// usual for each request are the caller's doing. What is lost on the way is lost
// at the end whose own work rose (who is too busy to accept a call shows it
// there), or else at the one that loses on the larger share of all its edges that
// are measured, in and out, or on more of them: a service whose network is slow
// shows it on all. Where both ends are alike it is the callee.
func (ts *tracks) endOf(as []*Anomaly) func(*Anomaly) topology.Service {
	losing, busy := map[topology.Service]int{}, map[topology.Service]bool{}
	for _, a := range as {
		switch {
		case between(a):
			losing[a.Service]++
			losing[a.Caller]++
		case internal(a):
			busy[a.Service] = true
		}
	}
	share := func(s topology.Service) float64 { return float64(losing[s]) / float64(max(1, ts.ends[s])) }
	return func(a *Anomaly) topology.Service {
		switch {
		case a.Caller == "":
			return a.Service
		case repeats(a):
			return a.Caller
		case !between(a), busy[a.Service]:
			return a.Service
		case busy[a.Caller]:
			return a.Caller
		}
		n, m := share(a.Caller), share(a.Service)
		if n > m || n == m && losing[a.Caller] > losing[a.Service] {
			return a.Caller
		}
		return a.Service
	}
}

// losses are the strongest losses on the calls between the service and others.
func (e *evidence) losses() []string {
	var out []string
	for _, a := range e.anomalies {
		if between(a) {
			out = append(out, name(a.Caller)+" and "+name(a.Service))
		}
	}
	return out
}

// lostBetween is what is lost on the calls from one service to another.
func lostBetween(caller, callee topology.Service) func(*Anomaly) bool {
	return func(a *Anomaly) bool { return between(a) && a.Caller == caller && a.Service == callee }
}
