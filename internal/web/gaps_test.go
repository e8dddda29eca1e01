package web

import (
	"fmt"
	"net/http"
	"strings"
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

// Only who is slower or fails is said to suffer.
func TestRoles(t *testing.T) {
	page := ask(serve(t), http.MethodGet, "/services", "").Body.String()
	for service, role := range map[string]string{"payments": "fails first", "checkout": "suffers"} {
		_, row, ok := strings.Cut(page, `<th scope="row"><bdi>`+service+"</bdi>")
		row, _, _ = strings.Cut(row, "</th>")
		if !ok || !strings.Contains(row, role) {
			t.Errorf("%s: the row says %q, want %q in it", service, row, role)
		}
	}
	wantIn(t, ask(serve(t), http.MethodGet, "/api/v1/incidents/20260314-021410-7c2f", "").Body.String(), `"suffers":true`, `"suffers":false`)
}
