package web

import (
	"fmt"
	"io"
	"net/http"
)

func (s *server) healthy(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "Foreshock is Healthy.\n")
}

// ready answers 503 with the reason until the program serves.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	ok, reason := s.Ready()
	if ok {
		plain(w, http.StatusOK, "Foreshock is Ready.\n")
		return
	}
	if reason == "" {
		reason = "starting"
	}
	plain(w, http.StatusServiceUnavailable, "Not ready: "+reason+"\n")
}

const lifecycleOff = "Lifecycle API is not enabled: start with --web.enable-lifecycle.\n"

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	if !s.EnableLifecycle {
		plain(w, http.StatusForbidden, lifecycleOff)
		return
	}
	if err := s.Reload(r.Context()); err != nil {
		plain(w, http.StatusInternalServerError, fmt.Sprintf("failed to reload config: %s\n", err))
	}
}

func (s *server) quit(w http.ResponseWriter, _ *http.Request) {
	if !s.EnableLifecycle {
		plain(w, http.StatusForbidden, lifecycleOff)
		return
	}
	plain(w, http.StatusOK, "Requesting termination... Goodbye!\n")
	s.Quit()
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	// An error here means that the client has gone: nobody is left to tell.
	_, _ = io.WriteString(w, text)
}
