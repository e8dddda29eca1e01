package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/foreshock/foreshock/internal/incident"
	"github.com/foreshock/foreshock/internal/plot"
	"github.com/foreshock/foreshock/internal/topology"
)

// maxServices bounds the rows of the page; the API has all.
const maxServices = 2000

type servicesView struct {
	Services []serviceRow
	More     int
	Changes  []recentChange
	// What the graph does not know, at most maxGaps of each.
	Unconnected, Unread []string
	Alike               []string
}

// maxGaps bounds what the page lists of each kind of gap; the API has all.
const maxGaps = 50

type serviceRow struct {
	Name            string
	Kind            string // what it is if not a service
	Entry, Critical bool
	Declared        bool
	State, Incident string // what the open incident says of it, and its link
	Owner, Runbook  string
	Callers         []neighbour
	Callees         []neighbour
}

// neighbour is the other end of an edge.
type neighbour struct {
	Name, Rate string
	Declared   bool
}

type recentChange struct{ What, Title, Clock, Ago string }

func (s *server) pageServices(w http.ResponseWriter, _ *http.Request) {
	now := s.Now()
	var v servicesView
	roles := s.roles()
	for _, n := range graphNodes(s.Graph()) {
		if len(v.Services) == maxServices {
			v.More++
			continue
		}
		row := serviceRow{Name: s.name(n.Service), Kind: string(n.Kind), Entry: n.entry, Critical: n.Critical, Declared: n.Declared, Owner: plot.Clip(n.Owner, 100),
			Runbook: webAddress(n.Runbook), Callers: s.neighbours(n.callers, false), Callees: s.neighbours(n.callees, true)}
		if r, ok := roles[n.Service]; ok {
			row.State, row.Incident = r.role, r.link
		}
		v.Services = append(v.Services, row)
	}
	gaps := s.Gaps()
	v.Unconnected, v.Unread = s.names(gaps.Unconnected), s.names(gaps.Unread)
	for _, p := range gaps.Alike[:min(len(gaps.Alike), maxGaps)] {
		v.Alike = append(v.Alike, s.name(p.Readings)+" and "+s.name(p.Edges))
	}
	for _, c := range s.Changes(now.Add(-defaultPast)) {
		v.Changes = append(v.Changes, recentChange{What: s.describe(c), Title: plot.Clip(c.Title, 300), Clock: clock(now, c.Time), Ago: ago(now, c.Time)})
	}
	s.render(w, http.StatusOK, "services", frame{Title: "Services", Section: "services", Page: v})
}

// names shows services on a page, at most maxGaps of them.
func (s *server) names(list []topology.Service) []string {
	var out []string
	for _, svc := range list[:min(len(list), maxGaps)] {
		out = append(out, s.name(svc))
	}
	if n := len(list) - maxGaps; n > 0 {
		out = append(out, strconv.Itoa(n)+" more")
	}
	return out
}

type role struct{ role, link string }

// roles says which part services play in open incidents; the first incident that names one counts.
func (s *server) roles() map[topology.Service]role {
	all := map[topology.Service]role{}
	for _, inc := range s.Incidents() {
		if inc.State == incident.Resolved {
			continue
		}
		link := "/incidents/" + pathEscape(inc.ID)
		add := func(svc topology.Service, name string) {
			if _, ok := all[svc]; !ok && svc != "" {
				all[svc] = role{name, link}
			}
		}
		if inc.Known && len(inc.Causes) > 0 {
			add(inc.Causes[0].Service, "fails first")
		}
		for _, e := range inc.Effects {
			if e.Suffers {
				add(e.Service, "suffers")
			}
		}
		for i := range inc.Anomalies {
			add(inc.Anomalies[i].Service, "involved")
		}
	}
	return all
}

func (s *server) neighbours(edges []topology.Edge, callees bool) []neighbour {
	list := make([]neighbour, 0, len(edges))
	for _, e := range edges {
		other := e.Caller
		if callees {
			other = e.Callee
		}
		n := neighbour{Name: s.name(other), Declared: e.Declared && e.Seen.IsZero()}
		if !n.Declared {
			n.Rate = plot.Significant(e.Rate) + " /s"
		}
		list = append(list, n)
	}
	return list
}

// name shows a service on a page.
func (s *server) name(svc topology.Service) string {
	name := plot.Clip(s.ServiceName(svc), 120)
	if name == "" {
		return "(no service)"
	}
	return name
}

// entries are the services whose users are people.
func (s *server) entries() map[topology.Service]bool {
	all := map[topology.Service]bool{}
	for _, n := range graphNodes(s.Graph()) {
		all[n.Service] = n.entry
	}
	return all
}

// ownership is who keeps a service and the address of its runbook.
func (s *server) ownership(svc topology.Service) (owner, runbook string) {
	g := s.Graph()
	if g == nil {
		return "", ""
	}
	n, _ := g.Node(svc)
	return plot.Clip(n.Owner, 100), webAddress(n.Runbook)
}

// webAddress lets only links through that a browser may follow from our page.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return u.String()
}

type jsonService struct {
	Service  string `json:"service"`
	Kind     string `json:"kind,omitempty"` // database, queue, node, …; empty for a service
	Entry    bool   `json:"entry"`
	Critical bool   `json:"critical"`
	Declared bool   `json:"declared"`
	Owner    string `json:"owner,omitempty"`
	Runbook  string `json:"runbook,omitempty"`
}

type jsonEdge struct {
	Caller   string    `json:"caller"`
	Callee   string    `json:"callee"`
	Rate     number    `json:"rate"`
	Declared bool      `json:"declared"`
	Seen     time.Time `json:"seen,omitzero"`
}

func (s *server) apiTopology(w http.ResponseWriter, _ *http.Request) {
	services, edges := []jsonService{}, []jsonEdge{}
	for _, n := range graphNodes(s.Graph()) {
		services = append(services, jsonService{Service: s.ServiceName(n.Service), Kind: string(n.Kind), Entry: n.entry, Critical: n.Critical,
			Declared: n.Declared, Owner: n.Owner, Runbook: n.Runbook})
		for _, e := range n.callees {
			edges = append(edges, jsonEdge{Caller: s.ServiceName(e.Caller), Callee: s.ServiceName(e.Callee), Rate: number(e.Rate),
				Declared: e.Declared, Seen: e.Seen.UTC()})
		}
	}
	gaps := s.Gaps()
	all := func(list []topology.Service) []string {
		names := make([]string, 0, len(list))
		for _, svc := range list {
			names = append(names, s.ServiceName(svc))
		}
		return names
	}
	s.respond(w, map[string]any{"services": services, "edges": edges, "unconnected": all(gaps.Unconnected), "unread": all(gaps.Unread)})
}

// graphNode is a node with what surrounds it.
type graphNode struct {
	topology.Node
	entry            bool
	callers, callees []topology.Edge
}

// graphNodes lists the graph's services in the graph's order; none for a nil graph.
func graphNodes(g *topology.Graph) []graphNode {
	if g == nil {
		return nil
	}
	nodes := g.Nodes()
	list := make([]graphNode, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, graphNode{Node: n, entry: g.IsEntry(n.Service), callers: g.Callers(n.Service), callees: g.Callees(n.Service)})
	}
	return list
}
