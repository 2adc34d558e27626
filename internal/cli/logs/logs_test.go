package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/internal/cli/clitest"
	"devicetwin/internal/codec"
	"devicetwin/internal/recordlog"
	"devicetwin/internal/testfile"
	"devicetwin/points"
	"devicetwin/wire"
)

func run(args ...string) (status int, stdout, stderr string) {
	return runIn(context.Background(), args...)
}

func runIn(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = cli.Execute(ctx, new(Command), "devicetwin", "", args, &out, &errs)
	return status, out.String(), errs.String()
}

// began is when the first record of a test's log was received; each is a second later.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// writing is a log that a test writes.
type writing struct {
	*recordlog.Log
	t   *testing.T
	dir string
	at  time.Time
	end int64
}

func writeLog(t *testing.T, keys recordlog.Keys) *writing {
	t.Helper()
	w := &writing{t: t, dir: t.TempDir(), at: began}
	var err error
	w.Log, err = recordlog.Open(recordlog.Config{Dir: w.dir, MaxBytes: 64 << 20, SegmentBytes: 64 << 10, Keys: keys}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func (w *writing) add(kind byte, data []byte) {
	w.t.Helper()
	var err error
	if w.end, err = w.Append(recordlog.Record{Kind: kind, At: w.at, Data: data}); err != nil {
		w.t.Fatal(err)
	}
	w.at = w.at.Add(time.Second)
}

// flush waits until all is on the disk.
func (w *writing) flush() {
	w.t.Helper()
	if err := w.Wait(w.t.Context(), w.end); err != nil {
		w.t.Fatal(err)
	}
}

// reading adds the arrival of a reading.
func (w *writing) reading(id string, seq uint64, value string, v history.Verdict) {
	w.t.Helper()
	object := fmt.Sprintf(`{"seq": %d, "t": %s}`, seq, value)
	m := history.Message{Verdict: v, Measurement: "pump", Point: w.at}
	m.ID, m.Object, m.PointTime = device.ID(id), []byte(object), w.at
	m.Message = device.Message{Channel: device.ChannelTelemetry, Seq: seq, Epoch: 1}
	a := history.Arrival{Origin: "devices/" + id + "/telemetry", At: w.at, Payload: []byte(object), Messages: []history.Message{m}}
	w.add(history.KindArrival, a.Append(nil))
}

// sample writes one record of each kind, and some more.
func (w *writing) sample() {
	w.t.Helper()
	w.add(history.KindBegin, history.Begin{Instance: "i1", Bridge: "bridge-1"}.Append(nil))
	w.reading("pump-1", 1, "61.5", history.Irrelevant)
	w.reading("pump-2", 1, `"<hot>"`, history.Delivered)
	w.add(points.KindLines, testLines(w.t, w.at, `transitions,device=pump-1,model=pump count=1i 5`, `transitions,device=pump-2 count=1i 6`, `process,id=b up=1 7`))
	w.add(history.KindOutcome, history.Outcome{ID: "pump-2", UpTo: 300, Run: "r1"}.Append(nil))
	a := history.Arrival{Origin: "devices/pump-1/events/door", At: w.at, Again: true, Payload: []byte(`{"open":true}`)}
	m := history.Message{Verdict: history.Delivered, Received: wire.Received{ID: "pump-1", Object: a.Payload, PointTime: w.at}}
	m.Message = device.Message{Channel: device.ChannelEvents, Name: "door"}
	a.Messages = []history.Message{m}
	a.Outgoing = []history.Outgoing{
		{ID: "pump-1", Message: device.Message{Channel: device.ChannelSystem, Name: "gap", Data: map[string]any{"missing": 3.0}}},
		{ID: "pump-1", Message: m.Message, Of: 1},
	}
	w.add(history.KindArrival, a.Append(nil))
	w.add(99, []byte("from the future"))
	w.add(history.KindArrival, []byte{77})
	w.flush()
}

const sampleLines = `{"kind":"begin","at":"2026-03-01T12:00:00Z","instance":"i1","bridge":"bridge-1"}
{"kind":"arrival","at":"2026-03-01T12:00:01Z","device":"pump-1","channel":"telemetry","topic":"devices/pump-1/telemetry","epoch":1,"seq":1,"verdict":"irrelevant","measurement":"pump","point":"2026-03-01T12:00:01Z","data":{"seq":1,"t":61.5}}
{"kind":"arrival","at":"2026-03-01T12:00:02Z","device":"pump-2","channel":"telemetry","topic":"devices/pump-2/telemetry","epoch":1,"seq":1,"verdict":"delivered","measurement":"pump","point":"2026-03-01T12:00:02Z","data":{"seq":1,"t":"<hot>"}}
{"kind":"lines","at":"2026-03-01T12:00:03Z","lines":["transitions,device=pump-1,model=pump count=1i 5","transitions,device=pump-2 count=1i 6","process,id=b up=1 7"]}
{"kind":"outcome","at":"2026-03-01T12:00:04Z","device":"pump-2","up_to":300,"run":"r1"}
{"kind":"arrival","at":"2026-03-01T12:00:05Z","device":"pump-1","channel":"system","name":"gap","verdict":"added","data":{"missing":3}}
{"kind":"arrival","at":"2026-03-01T12:00:05Z","device":"pump-1","channel":"events","name":"door","topic":"devices/pump-1/events/door","verdict":"delivered","redelivered":true,"data":{"open":true}}
{"kind":"kind 99","at":"2026-03-01T12:00:06Z","bytes":15}
{"kind":"arrival","at":"2026-03-01T12:00:07Z","bytes":1,"error":"arrival: version 77; expected 1 or 2"}
`

// withoutPositions removes the positions of lines, and reports whether they rise.
func withoutPositions(t *testing.T, output string) string {
	t.Helper()
	var out strings.Builder
	last := int64(0)
	for line := range strings.Lines(output) {
		var head struct{ Position int64 }
		if err := json.Unmarshal([]byte(line), &head); err != nil || head.Position < last || head.Position == 0 {
			t.Errorf("position %d after %d, %v: %s", head.Position, last, err, line)
		}
		last = head.Position
		out.WriteString(strings.Replace(line, fmt.Sprintf(`"position":%d,`, head.Position), "", 1))
	}
	return out.String()
}

func TestExport(t *testing.T) {
	w := writeLog(t, nil)
	w.sample()
	status, out, stderr := run("export", w.dir)
	if got := withoutPositions(t, out); status != cli.ExitOK || got != sampleLines || stderr != "" {
		t.Errorf("status %d, %s\n%s\nwant\n%s", status, stderr, got, sampleLines)
	}
}

// The JSON of a device comes through as it was received, but for spaces.
func TestReceivedDataIsShownAsItIs(t *testing.T) {
	w := writeLog(t, nil)
	w.reading("p", 1, `12345678901234567890.1234567890`, history.Irrelevant)
	w.flush()
	if _, out, _ := run("export", w.dir); !strings.Contains(out, `"t":12345678901234567890.1234567890}`) {
		t.Errorf("got %s", out)
	}
}

func TestFilters(t *testing.T) {
	w := writeLog(t, nil)
	w.sample()
	all := slices.Collect(strings.Lines(sampleLines))
	for _, tt := range []struct {
		args []string
		want []int // of all lines
	}{
		{[]string{"--kind=begin", "--kind=outcome"}, []int{0, 4}},
		{[]string{"--kind=begin,lines"}, []int{0, 3}},
		{[]string{"--kind=arrival", "--device=pump-*"}, []int{1, 2, 5, 6}},
		{[]string{"--device=pump-1", "--kind=arrival,outcome"}, []int{1, 5, 6}},
		{[]string{"--device=pump-2", "--device=x", "--kind=arrival,outcome"}, []int{2, 4}},
		{[]string{"--device=pump"}, nil},
		{[]string{"--since=2026-03-01T12:00:05Z"}, []int{5, 6, 7, 8}},
		{[]string{"--until=2026-03-01T13:00:01+01:00"}, []int{0}},
		{[]string{"--since=2026-03-01T12:00:01Z", "--until=2026-03-01T12:00:02Z"}, []int{1}},
		{[]string{"--since=1s"}, nil},
	} {
		want := ""
		for _, i := range tt.want {
			want += all[i]
		}
		status, out, stderr := run(append([]string{"export", w.dir}, tt.args...)...)
		if got := withoutPositions(t, out); status != cli.ExitOK || got != want {
			t.Errorf("%q: status %d, %s\n%s\nwant\n%s", tt.args, status, stderr, got, want)
		}
	}
	// A record with lines of several devices shows those of the ones asked for.
	_, out, _ := run("export", w.dir, "--device=pump-2", "--kind=lines")
	if !strings.Contains(out, `"lines":["transitions,device=pump-2 count=1i 6"]`) {
		t.Errorf("got %s", out)
	}
	if _, out, _ = run("export", w.dir, "--until=1s"); withoutPositions(t, out) != sampleLines {
		t.Errorf("until a second ago: %s", out)
	}
}

// The last lines are those of an export, wherever segments begin.
func TestTail(t *testing.T) {
	w := writeLog(t, nil)
	for i := range 2000 {
		w.reading(fmt.Sprint("pump-", i%7), uint64(i), fmt.Sprint(i), history.Irrelevant)
		if i%100 == 50 {
			w.sample()
		}
	}
	w.flush()
	if n := w.Stats().Segments; n < 3 {
		t.Fatalf("%d segments", n)
	}
	for _, filter := range [][]string{nil, {"--device=pump-3"}, {"--kind=begin"}, {"--device=none"}} {
		_, all, _ := run(append([]string{"export", w.dir}, filter...)...)
		lines := slices.Collect(strings.Lines(all))
		for _, n := range []int{0, 1, 2, 10, 99, 500, 5000} {
			want := strings.Join(lines[max(0, len(lines)-n):], "")
			status, out, stderr := run(append([]string{"tail", w.dir, "-n", fmt.Sprint(n)}, filter...)...)
			if status != cli.ExitOK || out != want || stderr != "" {
				t.Errorf("%q -n %d: status %d, %s: %d lines, want %d", filter, n, status, stderr, strings.Count(out, "\n"), strings.Count(want, "\n"))
			}
		}
	}
	if _, out, _ := run("tail", w.dir); strings.Count(out, "\n") != 10 {
		t.Errorf("by default: %s", out)
	}
}

func TestTailFollows(t *testing.T) {
	w := writeLog(t, nil)
	w.sample()
	in, out := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		status := cli.Execute(ctx, new(Command), "devicetwin", "", []string{"tail", w.dir, "-f", "-n1", "--kind=arrival"}, out, io.Discard)
		out.Close()
		ended <- status
	}()
	lines := json.NewDecoder(in)
	next := func() (line messageLine) {
		t.Helper()
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		return line
	}
	next() // the newest one
	for i := range 5 {
		w.reading("pump-9", uint64(i+1), "1", history.Repeated)
		if got := next(); got.Seq != uint64(i+1) || got.Device != "pump-9" || got.Verdict != "repeated" {
			t.Errorf("got %+v, want number %d", got, i+1)
		}
	}
	stop()
	if status := <-ended; status != cli.ExitOK {
		t.Errorf("after Ctrl-C: status %d", status)
	}
}

// Whoever reads the output may have enough of it.
func TestBrokenPipes(t *testing.T) {
	w := writeLog(t, nil)
	for i := range 2000 {
		w.reading("pump-1", uint64(i), "1", history.Irrelevant)
	}
	w.flush()
	for _, args := range [][]string{{"export", w.dir}, {"tail", w.dir, "-n2000"}, {"tail", w.dir, "-n2000", "-f"}, {"tail", w.dir, "-n1"}} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		var stderr bytes.Buffer
		if status := cli.Execute(t.Context(), new(Command), "devicetwin", "", args, out, &stderr); status != cli.ExitOK || stderr.Len() > 0 {
			t.Errorf("%q: status %d, %s", args, status, stderr.String())
		}
		out.Close()
	}
}

// stopping is an output that interrupts the command after some bytes.
type stopping struct {
	bytes.Buffer
	left int
	stop func()
}

func (s *stopping) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestAnInterruptedExportSaysSo(t *testing.T) {
	w := writeLog(t, nil)
	for i := range 2000 {
		w.reading("pump-1", uint64(i), "1", history.Irrelevant)
	}
	w.flush()
	ctx, stop := context.WithCancel(t.Context())
	out, stderr := &stopping{left: 10_000, stop: stop}, new(bytes.Buffer)
	status := cli.Execute(ctx, new(Command), "devicetwin", "", []string{"export", w.dir}, out, stderr)
	if status != cli.ExitFailed || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if n := strings.Count(out.String(), "\n"); n == 0 || n == 2000 || !strings.HasSuffix(out.String(), "}\n") {
		t.Errorf("%d lines of 2000, the last one: %.200q", n, out.String()[max(0, out.Len()-200):])
	}
}

func TestEncryptedLogs(t *testing.T) {
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	other, err := codec.NewKey("k2")
	if err != nil {
		t.Fatal(err)
	}
	file := testfile.Write(t, "keys", line+"\n")
	keys, err := codec.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	w := writeLog(t, keys)
	w.sample()
	if status, out, stderr := run("export", w.dir, "--temporal-keys", file); status != cli.ExitOK || withoutPositions(t, out) != sampleLines {
		t.Errorf("status %d, %s\n%s", status, stderr, out)
	}
	for _, args := range [][]string{nil, {"--temporal-keys", testfile.Write(t, "keys", other+"\n")}} {
		for _, command := range []string{"export", "tail"} {
			status, out, stderr := run(append([]string{command, w.dir}, args...)...)
			if status != cli.ExitFailed || out != "" || !strings.Contains(stderr, `"k1"`) {
				t.Errorf("%s %q: status %d, %s\n%s", command, args, status, stderr, out)
			}
		}
	}
	if status, out, stderr := run("stats", w.dir); status != cli.ExitOK || !strings.Contains(out, "encrypted         with k1") {
		t.Errorf("status %d, %s\n%s", status, stderr, out)
	}
}

func TestStats(t *testing.T) {
	w := writeLog(t, nil)
	w.sample()
	c, err := w.Cursor("points", recordlog.Loses)
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := c.TryNext()
	if err != nil {
		t.Fatal(err)
	}
	c.Commit(e.End)
	c.Close()
	status, out, stderr := run("stats", w.dir, "-o", "json")
	var got stats
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != cli.ExitOK {
		t.Fatalf("status %d, %s, %v", status, stderr, err)
	}
	end := w.Stats().Durable
	if got.Records != 8 || got.Kinds["arrival"].Records != 4 || got.Kinds["lines"].Records != 1 || got.Kinds["kind 99"].Records != 1 || got.Segments != 1 || got.End != end {
		t.Errorf("%+v; want 8 records, 4 of arrivals, up to %d", got, end)
	}
	if !got.First.Equal(began) || !got.Last.Equal(began.Add(7*time.Second)) {
		t.Errorf("from %v to %v", got.First, got.Last)
	}
	if want := []cursorStats{{"points", e.End, end - e.End}}; !slices.Equal(got.Cursors, want) {
		t.Errorf("cursors %+v, want %+v", got.Cursors, want)
	}
	_, out, _ = run("stats", w.dir)
	for _, want := range []string{"records           8\n", "first             2026-03-01T12:00:00Z\n", "encrypted         no\n", "arrival  4 ", fmt.Sprintf("points  %d  ", e.End)} {
		if !strings.Contains(out, want) {
			t.Errorf("the table has no %q:\n%s", want, out)
		}
	}
}

func TestDamageIsReported(t *testing.T) {
	w := writeLog(t, nil)
	w.sample()
	files, err := filepath.Glob(filepath.Join(w.dir, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[bytes.Index(raw, []byte("<hot>"))] = '['
	if err := os.WriteFile(files[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := run("export", w.dir)
	if status != cli.ExitOK || !strings.Contains(stderr, "1 place in the log could not be read and was skipped") || strings.Count(out, "\n") != 8 {
		t.Errorf("status %d, %s\n%s", status, stderr, out)
	}
}

func TestUsage(t *testing.T) {
	w := writeLog(t, nil)
	w.sample()
	empty := t.TempDir()
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"export"}, "dir"},
		{[]string{"export", empty}, "there is no log in this folder"},
		{[]string{"stats", empty}, "there is no log in this folder"},
		{[]string{"tail", filepath.Join(empty, "none")}, "no such file"},
		{[]string{"stats", testfile.Write(t, "file", "x")}, "not a directory"},
		{[]string{"export", w.dir, "--since=yesterday", "--until=x", "--device=[", "--kind=points"}, `--kind "points"`},
		{[]string{"export", w.dir, "--since=yesterday", "--until=x", "--device=[", "--kind=points"}, `--since "yesterday"`},
		{[]string{"export", w.dir, "--since=yesterday", "--until=x", "--device=[", "--kind=points"}, `--device "["`},
		{[]string{"tail", w.dir, "--lines=-1"}, "0 or more"},
		{[]string{"export", w.dir, "--temporal-keys=/none"}, "--temporal-keys"},
		{[]string{"stats", w.dir, "-o", "yaml"}, "yaml"},
	} {
		if status, _, stderr := run(tt.args...); status != cli.ExitUsage || !strings.Contains(stderr, tt.says) {
			t.Errorf("%q: status %d, want %d and to read %q:\n%s", tt.args, status, cli.ExitUsage, tt.says, stderr)
		}
	}
}

// Every flag changes what is printed.
func TestEveryFlagIsUsed(t *testing.T) {
	w := writeLog(t, nil)
	for range 3 {
		w.sample()
	}
	tries := clitest.Tries(t, new(Command), map[string][]string{"stats": {w.dir}, "tail": {w.dir}, "export": {w.dir}, "devices": {w.dir}})
	for _, try := range tries {
		if try.Flag == "follow" {
			continue // TestTailFollows
		}
		status, out, stderr := run(try.Args...)
		changed, other, complaint := run(try.Changed...)
		if status == changed && out == other && stderr == complaint {
			t.Errorf("%s is accepted and not used", try)
		}
	}
	if len(tries) < 12 {
		t.Errorf("only %d flags", len(tries))
	}
}

// testLines is the data of a record of lines.
func testLines(t *testing.T, at time.Time, lines ...string) []byte {
	t.Helper()
	return points.LinesRecord(lines, at).Data
}
