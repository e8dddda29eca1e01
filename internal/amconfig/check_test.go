package amconfig

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// incident is what Foreshock sends of one incident of the service.
func incident(service string) Alerts {
	of := func(severity string) map[string]string {
		return map[string]string{"alertname": "ForeshockIncident", "incident": "fs-1", "generator": "foreshock", "severity": severity, "service": service}
	}
	return Alerts{Ticket: of("ticket"), Page: of("page"), Varies: []string{"service"}}
}

const good = `
receivers: [{name: none}, {name: mail, email_configs: [{to: a, send_resolved: true}]}, {name: pager, webhook_configs: [{url: b}]}]
inhibit_rules:
- source_matchers: [severity="page", generator="foreshock"]
  target_matchers: [severity="ticket", generator="foreshock"]
  equal: [incident]
route:
  receiver: none
  routes:
  - matchers: [generator="foreshock"]
    receiver: mail
    group_by: [alertname, incident]
    group_wait: 0s
    routes:
    - {matchers: [severity="page"], receiver: pager}
`

// The shipped examples are as they should be.
func TestExamples(t *testing.T) {
	for _, name := range []string{"alertmanager.yml", "notifications.yml"} {
		b, err := os.ReadFile("../../examples/alertmanager/" + name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(name, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.Check([]Alerts{incident("checkout")}) {
			t.Errorf("%v", w)
		}
	}
}

func TestCheck(t *testing.T) {
	f := func(what, old, fresh string, want ...string) {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%s: there is no %q", what, old)
		}
		c, err := Parse("am.yml", []byte(strings.ReplaceAll(good, old, fresh)))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got := c.Check([]Alerts{incident("checkout"), incident("search")})
		for i, w := range got {
			if i >= len(want) || !strings.HasPrefix(w.Error(), want[i]) {
				t.Errorf("%s: got %v, want %q", what, w, append(want, "")[min(i, len(want))])
			}
		}
		if len(got) < len(want) {
			t.Errorf("%s: got %v, want %q as well", what, got, want[len(got):])
		}
	}
	f("as it should be", "none", "nobody")
	f("old matchers", `matchers: [severity="page"]`, `match: {severity: page}`)
	f("old matchers of inhibit rules", `source_matchers: [severity="page", generator="foreshock"]`, `source_match: {severity: page}`)
	f("a regular expression", `[generator="foreshock"]`, `['{generator=~"fore.*"}']`)
	f("grouped by everything", "group_by: [alertname, incident]", "group_by: ['...']")

	f("nothing of ours", `matchers: [generator="foreshock"]`, `matchers: [team="other"]`,
		`am.yml:8:3: pages have no route of their own here: they go to receiver "none", which notifies nobody; are grouped by nothing, so that several incidents are one notification; wait 30s for others of their group, after Foreshock has waited already: write a route with matchers: [generator="foreshock"], group_by:`,
		`am.yml:8:3: tickets have no route of their own here: they go`)
	f("nobody is told", "mail, email_configs: [{to: a, send_resolved: true}]", "mail",
		`am.yml:11:15: tickets go to receiver "mail", which notifies nobody: name one that does`)
	f("no such receiver", "receiver: pager", "receiver: pagers", `am.yml:15:47: pages go to receiver "pagers", which is not there: write it under receivers`)
	f("grouping", "[alertname, incident]", "[alertname, service]",
		"am.yml:12:15: pages are grouped by [alertname, service], so that several incidents are one notification: write group_by: [alertname, incident]",
		"am.yml:12:15: tickets are grouped by")
	f("a wait", "group_wait: 0s", "group_wait: 1m",
		"am.yml:13:17: pages wait 1m0s for others of their group, after Foreshock has waited already: write group_wait: 0s",
		"am.yml:13:17: tickets wait")
	f("the usual wait", "    group_wait: 0s\n", "", "am.yml:10:5: tickets wait 30s", "am.yml:14:7: pages wait 30s")
	f("resolutions", "send_resolved: true", "html: a", `am.yml:2:56: tickets go to receiver "mail", which does not tell when an incident is over: write send_resolved: true`)
	f("one receiver", "receiver: pager", "receiver: mail", "am.yml:15:47: pages and tickets both go to mail, so that a page wakes nobody more than a ticket: write")
	f("other severities", `severity="page"]`, `severity="critical"]`,
		"am.yml:10:5: a ticket that becomes a page is in the ticket's group and waits for group_interval, 5m0s: write a route below it",
		"am.yml:11:15: pages and tickets both go to mail, so that a page wakes nobody more than a ticket; the routes here know severity critical, Foreshock's are page and ticket: write")
	f("at night", `matchers: [severity="page"], `, `matchers: [severity="page"], mute_time_intervals: [night], `, "am.yml:15:58: pages are not told at some times")
	f("a service with a route of its own", "  routes:\n  - matchers: [gen", "  routes:\n  - {matchers: [service=\"search\"], receiver: mail}\n  - matchers: [gen",
		"am.yml:10:5: pages have no route of their own here: they are grouped by nothing", "am.yml:10:5: tickets have")
	f("no inhibit rule", "inhibit_rules:", "other_rules:", "am.yml:1:1: the ticket of an incident goes on beside its page: write under inhibit_rules: {source_matchers")
	f("equal", "equal: [incident]", "equal: [service]", "am.yml:4:3: the page of one incident silences the tickets of others", "am.yml:4:3: the ticket of an incident goes on beside its page")
	f("equal too much", "equal: [incident]", "equal: [incident, service]", "am.yml:4:3: the ticket of an incident goes on beside its page")
	f("pages among themselves", "\nroute:", "\n- {source_matchers: [severity=\"ticket\"], target_matchers: [severity=\"page\"]}\nroute:", "am.yml:7:3: an incident silences the pages of others, which are never told: add incident to equal")
	f("a first route with matchers", "route:\n", "route:\n  matchers: [team=\"a\"]\n", "am.yml:8:3: pages reach no receiver", "am.yml:8:3: tickets reach no receiver")
}

func TestParseErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := Parse("am.yml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	f("", "am.yml:1:1: there is no route: this is not an Alertmanager configuration")
	f("groups: []", "am.yml:1:1: there is no route")
	f("route: {matchers: ['a=~\"(\"']}", `am.yml:1:20: matcher "a=~\"(\"": `)
	f("route: {match_re: {a: (}}", "am.yml:1:19: match_re: ")
	f("route: {group_wait: soon}", "am.yml:1:21: group_wait: ")
	f("inhibit_rules: [{source_matchers: ['=']}]\nroute: {}", "am.yml:1:36: matcher")
	f(strings.Repeat("{routes: [", 200), "am.yml:1:")
	f("x: [&a {routes: []}, &b {routes: ["+strings.Repeat("*a, ", 200)+"]}]\nroute: {routes: ["+strings.Repeat("*b, ", 200)+"]}", "am.yml:1:5: more than 10000 routes")
	f("route: "+strings.Repeat("{routes: [", 200)+strings.Repeat("]}", 200), "am.yml:1:1018: routes are nested more than 100 deep")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("route: {match: {a: b}, routes: [{continue: true, group_by: a}]}\nreceivers: {}\ninhibit_rules: [1, {equal: {}}]"))
	f.Add([]byte("route: &a {routes: [*a]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("am.yml", text)
		if err == nil {
			fmt.Fprint(t.Output(), c.Check([]Alerts{incident("checkout"), {}}))
		}
	})
}
