package change

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/foreshock/foreshock/internal/topology"
)

func TestDecode(t *testing.T) {
	got, err := Decode(strings.NewReader(` {"service": "checkout", "namespace": "shop", "kind": "flag", "from": "off", "to": "on", "title": "x",
		"time": "2026-06-18T13:30:00+02:00", "id": "4711"} `), topology.Identity{}, start)
	want := Change{ID: "4711", Time: start.Add(-30 * time.Minute), Service: "shop/checkout", Kind: "flag", From: "off", To: "on", Title: "x"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	got, err = Decode(strings.NewReader(`{"service": "a/b"}`), topology.Identity{}, start.In(time.FixedZone("", 3600)))
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
		manyFields(): "more than 100 fields",
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
	f.Fuzz(func(t *testing.T, body string) {
		c, err := Decode(strings.NewReader(body), topology.Identity{}, start)
		if err != nil {
			return
		}
		if err := NewTracker().Add(c); err != nil {
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
	})
}
