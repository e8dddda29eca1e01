package demo

// Job is the job label of all series of the shop.
const Job = "shop"

// Target is one process that is scraped.
type Target struct {
	Service  string
	Instance string // stable name, the same in the history and live
	Address  string // host:port
}
