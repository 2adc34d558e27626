package model

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/journal"
	"devicetwin/internal/modelfile"
)

// testJournal is a journal that a test writes.
type testJournal struct {
	t     *testing.T
	w     *journal.Writer
	model *devicefsm.Model
	at    time.Time // when devices begin
	stop  func()
}

func newJournal(t *testing.T, dir, model string) *testJournal {
	t.Helper()
	w, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 64 << 20}, journal.NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.Read(model)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := modelfile.OpenCopies(filepath.Join(dir, journal.ModelsFolder))
	if err == nil {
		err = copies.Keep(f.Model.Hash(), f.Name, f.Source)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	j := &testJournal{t, w, f.Model, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), func() { cancel(); running.Wait() }}
	t.Cleanup(j.stop)
	return j
}

func (j *testJournal) close() { j.stop() }

// journaled is a device whose workflow writes a journal.
type journaled struct {
	*testJournal
	id       device.ID
	snapshot *devicefsm.Snapshot
	now      time.Time
	n        uint64
}

func (j *testJournal) device(id string) *journaled {
	d := &journaled{testJournal: j, id: device.ID(id), now: j.at}
	s, out := j.model.Start(d.now)
	d.take(replay.Entry{Do: replay.DoStart, Arrived: d.now, After: s}, s, out)
	return d
}

func (d *journaled) take(e replay.Entry, after *devicefsm.Snapshot, out devicefsm.Outcome) {
	d.n++
	e.Device, e.N, e.Instance, e.Model, e.Task, e.Before, e.Result = d.id, d.n, "life-"+string(d.id), d.model.Hash(), d.now, d.snapshot, replay.ResultOf(out)
	d.snapshot = after
	d.w.Took(&e)
}

// message lets the time pass, with the timers that are due, and then gives a message.
func (d *journaled) message(after time.Duration, channel device.Channel, data map[string]any) {
	to := d.now.Add(after)
	for {
		at, ok := d.model.NextDeadline(d.snapshot)
		if !ok || at.After(to) {
			break
		}
		d.now = at
		s, out := d.model.Step(d.snapshot, devicefsm.Event{Arrived: at})
		d.take(replay.Entry{Arrived: at}, s, out)
	}
	d.now = to
	m := device.Message{Channel: channel, Data: data, Time: to}
	name, _ := d.model.Classify(m)
	s, out := d.model.Step(d.snapshot, devicefsm.Event{Name: name, Data: data, Time: to, Arrived: to, Alive: true})
	d.take(replay.Entry{Channel: channel, Event: name, Data: data, Time: to, Arrived: to, Alive: true}, s, out)
}

func (d *journaled) reading(after time.Duration, temperature float64) {
	d.message(after, device.ChannelTelemetry, map[string]any{"temperature": temperature})
}

const replayModel = `
model: pump
events: {reading: {channel: telemetry}}
initial: online
states:
  online: {on: {reading: {guard: "event.temperature > %d", target: hot}}}
  hot: {entry: [{notify: {to: ops}}], after: {5m: online}}
`

// replayFolder is a journal of ten pumps, of which one got to 85 degrees and one to 95.
func replayFolder(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	old := writeFile(t, folder, "old.yaml", fmt.Sprintf(replayModel, 90))
	writeFile(t, folder, "new.yaml", fmt.Sprintf(replayModel, 80))
	writeFile(t, folder, "same.yaml", "# other words\n"+fmt.Sprintf(replayModel, 90))
	j := newJournal(t, filepath.Join(folder, "journal"), old)
	for i := range 10 {
		d := j.device(fmt.Sprint("pump-", i))
		for range 20 {
			d.reading(time.Minute, 40)
		}
		if i == 3 || i == 4 {
			d.reading(time.Minute, map[int]float64{3: 85, 4: 95}[i])
		}
		for range 20 {
			d.reading(time.Minute, 40)
		}
	}
	j.close()
	return folder
}

func TestModelReplay(t *testing.T) {
	t.Chdir(replayFolder(t))
	replay := func(status int, args ...string) (stdout, stderr string) {
		t.Helper()
		got, out, errs := runModel(t, "", append([]string{"replay", "--journal", "journal"}, args...)...)
		if got != status {
			t.Errorf("%q: status %d, want %d: %s\n%s", args, got, status, errs, out)
		}
		return out, errs
	}
	for _, args := range [][]string{nil, {"--model", "same.yaml"}, {"--last", "7d"}} {
		if out, _ := replay(0, args...); !strings.Contains(out, "different  0 (0.00%)") || !strings.Contains(out, "devices    10\n") || !strings.Contains(out, "entries    413\n") {
			t.Errorf("%q:\n%s", args, out)
		}
	}
	out, _ := replay(0, "--model", "new.yaml")
	for _, want := range []string{
		"different  1 (10.00%)\n", "transition  -         online -> hot  1        pump-3\n", "notify      -         ops            1        pump-3\n",
		"pump-3  2026-03-01T12:21:00.000Z  reading  transition  -         online -> hot\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no line %q:\n%s", want, out)
		}
	}
	if out, _ := replay(0, "--model", "new.yaml", "--device", "pump-[456]"); !strings.Contains(out, "devices    3\n") || !strings.Contains(out, "different  0") {
		t.Errorf("only some devices:\n%s", out)
	}
	replay(0, "--model", "new.yaml", "--max-different", "10%")
	replay(0, "--model", "new.yaml", "--device", "pump-4", "--no-new", "hot", "--no-new", "ops")
	if _, errs := replay(1, "--model", "new.yaml", "--max-different", "9.9%", "--no-new", "ops"); !strings.Contains(errs, "10.00% of the devices are different, allowed are 9.9%") || !strings.Contains(errs, "1 device would get ops") {
		t.Errorf("budgets: %s", errs)
	}
	var report struct {
		Devices, Different int
		Share              float64
		Added              map[string]int
		Differences        []struct {
			Device, Kind, Recorded, Replayed string
			N                                uint64
		}
	}
	out, _ = replay(0, "--model", "new.yaml", "-o", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Devices != 10 || report.Different != 1 || report.Share != 0.1 || report.Added["hot"] != 1 ||
		len(report.Differences) != 2 || report.Differences[1].Device != "pump-3" || report.Differences[1].N != 22 {
		t.Errorf("JSON, error %v:\n%s", err, out)
	}
}

// What a device chose has no control sequences in a table, and is whole in JSON.
func TestModelReplayControlsNoTerminal(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	text := `
model: pump
events: {reading: {channel: telemetry}}
initial: online
states:
  online: {on: {reading: {actions: [{notify: {to: %s, data: {text: event.text}}}]}}}
`
	old := writeFile(t, folder, "old.yaml", fmt.Sprintf(text, "ops"))
	writeFile(t, folder, "new.yaml", fmt.Sprintf(text, "others"))
	j := newJournal(t, "journal", old)
	j.device("pump-1").message(time.Minute, device.ChannelTelemetry, map[string]any{"text": "a\u009b2Jb\u007f\u0085c\x1b]0;d\te"})
	j.close()
	status, out, errs := runModel(t, "", "replay", "--journal", "journal", "--model", "new.yaml")
	if status != 0 || !strings.Contains(out, "a?2Jb??c") {
		t.Errorf("status %d: %s\n%q", status, errs, out)
	}
	for _, r := range out {
		if r != '\n' && unicode.IsControl(r) {
			t.Errorf("%q is in the table: %q", r, out)
		}
	}
}

// A plan is needed where one that is derived has holes; its states have other names.
func TestModelReplayWithAPlan(t *testing.T) {
	t.Chdir(replayFolder(t))
	text := strings.NewReplacer("hot", "warm", "context", "").Replace(fmt.Sprintf(replayModel, 90))
	writeFile(t, ".", "renamed.yaml", strings.Replace(text, "initial:", "context: {times: 0}\ninitial:", 1))
	if status, out, _ := runModel(t, "", "replay", "--journal", "journal", "--model", "renamed.yaml"); status != 0 || !strings.Contains(out, "different  1 (10.00%)") {
		t.Errorf("devices that begin in the journal need no plan, but their states have other names: status %d\n%s", status, out)
	}
	_, planned, _ := runModel(t, "", "plan", "old.yaml", "renamed.yaml")
	plan := strings.ReplaceAll(planned, "times: # FILL IN", "times: 0 # FILL IN")
	writeFile(t, ".", "plan.yaml", plan)
	if status, out, errs := runModel(t, "", "replay", "--journal", "journal", "--model", "renamed.yaml", "--plan", "plan.yaml"); status != 0 || !strings.Contains(out, "different  0 (0.00%)") {
		t.Errorf("status %d: %s\n%s\n%s", status, errs, out, plan)
	}
}

// A budget is not kept by devices that nobody tried. A name that only an earlier model has is one.
func TestModelReplayWithBudgetsForDevicesThatAreNotTried(t *testing.T) {
	t.Chdir(replayFolder(t))
	text := strings.NewReplacer("hot", "warm").Replace(fmt.Sprintf(replayModel, 90))
	writeFile(t, ".", "renamed.yaml", text)
	args := []string{"replay", "--journal", "journal", "--model", "renamed.yaml"}
	if status, out, errs := runModel(t, "", append(args, "--no-new", "hot")...); status != 0 {
		t.Errorf("a state of the model that ran: status %d: %s\n%s", status, errs, out)
	}
	// Some devices ran a model that is not there any more.
	gone := writeFile(t, ".", "gone.yaml", fmt.Sprintf(replayModel, 91))
	j := newJournal(t, "journal", gone)
	j.device("pump-20").reading(time.Minute, 40)
	j.device("pump-21").reading(time.Minute, 40)
	j.close()
	if err := os.RemoveAll(filepath.Join("journal", journal.ModelsFolder, j.model.Hash())); err != nil {
		t.Fatal(err)
	}
	args = []string{"replay", "--journal", "journal", "--model", "same.yaml"}
	if status, out, errs := runModel(t, "", args...); status != 0 || !strings.Contains(out, "2 devices: model ") {
		t.Errorf("without a budget: status %d: %s\n%s", status, errs, out)
	}
	for _, budget := range [][]string{{"--max-different", "100%"}, {"--no-new", "ops"}} {
		if status, out, errs := runModel(t, "", append(args, budget...)...); status != 1 || !strings.Contains(errs, "2 devices could not be tried") {
			t.Errorf("%q: status %d: %s\n%s", budget, status, errs, out)
		}
	}
}

func TestWhatModelReplayRefuses(t *testing.T) {
	t.Chdir(replayFolder(t))
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{2, "there is no journal", []string{"--journal", "empty"}},
		{2, "no such file", []string{"--journal", "nowhere"}},
		{2, "expected --model", []string{"--journal", "journal", "--max-different", "1%"}},
		{2, "expected a share", []string{"--journal", "journal", "--model", "new.yaml", "--max-different", "much"}},
		{2, "expected a share", []string{"--journal", "journal", "--model", "new.yaml", "--max-different", "101%"}},
		{2, `--no-new "quarantine": neither the model nor an earlier one`, []string{"--journal", "journal", "--model", "new.yaml", "--no-new", "hot", "--no-new", "quarantine"}},
		{2, `did you mean "ops"?`, []string{"--journal", "journal", "--model", "new.yaml", "--no-new", "opps"}},
		{2, "expected how long", []string{"--journal", "journal", "--last", "yesterday"}},
		{2, "expected a pattern", []string{"--journal", "journal", "--device", "[a"}},
		{2, "read plan", []string{"--journal", "journal", "--model", "new.yaml", "--plan", "nothing.yaml"}},
		{2, "--temporal-keys", []string{"--journal", "journal", "--temporal-keys", "nothing"}},
		{1, "nothing was replayed", []string{"--journal", "journal", "--device", "fan-*"}},
	} {
		if status, out, errs := runModel(t, "", append([]string{"replay"}, c.args...)...); status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%q: status %d, want %d with %q: %s\n%s", c.args, status, c.status, c.want, errs, out)
		}
	}
	if err := os.RemoveAll(filepath.Join("journal", journal.ModelsFolder)); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := runModel(t, "", "replay", "--journal", "journal"); status != 1 || !strings.Contains(out, "is not at hand") {
		t.Errorf("without the models: status %d: %s\n%s", status, errs, out)
	}
	if status, out, errs := runModel(t, "", "replay", "--journal", "journal", "--models", "."); status != 0 || !strings.Contains(out, "different  0") {
		t.Errorf("with --models: status %d: %s\n%s", status, errs, out)
	}
}
