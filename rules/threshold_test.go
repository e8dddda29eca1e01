package rules

import (
	"strings"
	"testing"
)

// The bounds of a threshold say in which direction it matters.
func TestThresholdDirection(t *testing.T) {
	for _, tt := range []struct{ fields, want, wrong string }{
		{"detector: {threshold: {upper: 9}}", "up", ""},
		{"detector: {threshold: {lower: 1}}", "down", ""},
		{"detector: {threshold: {lower: 1, upper: 9}}", "both", ""},
		{"detector: {threshold: {lower: 1, upper: 9}}, direction: down", "down", ""},
		{"detector: {threshold: {lower: 1}}, direction: up", "", "direction up: the options of detector threshold bound it down only"},
		{"detector: {threshold: {upper: 1}}, direction: down", "", "direction down: the options of detector threshold bound it up only"},
	} {
		f, err := ParseFile("a.yml", []byte("groups: [{name: g, rules: [{detect: Disk, expr: free, signal: saturation, "+tt.fields+"}]}]"))
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: got %v, want %q", tt.fields, err, tt.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.fields, err)
		default:
			if got := f.Groups[0].Rules[0].Detection.Direction; string(got) != tt.want {
				t.Errorf("%s: direction %s, want %s", tt.fields, got, tt.want)
			}
		}
	}
}
