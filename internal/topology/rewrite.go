package topology

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
)

// rewriter makes the relabelling of recipes for one identity.
type rewriter struct {
	id    Identity
	own   string // the identity label with the service's own name
	space string // the one with its namespace, or a label that nobody reads
}

func newRewriter(id Identity) rewriter {
	r := rewriter{id: id, own: id.Last(), space: "__namespace__"}
	if names := id.list(); slices.Contains(names[:len(names)-1], "namespace") {
		r.space = "namespace"
	}
	return r
}

// set gives a label a value where the source labels, joined by ";", match.
func (rewriter) set(target, value, regex string, source ...string) *relabel.Config {
	c := relabel.DefaultRelabelConfig
	c.TargetLabel, c.Replacement, c.Regex = target, value, relabel.MustNewRegexp(regex)
	c.NameValidationScheme = model.UTF8Validation
	for _, s := range source {
		c.SourceLabels = append(c.SourceLabels, model.LabelName(s))
	}
	return &c
}

// drop leaves out edges with an end whose source labels match.
func (r rewriter) drop(regex string, source ...string) *relabel.Config {
	c := r.set("", "", regex, source...)
	c.Action = relabel.Drop
	return c
}

func join(lists ...[]*relabel.Config) []*relabel.Config { return slices.Concat(lists...) }

// address makes a service of what a client connects to: without scheme and
// port, and by name and namespace where it is the DNS name of a Kubernetes service.
func (r rewriter) address() []*relabel.Config {
	const kubernetes = `callee;(?:[^.]+[.])?([^.]+)[.]([^.]+)[.]svc(?:[.].*)?`
	return []*relabel.Config{
		r.set(r.own, "$1", `callee;(?:[a-z][a-z0-9+.-]*:/+)?([^:/|]+)(?::[0-9]+)?/?`, EndLabel, r.own),
		r.set(r.space, "$2", kubernetes, EndLabel, r.own),
		r.set(r.own, "$1", kubernetes, EndLabel, r.own),
	}
}

// databases tells the kind of callees by the client's database system.
func (r rewriter) databases() []*relabel.Config {
	return []*relabel.Config{
		r.set(KindLabel, string(Database), "callee;(?:.+;.*|.*;.+)", EndLabel, "db_system", "db_system_name"),
		r.set(KindLabel, string(Cache), ".*(?:redis|valkey|memcached|hazelcast|infinispan).*", "db_system", "db_system_name"),
	}
}

// local drops callees that are on the caller's own host: as nodes of the graph
// they would join all callers.
func (r rewriter) local() []*relabel.Config {
	return []*relabel.Config{r.drop(`callee;(?:localhost|127[.][0-9.]+|0[.]0[.]0[.]0|\[?::1?\]?(?::[0-9]+)?)`, EndLabel, r.own)}
}

const (
	hostName = `(?:[^.;]+[.])+[a-zA-Z][^.;]*`
	ipv4     = `[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+`
	ipv6     = `\[?[0-9a-fA-F]*:[0-9a-fA-F:]+\]?(?::[0-9]+)?`
)

// global takes the namespace from callees that are named by an address, and of
// those with a host's full name all that would tell two clusters apart: the
// same address is the same server for all callers. The prefix matches the source
// labels, which are followed by the service's own name.
func (r rewriter) global(prefix string, source ...string) []*relabel.Config {
	source = append(slices.Clone(source), r.own)
	rules := []*relabel.Config{r.set(r.space, "", prefix+"(?:"+ipv4+"|"+ipv6+")", source...)}
	for _, name := range r.id.list() {
		if name != r.own {
			rules = append(rules, r.set(name, "", prefix+hostName, source...))
		}
	}
	return rules
}

// external marks callees with a host's full name as that, unless they are known
// to be something else.
func (r rewriter) external() []*relabel.Config {
	return join(r.global("callee;(?:|database|cache);", EndLabel, KindLabel), []*relabel.Config{
		r.set(KindLabel, string(External), "callee;;"+hostName, EndLabel, KindLabel, r.own),
	})
}

// peers is what is done at last with callees that clients name by their address:
// an IP address is that of a pod or of a load balancer more likely than of
// anything that has a name in series, unless a database is there.
func (r rewriter) peers() []*relabel.Config {
	return join(r.local(), []*relabel.Config{
		r.drop("callee;;(?:"+ipv4+"|"+ipv6+")", EndLabel, KindLabel, r.own),
	}, r.external())
}

// unknown leaves out what a mesh does not know.
func (r rewriter) unknown() []*relabel.Config {
	return []*relabel.Config{r.drop(unknown, r.own), r.set(r.space, "", unknown, r.space)}
}
