package app

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foreshock/foreshock/internal/source"
)

// guarded is a query API behind TLS that answers whom it knows.
type guarded struct {
	*httptest.Server
	ca     *authority
	allow  func(*http.Request) bool
	tokens atomic.Int32 // how many were issued
}

func newGuarded(t *testing.T, clients bool) *guarded {
	t.Helper()
	g := &guarded{ca: newAuthority(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		if !g.allow(r) {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		answer(w, "vector", []any{sample(map[string]string{"__name__": "up"}, 1, 1)})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.FormValue("grant_type") != "client_credentials" || id != "foreshock" || secret != "s3cret" || r.FormValue("scope") != "read" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("token-%d", g.tokens.Add(1)), "token_type": "Bearer", "expires_in": 3600})
	})
	g.Server = httptest.NewUnstartedServer(mux)
	g.TLS = &tls.Config{Certificates: []tls.Certificate{g.ca.issue(t, "server")}}
	if clients {
		g.TLS.ClientAuth, g.TLS.ClientCAs = tls.RequireAndVerifyClientCert, g.ca.pool
	}
	g.StartTLS()
	t.Cleanup(g.Close)
	g.ca.issue(t, "client")
	return g
}

// What a configuration file says under source reaches the server, and what is
// wrong with it is said without the secret.
func TestSourceAuthentication(t *testing.T) {
	header := func(name, want string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Header.Get(name) == want }
	}
	basic := func(r *http.Request) bool {
		u, p, ok := r.BasicAuth()
		return ok && u == "foreshock" && p == "s3cret"
	}
	anybody := func(*http.Request) bool { return true }
	for _, c := range []struct {
		name    string
		block   string // of http_client, with $DIR and $URL
		tls     string // of it; empty: the authority alone
		query   string // of the URL
		clients bool   // the server asks for certificates
		allow   func(*http.Request) bool
		want    string // in the error; empty: it goes well
	}{
		{name: "authority", block: "follow_redirects: true", allow: anybody},
		{name: "no authority", block: "follow_redirects: true", tls: "none", allow: anybody, want: "certificate signed by unknown authority"},
		{name: "not verified", block: "follow_redirects: true", tls: "{insecure_skip_verify: true}", allow: anybody},
		{name: "another name", block: "follow_redirects: true", tls: "{ca_file: $DIR/ca.pem, server_name: other}", allow: anybody, want: "certificate"},
		{name: "client certificate", block: "follow_redirects: true", tls: "{ca_file: $DIR/ca.pem, cert_file: $DIR/client.pem, key_file: $DIR/client.key}", clients: true, allow: anybody},
		{name: "no client certificate", block: "follow_redirects: true", clients: true, allow: anybody, want: "certificate required"},
		{name: "basic", block: "basic_auth: {username: foreshock, password: s3cret}", allow: basic},
		{name: "basic from a file", block: "basic_auth: {username: foreshock, password_file: $DIR/secret}", allow: basic},
		{name: "wrong password", block: "basic_auth: {username: foreshock, password: wr0ng}", allow: basic, want: "401"},
		{name: "bearer", block: "authorization: {credentials: s3cret}", allow: header("Authorization", "Bearer s3cret")},
		{name: "bearer from a file beside the configuration", block: "authorization: {credentials_file: secret}", allow: header("Authorization", "Bearer s3cret")},
		{name: "oauth2", block: "oauth2: {client_id: foreshock, client_secret_file: $DIR/secret, token_url: $URL/token, scopes: [read], tls_config: {ca_file: $DIR/ca.pem}}",
			allow: header("Authorization", "Bearer token-1")},
		{name: "oauth2 with a wrong secret", block: "oauth2: {client_id: foreshock, client_secret: wr0ng, token_url: $URL/token, scopes: [read], tls_config: {ca_file: $DIR/ca.pem}}",
			allow: anybody, want: "401"},
		{name: "tenant", block: "http_headers: {X-Scope-OrgID: {values: [shop]}}", allow: header("X-Scope-OrgID", "shop")},
		{name: "header from a file", block: "http_headers: {X-Key: {files: [$DIR/secret]}}", allow: header("X-Key", "s3cret")},
		{name: "parameters", block: "follow_redirects: true", query: "?team=shop&max_source_resolution=raw",
			allow: func(r *http.Request) bool {
				return r.URL.Query().Get("team") == "shop" && r.URL.Query().Get("max_source_resolution") == "raw"
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, c.clients)
			g.allow = c.allow
			if err := os.WriteFile(g.ca.path("secret"), []byte("s3cret"), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.tls == "" {
				c.tls = "{ca_file: $DIR/ca.pem}"
			}
			if c.block += "\n"; c.tls != "none" {
				c.block += "    tls_config: " + c.tls + "\n"
			}
			block := strings.NewReplacer("$DIR", g.ca.dir, "$URL", g.URL).Replace(c.block)
			text := fmt.Sprintf("source:\n  url: %s%s\n  timeout: 20s\n  http_client:\n    %sidentity: [service]\n", g.URL, c.query, block)
			cfg, err := ParseConfig(filepath.Join(g.ca.dir, "foreshock.yml"), []byte(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			o := cfg.remote()
			o.Retries = -1
			if o.Results, err = source.OpenTemporary(source.TemporaryOptions{}); err != nil {
				t.Fatal(err)
			}
			defer o.Results.Close()
			remote, err := source.NewRemote(o)
			if err != nil {
				t.Fatal(err)
			}
			defer remote.Close()
			for range 2 {
				_, _, err = remote.Evaluate(t.Context(), `up`, time.Unix(1, 0))
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want an answer\n%s", err, text)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !source.IsUnavailable(err)):
				t.Errorf("got %v, want that the source is unavailable: %q", err, c.want)
			case err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wr0ng")):
				t.Errorf("the error %q gives the secret away", err)
			}
			if n := g.tokens.Load(); n > 1 {
				t.Errorf("%d tokens were fetched for two queries, want one", n)
			}
		})
	}
}
