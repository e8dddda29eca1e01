// Package amconfig reads what an Alertmanager's configuration does with alerts
// (routes, receivers, inhibit rules) and says where it would do something else
// with Foreshock's than they need.
//
// It reads only what decides that, and leaves it to Alertmanager to say what is
// wrong with the rest.
package amconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/foreshock/foreshock/internal/yamlfile"
)

// Config is what decides over an alert.
type Config struct {
	file      string
	root      *route
	routes    int // in all
	receivers map[string]*receiver
	inhibit   []*inhibitRule
}

// matchers all have to match.
type matchers []*amlabels.Matcher

func (ms matchers) match(alert map[string]string) bool {
	return !slices.ContainsFunc(ms, func(m *amlabels.Matcher) bool { return !m.Matches(alert[m.Name]) })
}

// route is a node of the tree, with what it inherits.
type route struct {
	node     *yaml.Node
	parent   *route
	matchers matchers
	goesOn   bool // continue: later siblings are tried as well
	routes   []*route

	receiver  option[string]
	groupBy   option[[]string]
	wait      option[time.Duration]
	interval  option[time.Duration]
	intervals *yaml.Node // mute or active time intervals; nil: none
}

// option is a value and the node that sets it; nil: nobody does.
type option[T any] struct {
	value T
	node  *yaml.Node
}

type receiver struct {
	node  *yaml.Node
	kinds []integration
}

// integration is one way in which a receiver notifies.
type integration struct {
	kind     string // slack, email, …
	node     *yaml.Node
	resolved bool
}

type inhibitRule struct {
	node           *yaml.Node
	source, target matchers
	equal          []string
}

// silentAboutEnds are the integrations that do not tell resolutions unless told to.
var silentAboutEnds = []string{"email_configs", "slack_configs", "wechat_configs", "rocketchat_configs"}

// Parse reads an Alertmanager's configuration. Errors have their place in the file.
func Parse(file string, data []byte) (*Config, error) {
	doc, err := yamlfile.Parse(file, data)
	if err != nil {
		return nil, err
	}
	c := &Config{file: file, receivers: map[string]*receiver{}}
	top := yamlfile.Field(doc, "route")
	if top == nil {
		return nil, yamlfile.At(file, doc, "there is no route: this is not an Alertmanager configuration")
	}
	if c.root, err = c.route(top, nil, 0); err != nil {
		return nil, err
	}
	for _, n := range items(yamlfile.Field(doc, "receivers")) {
		r := &receiver{node: n}
		for key, value := range fields(n) {
			if !strings.HasSuffix(key, "_configs") {
				continue
			}
			for _, item := range items(value) {
				in := integration{strings.TrimSuffix(key, "_configs"), item, !slices.Contains(silentAboutEnds, key)}
				if set := yamlfile.Field(item, "send_resolved"); set != nil {
					in.resolved = set.Value == "true"
				}
				r.kinds = append(r.kinds, in)
			}
		}
		c.receivers[text(yamlfile.Field(n, "name"))] = r
	}
	for _, n := range items(yamlfile.Field(doc, "inhibit_rules")) {
		r := &inhibitRule{node: n, equal: texts(yamlfile.Field(n, "equal"))}
		if r.source, err = c.matchers(n, "source_"); err != nil {
			return nil, err
		}
		if r.target, err = c.matchers(n, "target_"); err != nil {
			return nil, err
		}
		c.inhibit = append(c.inhibit, r)
	}
	return c, nil
}

const (
	deepest = 100    // nesting of routes
	most    = 10_000 // routes; references of YAML can make a short text a large tree
)

func (c *Config) route(n *yaml.Node, parent *route, depth int) (*route, error) {
	if depth > deepest {
		return nil, yamlfile.At(c.file, n, "routes are nested more than %d deep", deepest)
	}
	if c.routes++; c.routes > most {
		return nil, yamlfile.At(c.file, n, "more than %d routes", most)
	}
	r := &route{node: n, parent: parent, wait: option[time.Duration]{value: 30 * time.Second}, interval: option[time.Duration]{value: 5 * time.Minute}}
	if parent != nil {
		r.receiver, r.groupBy, r.wait, r.interval = parent.receiver, parent.groupBy, parent.wait, parent.interval
	}
	var err error
	if r.matchers, err = c.matchers(n, ""); err != nil {
		return nil, err
	}
	if v := yamlfile.Field(n, "receiver"); v != nil {
		r.receiver = option[string]{text(v), v}
	}
	if v := yamlfile.Field(n, "group_by"); v != nil {
		r.groupBy = option[[]string]{texts(v), v}
	}
	for name, into := range map[string]*option[time.Duration]{"group_wait": &r.wait, "group_interval": &r.interval} {
		v := yamlfile.Field(n, name)
		if v == nil {
			continue
		}
		d, err := model.ParseDuration(text(v))
		if err != nil {
			return nil, yamlfile.At(c.file, v, "%s: %v", name, err)
		}
		*into = option[time.Duration]{time.Duration(d), v}
	}
	for _, name := range []string{"mute_time_intervals", "active_time_intervals"} {
		if v := yamlfile.Field(n, name); len(items(v)) > 0 {
			r.intervals = v
		}
	}
	r.goesOn = text(yamlfile.Field(n, "continue")) == "true"
	for _, child := range items(yamlfile.Field(n, "routes")) {
		next, err := c.route(child, r, depth+1)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, next)
	}
	return r, nil
}

// matchers reads the matchers of a route, or of one side of an inhibit rule, in
// the present form and in the two old ones.
func (c *Config) matchers(n *yaml.Node, prefix string) (matchers, error) {
	var out matchers
	list := yamlfile.Field(n, prefix+"matchers")
	for _, item := range items(list) {
		ms, err := parse.Matchers(item.Value)
		if err != nil {
			// What only the classic parser takes, Alertmanager takes as well.
			if ms, err = amlabels.ParseMatchers(item.Value); err != nil {
				return nil, yamlfile.At(c.file, item, "matcher %q: %v", item.Value, err)
			}
		}
		out = append(out, ms...)
	}
	for _, old := range []struct {
		name string
		kind amlabels.MatchType
	}{{prefix + "match", amlabels.MatchEqual}, {prefix + "match_re", amlabels.MatchRegexp}} {
		at := yamlfile.Field(n, old.name)
		set := fields(at)
		for _, name := range slices.Sorted(maps.Keys(set)) {
			m, err := amlabels.NewMatcher(old.kind, name, text(set[name]))
			if err != nil {
				return nil, yamlfile.At(c.file, at, "%s: %v", old.name, err)
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// reached returns the routes that an alert ends in, as Alertmanager finds them.
func (r *route) reached(alert map[string]string) []*route {
	if !r.matchers.match(alert) {
		return nil
	}
	var all []*route
	for _, child := range r.routes {
		found := child.reached(alert)
		all = append(all, found...)
		if found != nil && !child.goesOn {
			break
		}
	}
	if len(all) == 0 {
		all = append(all, r)
	}
	return all
}

// mutes reports whether the source alert inhibits the target by the rule.
func (r *inhibitRule) mutes(source, target map[string]string) bool {
	if !r.source.match(source) || !r.target.match(target) {
		return false
	}
	// Of two that both sides match, neither inhibits the other.
	if r.source.match(target) && r.target.match(source) {
		return false
	}
	return !slices.ContainsFunc(r.equal, func(name string) bool { return source[name] != target[name] })
}

func items(n *yaml.Node) []*yaml.Node {
	if n = yamlfile.Resolve(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, 0, len(n.Content))
	for _, item := range n.Content {
		out = append(out, yamlfile.Resolve(item))
	}
	return out
}

func fields(n *yaml.Node) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n = yamlfile.Resolve(n); n == nil || n.Kind != yaml.MappingNode {
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		out[n.Content[i].Value] = yamlfile.Resolve(n.Content[i+1])
	}
	return out
}

func text(n *yaml.Node) string {
	if n = yamlfile.Resolve(n); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

func texts(n *yaml.Node) []string {
	var out []string
	for _, item := range items(n) {
		out = append(out, text(item))
	}
	return out
}

// place is where a route or receiver stands, for a message.
func (c *Config) place(n *yaml.Node, format string, args ...any) *yamlfile.Error {
	return yamlfile.At(c.file, n, "%s", fmt.Sprintf(format, args...))
}
