// Recordings writes what real instrumentation exposes, for the tests of the
// rule packs: each file is one scrape of a library that served requests, or of
// a collector that was given containers to report.
//
//	go run . http|grpc|cadvisor
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	kinds := map[string]func(*prometheus.Registry) error{"http": serveHTTP, "grpc": serveGRPC, "cadvisor": containers}
	if len(os.Args) != 2 || kinds[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: recordings http|grpc|cadvisor")
		os.Exit(2)
	}
	reg := prometheus.NewRegistry()
	if err := kinds[os.Args[1]](reg); err != nil {
		fmt.Fprintln(os.Stderr, "recordings:", err)
		os.Exit(1)
	}
	if err := scrape(reg, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "recordings:", err)
		os.Exit(1)
	}
}

// scrape writes what a scrape of the registry gets.
func scrape(reg *prometheus.Registry, out io.Writer) error {
	server := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(out, resp.Body)
	return err
}
