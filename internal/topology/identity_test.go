package topology

import (
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

func identity(t testing.TB, names ...string) Identity {
	t.Helper()
	id, err := NewIdentity(names)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestNewIdentity(t *testing.T) {
	for _, c := range []struct {
		names []string
		err   string
	}{
		{[]string{"service"}, ""},
		{[]string{"cluster", "service.name"}, ""},
		{[]string{}, "at least one"},
		{[]string{""}, "no label"},
		{[]string{"__name__"}, "no label"},
		{[]string{"a", "b", "a"}, "stands twice"},
	} {
		_, err := NewIdentity(c.names)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("NewIdentity(%q): got %v, want %q", c.names, err, c.err)
		}
	}
	id := identity(t)
	if got := strings.Join(id.Names(), " ") + " " + id.Last(); got != "cluster namespace service service" {
		t.Errorf("default identity: got %q", got)
	}
	if a, b := id.OfMap(map[string]string{"service": "x"}), (Identity{}).OfMap(map[string]string{"service": "x"}); a != b || a != "x" {
		t.Errorf("default and zero identity: got %q and %q, want x", a, b)
	}
}

func TestIdentityOf(t *testing.T) {
	id := identity(t, "cluster", "namespace", "service")
	for _, c := range []struct {
		cluster, namespace, service string
		want                        Service
	}{
		{"", "", "checkout", "checkout"},
		{"", "shop", "checkout", "shop/checkout"},
		{"eu", "shop", "checkout", "eu/shop/checkout"},
		{"eu", "", "checkout", "eu//checkout"},
		{"eu", "shop", "", ""},
		{"", "", "", ""},
		{"", "", "PetStatus/prod", "PetStatus%2Fprod"},
		{"", "50%", "a%2Fb", "50%25/a%252Fb"},
	} {
		m := map[string]string{"cluster": c.cluster, "namespace": c.namespace, "service": c.service, "pod": "p"}
		got := id.OfMap(m)
		if got != c.want {
			t.Errorf("OfMap(%v): got %q, want %q", m, got, c.want)
		}
		if l := id.OfLabels(labels.FromMap(m)); l != got {
			t.Errorf("OfLabels(%v): got %q, want %q", m, l, got)
		}
		maps.DeleteFunc(m, func(k, v string) bool { return k == "pod" || v == "" || c.service == "" })
		if back := id.Labels(got); !maps.Equal(back, m) {
			t.Errorf("Labels(%q): got %v, want %v", got, back, m)
		}
	}
	// Foreign names do not panic.
	for _, s := range []Service{"a/b/c/d", "/", "//", "%", "%2", "/x", "x/"} {
		id.Labels(s)
	}
}

func TestIdentityLabel(t *testing.T) {
	id := identity(t, "namespace", "app")
	for _, c := range []struct{ field, want string }{{"service", "app"}, {"app", "app"}, {"namespace", "namespace"}, {"cluster", ""}} {
		if got, ok := id.Label(c.field, "service"); got != c.want || ok != (c.want != "") {
			t.Errorf("Label(%q): got %q, %v, want %q", c.field, got, ok, c.want)
		}
	}
	// An identity label of the alias's name is meant itself.
	if got, _ := identity(t, "service", "part").Label("service", "service"); got != "service" {
		t.Errorf("got %q, want service", got)
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add("eu", "shop", "checkout")
	f.Add("", "a/b", "%2F")
	f.Add("eu", "", "%25/")
	f.Add("/", "%", "")
	id := identity(f)
	f.Fuzz(func(t *testing.T, cluster, namespace, service string) {
		in := map[string]string{"cluster": cluster, "namespace": namespace, "service": service}
		s := id.OfMap(in)
		if (s == "") != (service == "") {
			t.Fatalf("OfMap(%q): got %q", in, s)
		}
		if s == "" {
			return
		}
		back := id.Labels(s)
		for k, v := range in {
			if back[k] != v {
				t.Fatalf("Labels(%q)[%s]: got %q, want %q", s, k, back[k], v)
			}
		}
		if again := id.OfMap(back); again != s {
			t.Fatalf("again: got %q, want %q", again, s)
		}
	})
}
