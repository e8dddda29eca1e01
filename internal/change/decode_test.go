package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

func decodeOne(body string, now time.Time) (Change, error) {
	list, err := Decode(strings.NewReader(body), topology.Identity{}, now)
	if err != nil || len(list) != 1 {
		return Change{}, errors.Join(err, fmt.Errorf("%d changes", len(list)))
	}
	return list[0], nil
}

// One body announces maintenance of several services, each under an id of its own.
func TestDecodeOfSeveralServices(t *testing.T) {
	list, err := Decode(strings.NewReader(`{"services": ["database", "cache"], "namespace": "shop", "kind": "maintenance", "id": "CHG-4711",
		"time": "2026-06-18T22:00:00Z", "until": "2026-06-18T23:00:00Z"}`), topology.Identity{}, start)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	tr := NewTracker()
	for _, c := range list {
		got = append(got, fmt.Sprintf("%s %s %s %s", c.ID, c.Service, c.Kind, c.Until.Sub(c.Time)))
		if err := tr.Add(c); err != nil {
			t.Error(err)
		}
	}
	want := []string{"CHG-4711/shop/database shop/database maintenance 1h0m0s", "CHG-4711/shop/cache shop/cache maintenance 1h0m0s"}
	if !slices.Equal(got, want) || len(tr.All()) != 2 {
		t.Errorf("got %q, want %q", got, want)
	}
	list, err = Decode(strings.NewReader(`{"services": ["a", "b"], "kind": "config"}`), topology.Identity{}, start)
	if err != nil || len(list) != 2 || list[0].ID == list[1].ID {
		t.Errorf("without an id: got %+v, %v", list, err)
	}
}

// An id that stands for a change of another service is refused, in memory and in the file.
func TestIdOfAnotherService(t *testing.T) {
	tr := NewTracker()
	l, err := OpenLog(filepath.Join(t.TempDir(), "changes.log"), tr, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Add(Change{ID: "CHG-4711", Time: start, Service: "database"}); err != nil {
		t.Fatal(err)
	}
	var taken ErrTaken
	if err := l.Add(Change{ID: "CHG-4711", Time: start, Service: "cache"}); !errors.As(err, &taken) || taken.By != "database" {
		t.Errorf("got %v, want that the id is taken by database", err)
	}
	if data, err := os.ReadFile(l.path); err != nil || strings.Contains(string(data), "cache") {
		t.Errorf("the file holds what was refused: %s, %v", data, err)
	}
}

func TestDecode(t *testing.T) {
	got, err := decodeOne(` {"service": "checkout", "namespace": "shop", "kind": "flag", "from": "off", "to": "on", "title": "x",
		"time": "2026-06-18T13:30:00+02:00", "id": "4711"} `, start)
	want := Change{ID: "4711", Time: start.Add(-30 * time.Minute), Service: "shop/checkout", Kind: "flag", From: "off", To: "on", Title: "x"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	got, err = decodeOne(`{"service": "a/b"}`, start.In(time.FixedZone("", 3600)))
	want = Change{Time: start, Service: "a%2Fb", Kind: DefaultKind}
	want.ID = want.hash()
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	out, err := json.Marshal(got)
	if want := `{"id":"` + want.ID + `","time":"2026-06-18T12:00:00Z","service":"a%2Fb","kind":"deploy"}`; err != nil || string(out) != want {
		t.Errorf("as JSON: got %s, %v, want %s", out, err, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	id, err := topology.NewIdentity([]string{"namespace", "app"})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		``:                                  "ends too early",
		`{`:                                 "ends too early",
		`{"service"`:                        "ends too early",
		`{"service": "a"`:                   "ends too early",
		`{"service": "a",}`:                 "invalid JSON",
		`{service: "a"}`:                    "invalid JSON",
		`[]`:                                "want one JSON object",
		`"a"`:                               "want one JSON object",
		`{}`:                                "no service",
		`{"service": ""}`:                   "no service",
		`{"service": null}`:                 "want a text",
		`{"service": ["a"]}`:                "want a text",
		`{"service": "a", "to": 5}`:         "want a text",
		`{"service": "a", "service": "b"}`:  "stands twice",
		`{"service": "a", "app": "b"}`:      "has a value already",
		`{"service": "a", "tilte": "b"}`:    `did you mean "title"`,
		`{"service": "a", "cluster": "b"}`:  `unknown field "cluster"`,
		`{"service": "a"} {"service": "b"}`: "one change at a time",
		`{"service": "a"} x`:                "one change at a time",
		`{"service": "a", "time": "now"}`:   "RFC 3339",
		`{"service": "a", "time": ""}`:      "no time",
		`{"service": "a", "time": "2026-06-18T12:05:01Z"}`:               "lies in the future",
		`{"service": "a", "time": "2026-05-18T12:00:00Z"}`:               "too old",
		`{"service": "a", "title": "` + strings.Repeat("x", 3000) + `"}`: "title is longer",
		`{"service": "` + strings.Repeat("x", MaxBody) + `"}`:            "larger than 65536 bytes",
		manyFields():                          "more than 100 fields",
		`{"services": "a"}`:                   "want a list",
		`{"services": ["a", 1]}`:              "want a list",
		`{"services": ["a"`:                   "ends too early",
		`{"services": []}`:                    "services is empty",
		`{"services": ["a", ""]}`:             "item 2 is empty",
		`{"services": ["a", "a"]}`:            "stands twice",
		`{"service": "a", "services": ["b"]}`: "both stand there",
		`{"services": [` + strings.Repeat(`"x",`, 100) + `"y"]}`: "up to 100",
	} {
		if _, err := Decode(strings.NewReader(body), id, start); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q", body, err, want)
		}
	}
	broken := errors.New("connection reset")
	if _, err := Decode(io.MultiReader(strings.NewReader(`{"service": `), iotest.ErrReader(broken)), id, start); !errors.Is(err, broken) {
		t.Errorf("a body that cannot be read: got %v", err)
	}
}

func manyFields() string {
	var b strings.Builder
	b.WriteString(`{"service": "a"`)
	for i := range 101 {
		b.WriteString(`,"` + strings.Repeat("x", i+1) + `": ""`)
	}
	return b.String() + "}"
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"service": "checkout", "namespace": "shop", "kind": "flag", "from": "off", "to": "on", "title": "x", "time": "2026-06-18T12:00:00Z", "id": "4711"}`)
	f.Add(`{"service": "a"} {`)
	f.Add(`{"service": "\ud800", "time": "2026-06-18T12:00:00.123456789+23:59"}`)
	f.Add(`[{"service": {}}]`)
	f.Add(`{"services": ["a", "b"], "id": "4711"}`)
	f.Fuzz(func(t *testing.T, body string) {
		list, err := Decode(strings.NewReader(body), topology.Identity{}, start)
		if err != nil {
			return
		}
		tr := NewTracker()
		for _, c := range list {
			if err := tr.Add(c); err != nil {
				t.Fatalf("decoded but not kept: %v", err)
			}
			out, err := json.Marshal(c)
			var back Change
			if err == nil {
				err = json.Unmarshal(out, &back)
			}
			if err != nil || back != c {
				t.Fatalf("through JSON: got %+v, %v, want %+v", back, err, c)
			}
		}
	})
}
