package ruletest

import "testing"

// TestFaults: long outages through rules, engine and incidents.
func TestFaults(t *testing.T) {
	if out, failures, err := runFile(t, "testdata/faults/outage_test.yml", Options{}); err != nil {
		t.Errorf("error %v\n%s%s", err, out, failures)
	}
}
