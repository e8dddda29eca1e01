package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
)

const (
	answerLimit   = 64 << 20 // bytes of a server's answer
	answerTimeout = 30 * time.Second
)

// IncidentsOptions say what a running server is asked for.
type IncidentsOptions struct {
	URL      string // of the server
	HTTPFile string // HTTP client configuration, as promtool takes it; "" for none
	ID       string // of one incident; "" lists them
	State    string // open or resolved; "" means both
	Severity string // page or ticket; "" means both
	Since    time.Time
	Now      time.Time
	JSON     bool
	Out, Err io.Writer
}

// Incidents asks a running server for its incidents, or for one of them, and
// writes them as text for people or as the API's JSON.
func Incidents(ctx context.Context, o IncidentsOptions) error {
	ask, err := newAsker(program{"--url", "foreshock", "http://localhost:9095"}, o.URL, o.HTTPFile)
	if err != nil {
		return err
	}
	defer ask.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if o.ID != "" {
		var one shownIncident
		raw, err := ask.get(ctx, "/api/v1/incidents/"+url.PathEscape(o.ID), nil, &one)
		if err != nil {
			return err
		}
		if o.JSON {
			return writeJSON(o.Out, raw)
		}
		return one.write(o.Out, o.Now)
	}
	query := url.Values{"since": {strconv.FormatInt(o.Since.Unix(), 10)}}
	if o.State != "" {
		query.Set("state", o.State)
	}
	var list struct {
		Mode      string            `json:"mode"`
		Incidents []json.RawMessage `json:"incidents"`
	}
	if _, err := ask.get(ctx, "/api/v1/incidents", query, &list); err != nil {
		return err
	}
	if reason := ask.notReady(ctx); reason != "" {
		fmt.Fprintf(o.Err, "%s is not ready yet (%s): what it shows is of the past that it has replayed so far\n", ask.name(), clean(reason))
	}
	var shown []shownIncident
	kept := []json.RawMessage{}
	for _, raw := range list.Incidents {
		var i shownIncident
		if err := json.Unmarshal(raw, &i); err != nil {
			return fmt.Errorf("%s: not an incident: %w", ask.name(), err)
		}
		if o.Severity == "" || i.Severity == o.Severity {
			shown, kept = append(shown, i), append(kept, raw)
		}
	}
	if o.JSON {
		all, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		return writeJSON(o.Out, all)
	}
	return writeIncidents(o, list.Mode, shown)
}

// program is what is asked: the flag with its address, its name, and an address for an example.
type program struct{ flag, what, example string }

// asker asks a program's API.
type asker struct {
	program
	base   *url.URL
	client *http.Client
}

func newAsker(p program, address, httpFile string) (*asker, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, UsageError{fmt.Errorf("%s: want the address of a running %s such as %s", p.flag, p.what, p.example)}
	}
	cfg := promconfig.DefaultHTTPClientConfig
	if httpFile != "" {
		loaded, _, err := promconfig.LoadHTTPConfigFile(httpFile)
		if err != nil {
			return nil, fmt.Errorf("--http.config.file: %w", err)
		}
		cfg = *loaded
	}
	client, err := promconfig.NewClientFromConfig(cfg, "foreshock")
	if err != nil {
		return nil, fmt.Errorf("--http.config.file: %w", err)
	}
	return &asker{p, u, client}, nil
}

// name is the server's address without a password.
func (a *asker) name() string { return a.base.Redacted() }

// do asks for a path and returns the status and the body.
func (a *asker) do(ctx context.Context, path string, query url.Values) (int, []byte, error) {
	u := *a.base
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawPath, u.RawQuery = "", query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err // it names the URL, with a password
		}
		return 0, nil, fmt.Errorf("%s does not answer: %w: is %s running there? %s says where", a.name(), err, a.what, a.flag)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%s: read its answer: %w", a.name(), err)
	case len(body) > answerLimit:
		return 0, nil, fmt.Errorf("%s: its answer has more than %d MiB", a.name(), answerLimit>>20)
	}
	return resp.StatusCode, body, nil
}

// get decodes the data of an answer, and returns them as they came as well.
func (a *asker) get(ctx context.Context, path string, query url.Values, into any) (json.RawMessage, error) {
	status, body, err := a.do(ctx, path, query)
	if err != nil {
		return nil, err
	}
	var envelope struct {
		Status string          `json:"status"`
		Error  string          `json:"error"`
		Data   json.RawMessage `json:"data"`
	}
	err = json.Unmarshal(body, &envelope)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("%s: %s: give user and password, or a certificate, with --http.config.file", a.name(), http.StatusText(status))
	case err == nil && envelope.Status == "error":
		return nil, fmt.Errorf("%s: %s", a.name(), clean(envelope.Error))
	case err != nil || envelope.Status != "success":
		return nil, fmt.Errorf("%s: %d %s: this is not foreshock's API: --url says where foreshock runs", a.name(), status, http.StatusText(status))
	}
	if err := json.Unmarshal(envelope.Data, into); err != nil {
		return nil, fmt.Errorf("%s: not foreshock's API, or one of another version: %w", a.name(), err)
	}
	return envelope.Data, nil
}

// notReady says why the server is not ready; "" when it is, or says nothing.
func (a *asker) notReady(ctx context.Context) string {
	status, body, err := a.do(ctx, "/-/ready", nil)
	if err != nil || status != http.StatusServiceUnavailable {
		return ""
	}
	return strings.TrimSpace(string(body[:min(len(body), 500)]))
}

func writeJSON(w io.Writer, raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}
