package app

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/foreshock/foreshock/detectors"
)

func detectText(in string, o DetectOptions) (string, error) {
	var out bytes.Buffer
	err := Detect(context.Background(), strings.NewReader(in), &out, o)
	return out.String(), err
}

// detectInput makes n samples a minute apart with one spike at at.
func detectInput(n, at int) string {
	var b strings.Builder
	b.WriteString("timestamp,value,label\n")
	for i := range n {
		v := 100 + 3*math.Sin(float64(i)*1.7) + 2*math.Cos(float64(i)*0.37)
		if i == at {
			v = 500
		}
		fmt.Fprintf(&b, "%d,%g,0\n", 1_700_438_400+60*i, v)
	}
	return b.String()
}

func TestDetectFindsSpike(t *testing.T) {
	for _, reader := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.OneByteReader,
	} {
		var out bytes.Buffer
		const n, at = 3000, 2500
		if err := Detect(context.Background(), reader(strings.NewReader(detectInput(n, at))), &out, DetectOptions{}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != n+1 || strings.Join(rows[0], ",") != "timestamp,value,expected,lower,upper,score" {
			t.Fatalf("%d rows with header %v", len(rows), rows[0])
		}
		if rows[1][5] != "" || rows[1][1] != "100" && rows[1][1] != "102" {
			t.Errorf("first row %v, want a value and no score", rows[1])
		}
		for i, r := range rows[200:] {
			score, err := strconv.ParseFloat(r[5], 64)
			if err != nil {
				t.Fatalf("row %d: %v", i+200, r)
			}
			if (score >= 1) != (i+199 == at) {
				t.Errorf("row %d: score %v", i+200, score)
			}
		}
	}
}

func TestDetectTimestamps(t *testing.T) {
	in := "\ufefftime, value\r\n" +
		"2024-01-01T00:00:00Z, 1\r\n" +
		"\"2024-01-01T01:01:00+01:00\",\"2\",x\r\n" +
		"\n" +
		"1704067320.5,\n" +
		"1704067320.5,NaN\n" +
		"1704067380,4,,,\"unclosed"
	want := "timestamp,value,expected,lower,upper,score\n" +
		"2024-01-01T00:00:00Z,1,,,,\n" +
		"2024-01-01T01:01:00+01:00,2,1,,,\n" +
		"1704067320.5,,,,,\n" +
		"1704067320.5,,,,,\n"
	got, err := detectText(in, DetectOptions{})
	if err != nil || !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 6 {
		t.Errorf("got %q, %v; want it to begin with %q", got, err, want)
	}
	for _, empty := range []string{"", "\n\n", "timestamp,value\n"} {
		got, err := detectText(empty, DetectOptions{})
		if err != nil || got != "timestamp,value,expected,lower,upper,score\n" {
			t.Errorf("input %q: %q, %v", empty, got, err)
		}
	}
}

func TestDetectErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"1,1\nyesterday,2\n", `line 2, column 1: timestamp "yesterday": expected RFC 3339`},
		{"yesterday,2\n", `line 1, column 1: timestamp "yesterday"`},
		{"a,b\nc,d\n", `line 2, column 1: timestamp "c"`},
		{"1,1\n2,  five\n", `line 2, column 5: value "five": expected a finite number`},
		{"1,1\n2,+Inf\n", `line 2, column 3: value "+Inf"`},
		{"1,1\n2\n", "line 2, column 2: a value is missing"},
		{"2,1\n1,1\n", `line 2, column 1: timestamp "1" is earlier than the one before`},
		{"1700438400000,1\n", "expected Unix seconds, not milliseconds"},
		{"1,1\n\"2,5\n", "line 2, column 1: a quote is not closed"},
		{"1,1\n\"2\"x,5\n", "line 2, column 4: expected a comma"},
		{"1,1\n2," + strings.Repeat("9", 70_000) + "\n", "line 2: longer than 65536 bytes"},
	} {
		_, err := detectText(c.in, DetectOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("input %.40q: error %v, want it to contain %q", c.in, err, c.want)
		}
	}
	for _, c := range []struct {
		o    DetectOptions
		want string
	}{
		{DetectOptions{Detector: "peers"}, "detector peers compares the members of a group, and detect judges one series"},
		{DetectOptions{Detector: "spikes"}, `unknown detector "spikes": the detectors are `},
		{DetectOptions{Options: &detectors.SpikeOptions{}}, "options of detector spike: slots is 0"},
		{DetectOptions{Detector: "level_shift", Options: detectors.Spike.Options()}, "options are a"},
		{DetectOptions{Budget: detectors.Budget{Events: -1, Per: time.Hour}}, "false-alarm budget"},
		{DetectOptions{Step: -time.Second}, "must not be negative"},
	} {
		got, err := detectText("1,1\n", c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != "" {
			t.Errorf("%+v: error %v, output %q; want an error with %q and no output", c.o, err, got, c.want)
		}
	}
	if err := Detect(context.Background(), iotest.ErrReader(errors.New("torn")), io.Discard, DetectOptions{}); err == nil || !strings.Contains(err.Error(), "line 1: reading the series: torn") {
		t.Errorf("a reader's error comes back as %v", err)
	}
	r, w := io.Pipe()
	r.CloseWithError(errors.New("full"))
	if err := Detect(context.Background(), strings.NewReader(detectInput(2000, 5)), w, DetectOptions{}); err == nil || !strings.Contains(err.Error(), "writing scores: full") {
		t.Errorf("a writer's error comes back as %v", err)
	}
}

// TestDetectStep: the step is the median distance, given or found.
func TestDetectStep(t *testing.T) {
	in := detectInput(500, -1)
	found, err := detectText(in, DetectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	given, err := detectText(in, DetectOptions{Step: time.Minute})
	if err != nil || given != found {
		t.Errorf("with the step given the scores differ, error %v", err)
	}
}

// TestDetectFlushes: what is judged is written while the input stays open.
func TestDetectFlushes(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		done <- Detect(ctx, inR, outW, DetectOptions{Step: time.Minute})
		outW.Close()
	}()
	go io.WriteString(inW, "60,5\n")
	buf := make([]byte, 200)
	got := ""
	for !strings.Contains(got, "60,5,") {
		n, err := outR.Read(buf)
		if err != nil {
			t.Fatalf("read %q, then %v", got, err)
		}
		got += string(buf[:n])
	}
	cancel()
	go io.WriteString(inW, "120,5\n")
	go io.Copy(io.Discard, outR)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: %v", err)
	}
	inR.Close()
}

func FuzzDetect(f *testing.F) {
	f.Add("timestamp,value\n1,2\n2,3\n")
	f.Add("2024-01-01T00:00:00Z,1\n2024-01-01T00:01:00Z,\n")
	f.Add("\"1\" , \"2\"\r\n1e9,1e300\n1e10,-1e300\n")
	f.Add("-1,5\n0,5\n0.001,5\n,\n")
	f.Fuzz(func(t *testing.T, in string) {
		for _, name := range []string{"spike", "level_shift"} {
			got, err := detectText(in, DetectOptions{Detector: name})
			if err == nil && !strings.HasPrefix(got, "timestamp,value,expected,lower,upper,score\n") {
				t.Errorf("%s: no header in %q", name, got)
			}
			if rows, csvErr := csv.NewReader(strings.NewReader(got)).ReadAll(); csvErr != nil {
				t.Errorf("%s: bad CSV %q (%d rows): %v", name, got, len(rows), csvErr)
			}
			again, _ := detectText(in, DetectOptions{Detector: name})
			if again != got {
				t.Errorf("%s: two runs differ", name)
			}
		}
	})
}
