// Package plot draws the verdicts of a series as SVG: value, expectation, band
// and onset over time. It also words values with their units, so that the axis
// of a plot and the text beside it agree.
package plot
