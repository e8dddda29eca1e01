package app

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func packsConfig(t *testing.T, text string) (*Config, error) {
	t.Helper()
	return ParseConfig(filepath.Join(t.TempDir(), "foreshock.yml"), []byte(text))
}

// A pack is rules, edges and versions as if they had been written out.
func TestPacks(t *testing.T) {
	c, err := packsConfig(t, `
global: {scrape_interval: 30s, evaluation_interval: 15s}
identity: [namespace, app]
topology:
  discover:
    - recipe: istio
packs:
  - istio
  - http: {labels: {app: service_name}, match: 'env="prod"'}
`)
	if err != nil {
		t.Fatal(err)
	}
	var names, exprs []string
	for _, f := range c.Engine.Rules {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				names = append(names, f.Path+" "+g.Name+" "+r.Detection.Name)
				exprs = append(exprs, r.Detection.Expr.String())
			}
		}
	}
	for _, want := range []string{"pack:istio istio IstioErrors", "pack:http http HTTPTraffic"} {
		if !slices.Contains(names, want) {
			t.Errorf("rules %q: want %q", names, want)
		}
	}
	// Four samples 30 seconds apart, under the label and matcher of the user.
	want := `sum by (namespace, app) (label_replace(label_replace(rate(http_requests_total{env="prod"}[2m]), "app", "", "", ""), "app", "$1", "service_name", "(.+)"))`
	if !slices.Contains(exprs, want) {
		t.Errorf("want an expression\n%s\nof\n%s", want, strings.Join(exprs, "\n"))
	}
	// Three queries of the recipe istio, which is chosen twice, and three of http-client.
	if len(c.Engine.Edges) != 6 || len(c.Engine.Versions) != 1 || c.Engine.Versions[0].VersionLabel != "destination_canonical_revision" {
		t.Errorf("%d queries for edges and %v for versions, want 6 and one by destination_canonical_revision", len(c.Engine.Edges), c.Engine.Versions)
	}
}

func TestPacksErrors(t *testing.T) {
	for text, want := range map[string]string{
		"packs: [http, gprc]":                              `foreshock.yml:1:15: packs: unknown pack "gprc"; did you mean "grpc"?`,
		"packs:\n  - http\n  - http: {match: 'a=\"b\"'}":   "foreshock.yml:3:5: packs: http stands twice",
		"packs:\n  - http: {lables: {service: app}}":       `foreshock.yml:2:12: unknown field "lables"; did you mean "labels"?`,
		"packs:\n  - http: {labels: {servise: app}}":       `foreshock.yml:2:5: packs: pack http: labels: unknown identity label "servise"; did you mean "service"?`,
		"packs:\n  - [http]":                               "foreshock.yml:2:5: packs: want the name of a pack",
		"packs:\n  - {http: {}, grpc: {}}":                 "foreshock.yml:2:5: packs: want the name of a pack",
		"packs:\n  - http: {match: 'env=prod'}\n  - istio": `foreshock.yml:2:5: packs: pack http: match: "env=prod" is no list`,
	} {
		_, err := packsConfig(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngives %v, want an error with %s", text, err, want)
		}
	}
}
