package alertmanager

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/notifier"
)

// TestPushURLsAreTheNotifiers compares the URLs with those that Prometheus's notifier derives.
func TestPushURLsAreTheNotifiers(t *testing.T) {
	groups := []*targetgroup.Group{
		{
			Source:  "a",
			Targets: []model.LabelSet{{model.AddressLabel: "one:9093"}, {model.AddressLabel: "two:9093", "drop": "me", model.SchemeLabel: "ftp"}, {model.AddressLabel: "one:9093"}},
			Labels:  model.LabelSet{"zone": "a"},
		},
		{
			Source:  "b",
			Targets: []model.LabelSet{{model.AddressLabel: "three:9093", "zone": "own"}},
			Labels:  model.LabelSet{"zone": "b", model.SchemeLabel: "https", pathLabel: "/elsewhere"},
		},
	}
	for name, extra := range map[string]string{
		"defaults":        "",
		"scheme and path": "    scheme: https\n    path_prefix: /am/\n",
		"relabelling": `    relabel_configs:
    - {source_labels: [drop], regex: me, action: drop}
    - {source_labels: [zone], regex: own, target_label: __alerts_path__, replacement: /relabelled}
    - {source_labels: [__address__], regex: '(.*):9093', target_label: __address__, replacement: '$1:1'}
`,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := load(t, "alerting:\n  alertmanagers:\n  - static_configs: [{targets: [one:9093]}]\n"+extra)
			n := notifier.NewManager(&notifier.Options{}, model.UTF8Validation, nil)
			if err := n.ApplyConfig(cfg); err != nil {
				t.Fatal(err)
			}
			targets, done := make(chan map[string][]*targetgroup.Group), make(chan struct{})
			go func() { n.Run(targets); close(done) }()
			for range 2 { // the second is taken when the first was applied
				targets <- map[string][]*targetgroup.Group{"config-0": groups}
			}
			var want []string
			for _, u := range n.Alertmanagers() {
				want = append(want, u.String())
			}
			n.Stop()
			<-done

			got := pushURLs(groups, cfg.AlertingConfig.AlertmanagerConfigs[0])
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("URLs (-notifier +ours):\n%s", diff)
			}
		})
	}
}
