package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
)

// defaultConnections is Prometheus's --web.max-connections.
const defaultConnections = 512

// newHTTPServer bounds how long a connection may take for what, so that those
// who send or read a byte at a time do not keep it from others for ever.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: 5 * time.Minute, // more than a query may take
		IdleTimeout:  2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve serves pages, API and metrics.
func (s *server) serve(ctx context.Context) error {
	handler, err := s.handler()
	if err != nil {
		return err
	}
	srv := newHTTPServer(handler, s.log)
	ended := make(chan error, 1)
	go func() {
		file := s.o.WebConfigFile
		err := toolkit.Serve(netutil.LimitListener(s.listener, cmp.Or(s.o.MaxConnections, defaultConnections)), srv, &toolkit.FlagConfig{WebConfigFile: &file}, s.log)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		srv.Close()
	}
	return <-ended
}
