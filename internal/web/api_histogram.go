package web

import "github.com/prometheus/prometheus/model/histogram"

type jsonHistPair = jsonPair

type jsonHistogram struct {
	Count   sampleValue `json:"count"`
	Sum     sampleValue `json:"sum"`
	Buckets [][4]any    `json:"buckets,omitempty"`
}

// histPair is a native histogram in Prometheus's JSON: each bucket is a number
// for which of its bounds are inclusive (0 upper, 1 lower, 2 none, 3 both), the
// bounds, and the count. Empty buckets are left out.
func histPair(millis int64, h *histogram.FloatHistogram) *jsonHistPair {
	j := jsonHistogram{Count: sampleValue(h.Count), Sum: sampleValue(h.Sum)}
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count == 0 {
			continue
		}
		bounds := 2
		switch {
		case b.LowerInclusive && b.UpperInclusive:
			bounds = 3
		case b.LowerInclusive:
			bounds = 1
		case b.UpperInclusive:
			bounds = 0
		}
		j.Buckets = append(j.Buckets, [4]any{bounds, sampleValue(b.Lower), sampleValue(b.Upper), sampleValue(b.Count)})
	}
	return &jsonHistPair{millis, j}
}
