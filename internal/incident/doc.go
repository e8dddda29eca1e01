// Package incident decides which anomalies and alerts belong together, whether
// somebody must be told, what fails first and what merely suffers, and what
// was changed just before.
//
// [Correlator.Step] is a state machine: it is given the time and all that was
// observed since the last step, and returns all incidents and the series that
// shall not learn. It reads no clock, does no I/O and starts no goroutine; the
// order of its input does not matter.
//
// A step goes through these stages, one file each:
//
//  1. evidence.go: readings become anomalies of series; missing data changes nothing.
//  2. correlator.go: services with evidence that are connected in the graph form an incident.
//     collect.go collects the evidence of each.
//  3. severity.go: harm asks for a page, corroboration for a ticket; the rest is recorded.
//     settle.go says how long that has to last before it is sent.
//     edges.go says at which end of a call its losses count; guess.go joins what began
//     together where nothing is known of who calls whom.
//  4. rank.go: blame flows from the services that suffer to the ones that explain it
//     (explain.go); confidence.go says how sure the first of them is.
//  5. change.go: changes before the onset are suspected or acquitted.
//  6. soften.go: announced maintenance and rollouts excuse what they explain.
//  7. text.go: the labels and the words of what is sent.
package incident
