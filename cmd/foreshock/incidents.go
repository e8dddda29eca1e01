package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foreshock/foreshock/internal/app"
)

func runIncidents(ctx context.Context, args []string, std streams) error {
	o := app.IncidentsOptions{Now: time.Now(), Out: std.out, Err: std.err}
	var since, format string
	f := flags("incidents", "[--url=URL] [--since=7d] [INCIDENT]", std)
	f.StringVar(&o.URL, "url", "http://127.0.0.1:9095", "address of the running server")
	f.StringVar(&o.HTTPFile, "http.config.file", "", "HTTP client configuration for it, as promtool takes it")
	f.StringVar(&since, "since", "7d", "incidents that were there since: RFC 3339, Unix seconds, or an age such as 7d")
	f.StringVar(&o.State, "state", "", "only those that are open, or resolved")
	f.StringVar(&o.Severity, "severity", "", "only those of this severity: page or ticket")
	f.StringVar(&format, "format", "text", "text, or json as the API has it")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	o.ID, o.JSON = f.Arg(0), format == "json"
	var errs [4]error
	o.Since, errs[0] = moment("--since", since, o.Now)
	errs[1] = oneOf("--state", o.State, "", "open", "resolved")
	errs[2] = oneOf("--severity", o.Severity, "", "page", "ticket")
	errs[3] = oneOf("--format", format, "text", "json")
	if err := errors.Join(errs[:]...); err != nil {
		return usageError{err}
	}
	return app.Incidents(ctx, o)
}

// oneOf wants one of two words, or what stands for none.
func oneOf(flag, got string, words ...string) error {
	for _, w := range words {
		if got == w {
			return nil
		}
	}
	n := len(words)
	return fmt.Errorf("%s: %q: want %s or %s", flag, got, words[n-2], words[n-1])
}
