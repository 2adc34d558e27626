package service

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/devicefsm/replay"
	devicejournal "devicetwin/internal/journal"
	"devicetwin/internal/recordlog"
	"devicetwin/internal/testlog"
	"devicetwin/points"
	"devicetwin/wire"
	twinclient "devicetwin/workflows/client"
)

// deletedPoints is an InfluxDB that knows what was deleted.
type deletedPoints struct {
	mutex sync.Mutex
	got   []string
	err   error
}

func (d *deletedPoints) Delete(_ context.Context, name string, until time.Time) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.err != nil {
		return d.err
	}
	d.got = append(d.got, fmt.Sprint(name, until.Unix()))
	return nil
}

func (d *deletedPoints) fail(err error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.err = err
}

// erasing is an eraser with its log, over restarts.
type erasing struct {
	*eraser
	t      *testing.T
	log    *recordlog.Log
	dir    string
	influx *deletedPoints
	said   testlog.Lines
}

func newErasing(t *testing.T) *erasing {
	t.Helper()
	e := &erasing{t: t, dir: t.TempDir(), influx: &deletedPoints{}}
	e.open()
	t.Cleanup(func() { e.log.Close() })
	return e
}

func (e *erasing) open() {
	e.t.Helper()
	var err error
	if e.log, err = recordlog.Open(recordlog.Config{Dir: e.dir, MaxBytes: recordlog.MinBytes}, nil); err != nil {
		e.t.Fatal(err)
	}
	e.eraser = newEraser(e.log, nil, e.influx, e.said.Logger())
}

func (e *erasing) restart() {
	e.t.Helper()
	if err := e.log.Close(); err != nil {
		e.t.Fatal(err)
	}
	e.open()
}

func (e *erasing) put(kind byte, at int64, data []byte) {
	e.t.Helper()
	if _, err := e.log.Append(recordlog.Record{Kind: kind, At: time.Unix(at, 0), Data: data}); err != nil {
		e.t.Fatal(err)
	}
}

// arrival appends one of a device.
func (e *erasing) arrival(id device.ID, at int64) {
	m := history.Message{Received: wire.Received{ID: id, Object: []byte(fmt.Sprintf(`{"at":%d}`, at)), PointTime: time.Unix(at, 0)}}
	a := history.Arrival{Origin: "devices/" + string(id), At: time.Unix(at, 0), Payload: m.Object, Messages: []history.Message{m}}
	e.put(history.KindArrival, at, a.Append(nil))
}

// content says what is in the log.
func (e *erasing) content() (list []string) {
	e.t.Helper()
	if err := e.log.Wait(e.t.Context(), e.log.Stats().End); err != nil {
		e.t.Fatal(err)
	}
	r, err := recordlog.OpenReader(e.dir, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	defer r.Close()
	for {
		entry, ok, err := r.TryNext()
		if err != nil {
			e.t.Fatal(err)
		}
		if !ok {
			return list
		}
		var what string
		switch entry.Kind {
		case history.KindArrival:
			ids, err := history.Devices(entry.Data)
			what = fmt.Sprintf("%s %v", ids, err)
		case points.KindLines:
			lines, err := points.Lines(entry.Record)
			what = fmt.Sprintf("%s %v", lines, err)
		default:
			what = string(entry.Data)
		}
		list = append(list, fmt.Sprintf("%d %d %s", entry.Kind, entry.At.Unix(), what))
	}
}

func ending(id device.ID, at int64) twinclient.Ending {
	return twinclient.Ending{Device: id, Run: fmt.Sprint(id, at), At: time.Unix(at, 0), Erase: true}
}

func (e *erasing) once() (waits bool) {
	e.t.Helper()
	waits, err := e.erase(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	return waits
}

func TestADeviceIsErasedFromTheLog(t *testing.T) {
	e := newErasing(t)
	for at := range int64(4) {
		e.arrival("pump-1", at)
		e.arrival("pump-10", at)
		e.put(history.KindOutcome, at, history.Outcome{ID: "pump-1", UpTo: at}.Append(nil))
		e.put(points.KindLines, at, points.LinesRecord([]string{"a,device=pump-1 x=1 1", "a,device=pump-10 x=1 1", "b x=1 1"}, time.Unix(at, 0)).Data)
	}
	e.put(points.KindLines, 1, points.LinesRecord([]string{"a,device=pump-1 x=1 1"}, time.Unix(1, 0)).Data)
	e.put(history.KindArrival, 1, []byte("\x63 pump-1, of another release"))
	if err := e.add(t.Context(), ending("pump-1", 2)); err != nil {
		t.Fatal(err)
	}
	var forgotten []device.ID
	e.forget = func(_ context.Context, ids ...device.ID) { forgotten = append(forgotten, ids...) }
	if e.once() {
		t.Error("it waits without a reader")
	}
	var want []string
	for at := range int64(4) {
		gone := at <= 2
		if !gone {
			want = append(want, fmt.Sprintf("1 %d [pump-1] <nil>", at))
		}
		want = append(want, fmt.Sprintf("1 %d [pump-10] <nil>", at))
		lines := "[a,device=pump-10 x=1 1 b x=1 1]"
		if !gone {
			want = append(want, fmt.Sprintf(`3 %d {"id":"pump-1","to":%d}`, at, at))
			lines = "[a,device=pump-1 x=1 1 a,device=pump-10 x=1 1 b x=1 1]"
		}
		want = append(want, fmt.Sprintf("2 %d %s <nil>", at, lines))
	}
	want = append(want, "1 1 [] arrival: version 99; expected 1 or 2")
	if got := e.content(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(e.influx.got, []string{"pump-12"}) || len(e.pending()) > 0 || !slices.Equal(forgotten, []device.ID{"pump-1"}) {
		t.Errorf("deleted %q, pending %v, forgotten %q", e.influx.got, e.pending(), forgotten)
	}
}

// The bridge notes that a workflow ended when it hears of it: after the end, and perhaps
// after the log was erased, unless it has forgotten the device by then.
func TestTheEndItselfIsErased(t *testing.T) {
	e := newErasing(t)
	e.arrival("a", 1)
	noted := history.Outcome{ID: "a", Ended: true}.Append(nil)
	e.forget = func(context.Context, ...device.ID) { e.put(history.KindOutcome, 5, noted) } // what came first
	e.put(history.KindOutcome, 4, noted)
	e.put(history.KindOutcome, 4, history.Outcome{ID: "b", Ended: true}.Append(nil))
	e.put(history.KindOutcome, 4, history.Outcome{ID: "a", UpTo: 9}.Append(nil)) // of the device that comes after it
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	e.once()
	want := []string{`3 4 {"id":"b","ended":true}`, `3 4 {"id":"a","to":9}`}
	if got := e.content(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Nothing of the device may get to InfluxDB after its points were deleted there.
func TestPointsAreDeletedAfterTheLastOne(t *testing.T) {
	e := newErasing(t)
	c, err := e.log.Cursor(points.CursorName, recordlog.Loses)
	if err != nil {
		t.Fatal(err)
	}
	e.arrival("a", 1)
	e.arrival("b", 1)
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	if !e.once() || len(e.influx.got) > 0 {
		t.Errorf("deleted %q before the points were written", e.influx.got)
	}
	if got := e.content(); len(got) != 1 {
		t.Errorf("the log still has %q", got)
	}
	e.arrival("b", 3) // what comes now need not be written
	c.Commit(e.pending()[0].Logged)
	if e.once() || !slices.Equal(e.influx.got, []string{"a2"}) {
		t.Errorf("deleted %q, want a", e.influx.got)
	}
}

// What is left of a record of lines may need more room than there was: it is kept anyway,
// at the end of the log.
func TestWhatIsLeftOfARecordMayBeLarger(t *testing.T) {
	e := newErasing(t)
	random := rand.New(rand.NewPCG(1, 2))
	var want []string
	for range 20 {
		text := make([]byte, 300)
		for i := range text {
			text[i] = "abcde"[min(random.IntN(5), random.IntN(5))]
		}
		line := fmt.Sprintf(`m,device=kept s="%s" 1`, text)
		// As another writer may have made it: of such text, that takes less.
		e.put(points.KindLines, 1, linesCompressed(t, flate.HuffmanOnly, "m,device=gone x=1 1", line))
		want = append(want, fmt.Sprintf("2 1 [%s] <nil>", line))
	}
	before := e.content()
	if err := e.add(t.Context(), ending("gone", 2)); err != nil {
		t.Fatal(err)
	}
	e.once()
	got := e.content()
	if slices.Equal(got, want) {
		t.Error("all that is left had room")
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) || len(before) != len(want) || len(e.pending()) > 0 {
		t.Errorf("pending %v, got\n%s\nwant\n%s", e.pending(), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// linesCompressed is the data of a record of lines.
func linesCompressed(t *testing.T, level int, lines ...string) []byte {
	t.Helper()
	data := bytes.NewBuffer(binary.AppendUvarint(nil, uint64(len(lines))))
	z, err := flate.NewWriter(data, level)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		_, _ = z.Write(append(binary.AppendUvarint(nil, uint64(len(line))), line...))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// What is to be erased survives the process, and what fails is tried again.
func TestErasingSurvivesTheProcess(t *testing.T) {
	e := newErasing(t)
	e.arrival("a", 1)
	e.influx.fail(errors.New("no connection"))
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	since := time.Unix(77, 0).UTC()
	e.reached(since)
	if _, err := e.erase(t.Context()); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("without InfluxDB: %v", err)
	}
	e.restart()
	if !e.state.Since.Equal(since) || len(e.pending()) != 1 || len(e.content()) != 0 {
		t.Errorf("since %v, pending %v, log %q", e.state.Since, e.pending(), e.content())
	}
	if w := e.watch(nil, time.Second); !w.Since.Equal(since) {
		t.Errorf("the list is read on from %v, want %v", w.Since, since)
	}
	e.influx.fail(nil)
	e.once()
	e.restart()
	if len(e.pending()) > 0 || !slices.Equal(e.influx.got, []string{"a2"}) {
		t.Errorf("pending %v, deleted %q", e.pending(), e.influx.got)
	}
}

func TestRunErasesWhatIsAdded(t *testing.T) {
	e := newErasing(t)
	e.influx.fail(errors.New("no connection"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { e.run(ctx); close(done) }()
	e.arrival("a", 1)
	if err := e.add(ctx, ending("a", 2), ending("b", 3)); err != nil {
		t.Fatal(err)
	}
	for e.said.Count("cannot erase the data") == 0 {
		time.Sleep(time.Millisecond)
	}
	e.influx.fail(nil)
	if err := e.add(ctx, ending("b", 3), ending("c", 4)); err != nil {
		t.Fatal(err)
	}
	for len(e.pending()) > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	e.influx.mutex.Lock()
	defer e.influx.mutex.Unlock()
	if slices.Sort(e.influx.got); !slices.Equal(e.influx.got, []string{"a2", "b3", "c4"}) {
		t.Errorf("deleted %q", e.influx.got)
	}
	if n := e.said.Count("cannot erase the data"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, e.said.String())
	}
}

func TestAnInfluxDBThatCannotDelete(t *testing.T) {
	e := newErasing(t)
	e.influx.fail(fmt.Errorf("asked: %w", points.ErrCannotDelete))
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	e.once()
	if len(e.pending()) > 0 || e.said.Count("stay in InfluxDB") != 1 {
		t.Errorf("pending %v\n%s", e.pending(), e.said.String())
	}
}

// A bridge deletes the points of its share; its log may have had another.
func TestABridgeDeletesThePointsOfItsShare(t *testing.T) {
	e := newErasing(t)
	e.ahead = 5 * time.Second // clocks of devices
	e.owns = func(name string) bool { return name == "mine" }
	e.arrival("mine", 1)
	e.arrival("other", 1)
	if err := e.add(t.Context(), ending("mine", 2), ending("other", 2)); err != nil {
		t.Fatal(err)
	}
	e.once()
	if got := e.content(); len(got) > 0 || !slices.Equal(e.influx.got, []string{"mine7"}) {
		t.Errorf("the log has %q, deleted %q", got, e.influx.got)
	}
}

func TestADeviceIsErasedAgain(t *testing.T) {
	e := newErasing(t)
	e.arrival("a", 1)
	e.arrival("a", 5)
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	if err := e.add(t.Context(), ending("a", 6), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	e.once()
	if got := e.content(); len(got) > 0 || len(e.pending()) > 0 {
		t.Errorf("the log has %q, pending %v", got, e.pending())
	}
}

func TestWithoutALogPointsAreDeleted(t *testing.T) {
	influx := &deletedPoints{}
	e := newEraser(nil, nil, influx, slog.New(slog.DiscardHandler))
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	if waits, err := e.erase(t.Context()); !waits || err != nil || len(influx.got) > 0 {
		t.Errorf("at once: waits %v, %v, deleted %q", waits, err, influx.got)
	}
	e.state.Pending[0].added = time.Now().Add(-erasureWait)
	if waits, err := e.erase(t.Context()); waits || err != nil || !slices.Equal(influx.got, []string{"a2"}) {
		t.Errorf("later: waits %v, %v, deleted %q", waits, err, influx.got)
	}
}

func TestAFileOfErasuresThatCannotBeRead(t *testing.T) {
	e := newErasing(t)
	if err := os.WriteFile(filepath.Join(e.dir, erasuresFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.restart()
	if len(e.pending()) > 0 || e.said.Count("cannot read which deleted devices") != 1 {
		t.Errorf("pending %v\n%s", e.pending(), e.said.String())
	}
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	e.restart()
	if len(e.pending()) != 1 || e.said.Count("cannot read which deleted devices") != 1 {
		t.Errorf("pending %v\n%s", e.pending(), e.said.String())
	}
}

// erasingInputs is an eraser with a journal that has something of device a.
func erasingInputs(t *testing.T, dir string) (*erasing, *devicejournal.Writer) {
	t.Helper()
	e := newErasing(t)
	w, err := devicejournal.Open(devicejournal.Config{Dir: dir, MaxBytes: devicejournal.MinBytes}, devicejournal.NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	w.Took(&replay.Entry{Device: "a", N: 1, Instance: "i", Task: time.Unix(1, 0)})
	e.inputs = w
	return e, w
}

// A file of the journal that cannot be read does not keep the log and InfluxDB from being erased; that
// it is not done stays noted.
func TestAJournalThatCannotBeReadDelaysNothingElse(t *testing.T) {
	dir := t.TempDir()
	e, w := erasingInputs(t, dir)
	foreign := filepath.Join(dir, "20200101T000000.000Z-aaaaaaaa.jsonl.zst")
	if err := os.WriteFile(foreign, []byte("of another program"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.arrival("a", 1)
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := e.erase(t.Context()); err == nil || !strings.Contains(err.Error(), filepath.Base(foreign)) {
			t.Errorf("error %v: want one that names the file", err)
		}
		e.restart()
		e.inputs = w
	}
	if got := e.content(); len(got) > 0 || !slices.Equal(e.influx.got, []string{"a2"}) || len(e.pending()) != 1 {
		t.Errorf("the log has %q, deleted %q, pending %v", got, e.influx.got, e.pending())
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	if waits := e.once(); waits || len(e.pending()) > 0 || !slices.Equal(e.influx.got, []string{"a2"}) {
		t.Errorf("waits %t, pending %v, deleted %q", waits, e.pending(), e.influx.got)
	}
}

// What another worker has in its file is its own to erase: until then it stays noted.
func TestAnErasureWaitsForAnotherWorkersJournal(t *testing.T) {
	dir := t.TempDir()
	e, _ := erasingInputs(t, dir)
	_, other := erasingInputs(t, dir)
	written := func() (n int) {
		files, err := devicejournal.Files(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := devicejournal.Read(t.Context(), files, nil, func(int, []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for end := time.Now().Add(time.Minute); written() < 2 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	if waits := e.once(); !waits || len(e.pending()) != 1 || written() != 1 {
		t.Errorf("waits %t, pending %v, %d entries", waits, e.pending(), written())
	}
	if waits, err := other.Erase(t.Context(), map[device.ID]time.Time{"a": time.Unix(2, 0)}); waits || err != nil {
		t.Fatalf("waits %t, %v", waits, err)
	}
	e.inputsAgain = time.Time{}
	if waits := e.once(); waits || len(e.pending()) > 0 || written() > 0 || !slices.Equal(e.influx.got, []string{"a2"}) {
		t.Errorf("waits %t, pending %v, %d entries, deleted %q", waits, e.pending(), written(), e.influx.got)
	}
}

// A worker with a journal and no log learns after a restart of what was deleted while it was down, and of
// what it had not erased.
func TestWithAJournalAloneErasingGoesOn(t *testing.T) {
	_, w := erasingInputs(t, t.TempDir())
	open := func() *eraser { return newEraser(nil, w, nil, slog.New(slog.DiscardHandler)) }
	e := open()
	if ago := time.Since(e.state.Since); ago < firstErasures || ago > 2*firstErasures {
		t.Errorf("the first process lists from %s ago, want %s", ago, firstErasures)
	}
	first := time.Now().Add(-30 * time.Minute).UTC().Round(0)
	e.reached(first)
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	e.reached(first.Add(time.Minute))
	if e = open(); !e.state.Since.Equal(first) {
		t.Errorf("a device is not erased yet: the next process lists from %s, want %s", e.state.Since, first)
	}
	if err := e.add(t.Context(), ending("a", 2)); err != nil {
		t.Fatal(err)
	}
	if waits, err := e.erase(t.Context()); waits || err != nil || len(e.pending()) > 0 {
		t.Fatalf("waits %t, %v, pending %v", waits, err, e.pending())
	}
	e.reached(first.Add(2 * time.Minute))
	e.reached(first.Add(time.Minute)) // another one that is behind
	if e = open(); !e.state.Since.Equal(first.Add(2 * time.Minute)) {
		t.Errorf("all is erased: the next process lists from %s, want %s", e.state.Since, first.Add(2*time.Minute))
	}
}
