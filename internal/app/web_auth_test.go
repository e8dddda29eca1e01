package app

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// What exporter-toolkit's web configuration asks of who comes: a certificate,
// a password, both or neither.
func TestWebAuthentication(t *testing.T) {
	ca := newAuthority(t)
	ca.issue(t, "server")
	known := ca.issue(t, "client")
	stranger := newAuthority(t).issue(t, "client")
	const (
		hash      = "$2a$04$aEFzN8gVhLV7AMR./i8FzuBLiXnEfimw25l8.0VHZ/mfxEm.GWxdK" // bcrypt of s3cret at its least cost
		encrypted = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
		mutual    = "tls_server_config: {cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}\n"
	)
	users := fmt.Sprintf("basic_auth_users: {me: %q}\n", hash)
	type visitor struct {
		name, user, password string
		cert                 *tls.Certificate
		want                 int // 0: no connection
	}
	for _, c := range []struct {
		name, config string
		tls          bool
		visitors     []visitor
	}{
		{"TLS", encrypted, true, []visitor{{name: "anybody", want: 200}}},
		{"client certificates", mutual, true, []visitor{{name: "known", cert: &known, want: 200}, {name: "a stranger", cert: &stranger}, {name: "nobody"}}},
		{"passwords", users, false, []visitor{
			{name: "me", user: "me", password: "s3cret", want: 200}, {name: "a wrong password", user: "me", password: "guess", want: 401},
			{name: "somebody else", user: "you", password: "s3cret", want: 401}, {name: "nobody", want: 401}}},
		{"both", encrypted + users, true, []visitor{{name: "me", user: "me", password: "s3cret", want: 200}, {name: "nobody", want: 401}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := ca.path("web.yml")
			if err := os.WriteFile(path, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startServer(t, Options{WebConfigFile: path}, "foreshock.yml", "identity: [service]\nincidents: {mode: shadow}\n")
			for _, v := range c.visitors {
				transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.pool}}
				if v.cert != nil {
					transport.TLSClientConfig.Certificates = []tls.Certificate{*v.cert}
				}
				u, err := url.Parse(strings.TrimSuffix(s.url, "/"))
				if err != nil {
					t.Fatal(err)
				}
				if c.tls {
					u.Scheme = "https"
				}
				if v.user != "" {
					u.User = url.UserPassword(v.user, v.password)
				}
				for _, path := range []string{"/-/healthy", "/api/v1/status/config", "/", "/metrics"} {
					resp, err := (&http.Client{Transport: transport}).Get(u.String() + path)
					got := 0
					if err == nil {
						got = resp.StatusCode
						resp.Body.Close()
					}
					if got != v.want {
						t.Errorf("%s at %s: status %d (%v), want %d", v.name, path, got, err, v.want)
					}
				}
			}
		})
	}
}
