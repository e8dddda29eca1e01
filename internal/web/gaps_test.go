package web

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/foreshock/foreshock/internal/topology"
)

func TestGaps(t *testing.T) {
	gaps := topology.Gaps{Unread: []topology.Service{`<b>bank`}, Alike: []topology.Pair{{Readings: "pay", Edges: "shop/pay"}}}
	for i := range maxGaps + 3 {
		gaps.Unconnected = append(gaps.Unconnected, topology.Service(fmt.Sprintf("lonely-%02d", i)))
	}
	h := serve(t, func(o *Options) { o.Gaps = func() topology.Gaps { return gaps } })
	page := ask(h, http.MethodGet, "/services", "").Body.String()
	wantIn(t, page, "What the graph does not know", "lonely-49", "3 more", "&lt;b&gt;bank", "pay and shop/pay")
	wantNotIn(t, page, "lonely-50", "<b>bank")
	answer := ask(h, http.MethodGet, "/api/v1/topology", "").Body.String()
	wantIn(t, answer, "lonely-52", `"unread":["`)
	wantNotIn(t, ask(serve(t), http.MethodGet, "/services", "").Body.String(), "What the graph does not know")
}
