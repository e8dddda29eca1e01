package change

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
	"github.com/foreshock/foreshock/internal/yamlfile"
)

// MaxBody is the size of a posted change in bytes, at most.
const MaxBody = 64 << 10

// ahead is how far the clock of whoever posts may be before ours.
const ahead = 5 * time.Minute

const maxFields = 100

// MaxServices is how many services one posted change may name.
const MaxServices = 100

var bodyFields = []string{"service", "services", "kind", "from", "to", "title", "time", "until", "id"}

// Decode reads a change from a JSON object, the body of POST /api/v1/changes:
//
//	{"service": "checkout", "namespace": "shop", "kind": "deploy", "from": "1.4.2", "to": "1.5.0", "title": "…", "time": "2026-06-18T14:59:30Z", "id": "4711"}
//
// service is the service's own name, the last identity label; the other
// identity labels are fields as well. Only service is needed: kind is deploy,
// time is now and id a hash of the content where they are left out. All values
// are strings. In place of service, services lists the own names of up to
// [MaxServices] of them, which gives a change of each, with an id of its own:
// id/service. Maintenance has until, its end, as well, and may be announced up to
// 30 days ahead. Unknown and repeated fields, a body above [MaxBody], and a time
// in the future or before what is kept are errors.
func Decode(r io.Reader, id topology.Identity, now time.Time) ([]Change, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if len(data) > MaxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", MaxBody)
	}
	fields, err := object(data)
	if err != nil {
		return nil, err
	}
	last, _ := id.Label("service", "service")
	values, own := map[string]string{}, map[string]string{}
	var services []string
	for _, f := range fields {
		if f.name == "services" {
			services = f.list
			continue
		}
		if slices.Contains(bodyFields[2:], f.name) {
			own[f.name] = f.value
			continue
		}
		label, ok := id.Label(f.name, "service")
		if !ok {
			return nil, unknown(f.name, id)
		}
		if _, twice := values[label]; twice {
			return nil, fmt.Errorf("field %q: the label %q has a value already", f.name, label)
		}
		values[label] = f.value
	}
	c := Change{ID: own["id"], Time: now, Kind: own["kind"], From: own["from"], To: own["to"], Title: own["title"]}
	if err := c.times(own, now); err != nil {
		return nil, err
	}
	if services == nil {
		c.Service = id.OfMap(values)
		if c.Service == "" {
			return nil, errors.New(`the change has no service: send {"service": "…", …}`)
		}
		c, err = c.complete()
		return []Change{c}, err
	}
	if values[last] != "" {
		return nil, errors.New("service and services both stand there: send one of them")
	}
	return c.each(services, func(name string) topology.Service {
		values[last] = name
		return id.OfMap(values)
	})
}

// times sets when the change was made and, of maintenance, when it ends.
func (c *Change) times(own map[string]string, now time.Time) (err error) {
	if text, ok := own["time"]; ok {
		if c.Time, err = parseTime(text); err != nil {
			return err
		}
		if early := c.Time.Sub(now); early > ahead && own["until"] == "" || early > MaxAge {
			return fmt.Errorf("time: %s lies in the future (it is %s): post a change when it happens", text, now.UTC().Format(time.RFC3339))
		}
		if now.Sub(c.Time) > MaxAge {
			return fmt.Errorf("time: %s is too old: changes are kept for %d days", text, MaxAge/(24*time.Hour))
		}
	}
	if text, ok := own["until"]; ok {
		if c.Until, err = time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("until: %q is no time as of RFC 3339: write one such as 2026-06-18T14:59:30Z", text)
		}
	}
	return nil
}

// each is the change for each of several services.
func (c Change) each(names []string, service func(string) topology.Service) ([]Change, error) {
	var out []Change
	for k, name := range names {
		one := c
		if one.Service = service(name); name == "" || one.Service == "" {
			return nil, fmt.Errorf("services: item %d is empty", k+1)
		}
		if slices.ContainsFunc(out, func(o Change) bool { return o.Service == one.Service }) {
			return nil, fmt.Errorf("services: %q stands twice", name)
		}
		if c.ID != "" {
			one.ID = c.ID + "/" + string(one.Service)
		}
		one, err := one.complete()
		if err != nil {
			return nil, fmt.Errorf("services: %q: %w", name, err)
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, errors.New(`services is empty: send {"services": ["…"], …}`)
	}
	return out, nil
}

func unknown(name string, id topology.Identity) error {
	known := slices.Clone(bodyFields)
	for _, n := range id.Names() {
		if !slices.Contains(known, n) {
			known = append(known, n)
		}
	}
	return errors.New(yamlfile.Unknown("field", name, known))
}

type field struct {
	name, value string
	list        []string // of services
}

// object reads a JSON object of strings, and of a list of them, in its order.
func object(data []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	fail := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the JSON ends too early: send one object")
		}
		if errors.Is(err, errServices) {
			return err
		}
		return fmt.Errorf("invalid JSON at byte %d: %w", dec.InputOffset(), err)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, fail(err)
	}
	if token != json.Delim('{') {
		return nil, errors.New(`want one JSON object: {"service": "…", …}`)
	}
	var out []field
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fail(err)
		}
		value, err := dec.Token()
		if err != nil {
			return nil, fail(err)
		}
		f := field{name: name.(string)}
		var ok bool
		if f.name == "services" {
			if f.list, err = texts(dec, value); err != nil {
				return nil, fail(err)
			}
		} else if f.value, ok = value.(string); !ok {
			return nil, fmt.Errorf("field %q: want a text in quotes", f.name)
		}
		if slices.ContainsFunc(out, func(o field) bool { return o.name == f.name }) {
			return nil, fmt.Errorf("field %q stands twice", f.name)
		}
		if out = append(out, f); len(out) > maxFields {
			return nil, fmt.Errorf("more than %d fields", maxFields)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fail(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows after the object: send one change at a time")
	}
	return out, nil
}

var errServices = fmt.Errorf("field \"services\": want a list of up to %d texts: [\"checkout\", \"payments\"]", MaxServices)

// texts reads the rest of a list that begins with the token.
func texts(dec *json.Decoder, token json.Token) ([]string, error) {
	if token != json.Delim('[') {
		return nil, errServices
	}
	out := []string{}
	for dec.More() {
		item, err := dec.Token()
		if err != nil {
			return nil, err
		}
		text, ok := item.(string)
		if !ok || len(out) == MaxServices {
			return nil, errServices
		}
		out = append(out, text)
	}
	_, err := dec.Token()
	return out, err
}
