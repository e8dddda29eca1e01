package app

import (
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// secretFields are the fields of HTTP clients that hold secrets.
var secretFields = []string{"password", "credentials", "client_secret", "client_certificate_key", "bearer_token", "secret", "secrets", "secret_key", "api_key", "key", "token"}

// hidden stands for a secret, as in Prometheus.
const hidden = "<secret>"

// Shown is the configuration in force without its secrets: Prometheus's blocks
// with their defaults, as Prometheus shows them, then ours as they stand in the file.
func (c *Config) Shown() string {
	text := c.Prometheus.String()
	if c.own == nil || len(c.own.Content) == 0 {
		return text
	}
	own, err := yaml.Marshal(withoutSecrets(c.own))
	if err != nil {
		return text + "# our own blocks cannot be shown: " + err.Error() + "\n"
	}
	return strings.TrimSpace(strings.TrimPrefix(text, "{}")) + "\n" + string(own)
}

// withoutSecrets copies a node; anchors are written out, comments left out.
func withoutSecrets(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return withoutSecrets(n.Alias)
	}
	out := *n
	out.Anchor, out.Content = "", nil
	out.HeadComment, out.LineComment, out.FootComment = "", "", ""
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains(secretFields, n.Content[i-1].Value) {
			out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: hidden})
			continue
		}
		out.Content = append(out.Content, withoutSecrets(child))
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "@") {
		if u, err := url.Parse(n.Value); err == nil && u.User != nil {
			out.Value = u.Redacted()
		}
	}
	return &out
}
