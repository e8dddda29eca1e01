// Package rules evaluates rule files: Prometheus's recording and alerting
// rules, and detection rules, whose every series a detector judges.
//
// Files are read by [Load] or [ParseFile], a [Manager] evaluates them. Time is
// an argument: [Manager.Eval] is told when it is, and is the same for the
// present and for any past. Only [Manager.Run], which evaluates the groups at
// their intervals, is given a clock.
package rules
