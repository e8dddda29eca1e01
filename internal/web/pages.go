package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/foreshock/foreshock/internal/plot"
)

//go:embed templates/*.html static/*
var files embed.FS

// pages are the parsed templates by name, each with the common frame.
type pages map[string]*template.Template

// parsePages parses every page together with the frame and the shared pieces.
func (s *server) parsePages() (pages, error) {
	funcs := template.FuncMap{
		"link": s.link, "clip": plot.Clip, "took": took, "plural": plural, "span": span,
		"style": func() string { return s.link("/static/style.css?v=" + s.static["style.css"].etag) },
		"icon":  func() string { return s.link("/static/icon.svg?v=" + s.static["icon.svg"].etag) },
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("web: templates: %w", err)
	}
	all := pages{}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		if base == "frame" {
			continue
		}
		t, err := template.New("frame.html").Funcs(funcs).ParseFS(files, "templates/frame.html", name)
		if err != nil {
			return nil, fmt.Errorf("web: template %s: %w", name, err)
		}
		all[base] = t
	}
	return all, nil
}

// frame is what every page has around its content.
type frame struct {
	Title   string
	Section string // which entry of the navigation is the present one
	Refresh int    // seconds until the browser asks again; 0: it does not
	Clock   string // when the page was made
	Shadow  bool
	Page    any
}

// render shows a page. It is made completely before anything is sent, so an
// error gives an error page and not half a page.
func (s *server) render(w http.ResponseWriter, code int, name string, f frame) {
	f.Clock = s.Now().UTC().Format("15:04:05")
	f.Shadow = s.Status().Mode == Shadow
	var b bytes.Buffer
	if err := s.pages[name].Execute(&b, f); err != nil {
		s.Logger.Error("a page could not be made", "page", name, "err", err)
		plain(w, http.StatusInternalServerError, "The page could not be made: the log has the details.\n")
		return
	}
	// Labels may hold control characters and bytes that are no UTF-8.
	page := plot.XMLText(b.String())
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// An error here means that the client has gone: nobody is left to tell.
	_, _ = io.WriteString(w, page)
}

func (s *server) pageError(w http.ResponseWriter, code int, err error) {
	s.render(w, code, "error", frame{Title: http.StatusText(code), Page: map[string]any{
		"Code": code, "Text": http.StatusText(code), "Error": err.Error()}})
}

// asset is a static file in memory.
type asset struct {
	body []byte
	etag string // without quotes
	mime string
}

func loadAssets() (map[string]asset, error) {
	mimes := map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	entries, err := files.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("web: static files: %w", err)
	}
	all := map[string]asset{}
	for _, e := range entries {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("web: static file %s: %w", e.Name(), err)
		}
		sum := sha256.Sum256(body)
		all[e.Name()] = asset{body: body, etag: hex.EncodeToString(sum[:8]), mime: mimes[path.Ext(e.Name())]}
	}
	return all, nil
}

// serveStatic lets browsers keep a file for a year when the address carries its
// version, and ask again each time when it does not.
func (s *server) serveStatic(w http.ResponseWriter, r *http.Request) {
	a, ok := s.static[r.PathValue("name")]
	if !ok {
		s.notFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.mime)
	h.Set("ETag", `"`+a.etag+`"`)
	if r.URL.Query().Get("v") == a.etag {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
