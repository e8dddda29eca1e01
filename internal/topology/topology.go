// Package topology knows which service calls which: edges declared in files
// and edges discovered by queries, at a time.
//
// A service is named by the identity labels ([Identity]). [ParseFile] reads
// what a team declares, [Topology] merges it with what queries discover, and
// [Topology.At] gives the [Graph] of a time, which never changes. [Recipe]
// makes the queries for telemetry that is known by name, and [Graph.Gaps] says
// what a graph does not know.
package topology

import "time"

// Service names a node of the dependency graph: the values of the identity
// labels, joined by [Identity]. The zero value names no service.
type Service string

// Edge is one dependency: Caller calls Callee.
type Edge struct {
	Caller, Callee Service
	Rate           float64   // calls per second when last discovered; 0 when only declared
	Declared       bool      // stands in a topology file
	Seen           time.Time // when discovered last; zero when only declared
	Kind           Kind      // what the callee is, as it was discovered; "" when that is not told
}

// Node is what is known of a service beside its edges.
type Node struct {
	Service  Service
	Entry    bool // its users are people
	Internal bool // declared `entry: false`: no entry, even where no caller is known
	Critical bool // pages even without a graph
	Owner    string
	Runbook  string // URL
	Declared bool   // stands in a topology file, with calls of its own or as a callee
	// Kind is what a file says, or else what the edges to the service say; "" when
	// nothing does, which counts as a service.
	Kind Kind
}
