package web

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

func (s *server) apiBuildInfo(w http.ResponseWriter, _ *http.Request) {
	st := s.Status()
	s.respond(w, map[string]string{"version": st.Version, "revision": st.Revision, "branch": st.Branch,
		"buildUser": st.BuildUser, "buildDate": st.BuildDate, "goVersion": st.GoVersion})
}

// jsonRuntime is Prometheus's shape.
type jsonRuntime struct {
	StartTime           time.Time `json:"startTime"`
	CWD                 string    `json:"CWD"`
	Hostname            string    `json:"hostname"`
	ServerTime          time.Time `json:"serverTime"`
	ReloadConfigSuccess bool      `json:"reloadConfigSuccess"`
	LastConfigTime      time.Time `json:"lastConfigTime"`
	CorruptionCount     int64     `json:"corruptionCount"`
	GoroutineCount      int       `json:"goroutineCount"`
	GOMAXPROCS          int       `json:"GOMAXPROCS"`
	GOMEMLIMIT          int64     `json:"GOMEMLIMIT"`
	GOGC                string    `json:"GOGC"`
	GODEBUG             string    `json:"GODEBUG"`
	StorageRetention    string    `json:"storageRetention"`
}

func (s *server) apiRuntimeInfo(w http.ResponseWriter, _ *http.Request) {
	st := s.Status()
	out := jsonRuntime{
		StartTime: st.Started.UTC(), ServerTime: s.Now().UTC(), ReloadConfigSuccess: st.ReloadError == "", LastConfigTime: st.LastReload.UTC(),
		GoroutineCount: runtime.NumGoroutine(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOMEMLIMIT: debug.SetMemoryLimit(-1),
		GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"), StorageRetention: st.Retention,
	}
	if st.LastReload.IsZero() {
		out.LastConfigTime = out.StartTime
	}
	var err, also error
	out.CWD, err = os.Getwd()
	out.Hostname, also = os.Hostname()
	if err = errors.Join(err, also); err != nil {
		s.respondError(w, errorInternal, err)
		return
	}
	s.respond(w, out)
}

// apiConfig shows the configuration in force, without its secrets.
func (s *server) apiConfig(w http.ResponseWriter, _ *http.Request) {
	if s.ConfigText == nil {
		s.respondError(w, errorNotFound, errors.New("this server does not show its configuration"))
		return
	}
	s.respond(w, map[string]string{"yaml": s.ConfigText()})
}

func (s *server) apiFlags(w http.ResponseWriter, _ *http.Request) { s.respond(w, orEmpty(s.Flags)) }

// Lists of /api/v1/status/tsdb are this long, and at most that long.
const (
	tsdbLimit    = 10
	tsdbMaxLimit = 10_000
)

func (s *server) apiTSDB(w http.ResponseWriter, r *http.Request) {
	if s.TSDB == nil {
		s.respondError(w, errorNotFound, errors.New("this server has no database of its own"))
		return
	}
	limit := tsdbLimit
	if text := r.FormValue("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > tsdbMaxLimit {
			s.respondError(w, errorBadData, invalidParam("limit", fmt.Errorf("want a number from 1 to %d", tsdbMaxLimit)))
			return
		}
	}
	out, err := s.TSDB(limit)
	if err != nil {
		s.respondError(w, errorInternal, err)
		return
	}
	s.respond(w, out)
}

// apiWALReplay says that the log was replayed, since nothing is answered before.
func (s *server) apiWALReplay(w http.ResponseWriter, _ *http.Request) {
	s.respond(w, map[string]int{"min": 0, "max": 0, "current": 0})
}

// apiFormatQuery prints an expression over several lines.
func (s *server) apiFormatQuery(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		s.respondError(w, errorBadData, err)
		return
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.FormValue("query"))
	if err != nil {
		s.respondError(w, errorBadData, invalidParam("query", err))
		return
	}
	s.respond(w, expr.Pretty(0))
}
