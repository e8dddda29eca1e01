package starter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

// config writes foreshock.yml.
func (w *writer) config() string {
	var b strings.Builder
	b.WriteString("# Written by the names and labels of the metrics. Change what does not fit.\n")
	if w.SourceURL != "" {
		fmt.Fprintf(&b, "source:\n  url: %q\n", w.SourceURL)
	}
	b.WriteString("global:\n")
	if w.Brief {
		fmt.Fprintf(&b, "  scrape_interval: %s # the server's; the packs' ranges follow it\n", duration(w.Interval))
	}
	fmt.Fprintf(&b, "  evaluation_interval: %s\nrule_files: [rules.yml]\n", duration(w.step()))
	b.WriteString(w.packList())
	fmt.Fprintf(&b, "# The labels that name a service.\nidentity: [%s]\n", w.by())
	b.WriteString(w.topology())
	b.WriteString(w.changes())
	fmt.Fprintf(&b, "incidents:\n  mode: %s\n", w.Mode)
	if w.Interval >= time.Minute {
		fmt.Fprintf(&b, "  # By the distance of samples: one for the cause to settle, three without evidence to be over.\n  interval: %s\n  settle: %s\n  hold: %s\n",
			duration(w.step()), duration(w.Interval), duration(3*w.Interval))
	}
	return b.String()
}

// topology discovers calls: by the recipes whose metrics are there, and by
// other metrics that have both ends as labels.
func (w *writer) topology() string {
	var lines []string
	by := map[string]bool{} // metrics that a recipe reads
	id, err := topology.NewIdentity(w.identity)
	if err != nil {
		return ""
	}
	for _, name := range topology.Recipes() {
		ds, err := topology.Recipe(name, id, topology.RecipeOptions{})
		if err != nil {
			continue
		}
		used := false
		if slices.ContainsFunc(w.packs, func(p usedPack) bool { return slices.Contains(p.Recipes, name) }) {
			continue // comes with the pack
		}
		for _, d := range ds {
			for _, m := range w.names {
				if mentions(d.Edges, m) {
					used, by[m] = true, true
				}
			}
		}
		if used {
			lines = append(lines, "    - recipe: "+name)
		}
	}
	// One metric tells of all calls: the first in order, those that count them before others.
	edges := slices.DeleteFunc(slices.Clone(w.found), func(f finding) bool { return f.role < edgeLatency || by[f.Name] })
	slices.SortStableFunc(edges, func(a, b finding) int { return preference(a.role) - preference(b.role) })
	if len(edges) > 0 {
		f := edges[0]
		caller, callee, _ := f.ends()
		query := fmt.Sprintf("sum by (%s, %s) (%s) > 0", caller, callee, w.value(f))
		if f.role == edgeLatency {
			query = fmt.Sprintf("count by (%s, %s) (%s)", caller, callee, selector(f.Name))
		}
		lines = append(lines, fmt.Sprintf("    - edges: %s\n      caller: %s\n      callee: %s", query, caller, callee))
	}
	if len(lines) == 0 && slices.ContainsFunc(w.packs, func(p usedPack) bool { return p.edges }) {
		return ""
	}
	if len(lines) == 0 {
		return "# No metric says who calls whom. Declare it: without a graph, effects cannot be told from causes.\n# topology:\n#   files: [topology.yml]\n"
	}
	return "topology:\n  discover:\n" + strings.Join(lines, "\n") + "\n"
}

func preference(r role) int {
	if r == edgeTraffic {
		return 0
	}
	return 1
}

// mentions reports whether a query names a metric.
func mentions(query, metric string) bool {
	return regexp.MustCompile(`(^|[^a-zA-Z0-9_:])` + regexp.QuoteMeta(metric) + `($|[^a-zA-Z0-9_:])`).MatchString(query)
}

// maxVersions bounds the queries for versions.
const maxVersions = 5

// plainInfo are the names of metrics that tell the version of the service itself, not
// of a library, kernel or exporter.
var plainInfo = []string{"build_info", "app_info", "application_info", "service_info", "target_info"}

// changes discovers deploys where a metric has the version of a service: one of
// a name that says so, or the build_info of what has rules here.
func (w *writer) changes() string {
	judged := map[string]bool{}
	for _, f := range w.found {
		judged[prefix(f.base)] = true
	}
	var lines []string
	for _, name := range w.names {
		m := w.metrics[name]
		program, built := strings.CutSuffix(name, "_build_info")
		if !m.has(w.service()) || len(lines) == maxVersions || !slices.Contains(plainInfo, name) && !(built && judged[program]) {
			continue
		}
		for _, l := range []string{"version", "app_version", "service_version", "image_tag"} {
			if m.has(l) {
				lines = append(lines, fmt.Sprintf("    - kind: deploy # a new version of a service\n      versions: max by (%s) (%s)\n      version_label: %s\n",
					w.by(l), selector(name), l))
				break
			}
		}
	}
	if len(lines) > 0 {
		return "changes:\n  discover:\n" + strings.Join(lines, "")
	}
	if slices.ContainsFunc(w.packs, func(p usedPack) bool { return len(p.Versions) > 0 }) {
		return ""
	}
	return "# No metric tells the versions of services. Post deploys: docs/changes.md.\n"
}
