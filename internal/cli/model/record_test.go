package model

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/cli"
)

const recordModel = `
model: pump
events: {boot: {channel: status}, reading: {channel: telemetry}}
context: {fixed: 0}
initial: online
states:
  online: {on: {reading: {guard: "event.temperature > 90", target: hot}}}
  hot: {entry: [{notify: {to: ops, data: {at: event.temperature}}}], after: {5m: online}, on: {boot: fixing}}
  fixing: {invoke: {src: reprovision, onDone: {target: online, actions: [{assign: {fixed: "context.fixed + 1"}}]}, onError: broken}}
  broken: {on: {boot: online}}
`

// ends lets the activity end that the device waits for.
func (d *journaled) ends(after time.Duration, id string, data map[string]any, failed string) {
	d.now = d.now.Add(after)
	ev := devicefsm.DoneEvent(id, data, d.now)
	if failed != "" {
		ev = devicefsm.ErrorEvent(id, failed, d.now)
	}
	ev = ev.OfService()
	s, out := d.model.Step(d.snapshot, ev)
	d.take(replay.Entry{Event: ev.Name, Data: ev.Data, Arrived: d.now}, s, out)
}

func runRecord(args ...string) (status int, stdout, stderr string) {
	var grammar struct {
		Devices struct {
			Record RecordCommand `cmd:""`
		} `cmd:""`
	}
	var out, errs bytes.Buffer
	status = cli.Execute(context.Background(), &grammar, "devicetwin", "", append([]string{"devices", "record"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

// What a device did becomes a test that passes, and that fails with another model.
func TestDevicesRecord(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	model := writeFile(t, folder, "pump.yaml", recordModel)
	j := newJournal(t, filepath.Join(folder, "journal"), model)
	d := j.device("pump-1")
	j.device("pump-2").reading(time.Minute, 95)
	d.reading(time.Minute, 20)
	d.reading(time.Minute, 91.5)
	d.reading(10*time.Minute, 30) // it was hot for five minutes, and is as a new one from here on
	d.reading(24*time.Hour, 40)
	d.reading(time.Minute, 95)
	d.message(1500*time.Millisecond, device.ChannelStatus, map[string]any{"status": "boot", "note": `"quoted" # and {so} on: äöü`})
	d.ends(2*time.Second, d.model.Invocations(d.snapshot)[0].ID, map[string]any{"credential": "c1"}, "")
	d.reading(time.Minute, 96)
	d.message(time.Second, device.ChannelStatus, map[string]any{"status": "boot"})
	d.ends(2*time.Second, d.model.Invocations(d.snapshot)[0].ID, nil, "no answer")
	j.close()
	status, text, errs := runRecord("pump-1", "--journal", "journal", "--last", "1h")
	if status != 0 || errs != "" {
		t.Fatalf("status %d: %s", status, errs)
	}
	want := `# Recorded from the journal: device pump-1, model pump ` + d.model.Hash()[:12] + `.
model pump.yaml

test What pump-1 did from 2026-03-02T12:12:00Z to 2026-03-02T12:14:06Z
`
	if !strings.HasPrefix(text, want) {
		t.Errorf("it begins with another line:\n%s\nwant\n%s", text, want)
	}
	for _, line := range []string{
		"1m1.5s status {note: \"\\\"quoted\\\" # and {so} on: äöü\", status: boot}\n", "done reprovision {credential: c1}\n", "failed reprovision no answer\n", "state broken\n", "notify ops {at: 96}\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("there is no line %q:\n%s", line, text)
		}
	}
	if strings.Contains(text, "91.5") {
		t.Errorf("what was before the device was as a new one is in the test:\n%s", text)
	}
	script := writeFile(t, folder, "incident.script", text)
	if status, out, errs := runModel(t, "", "test", script); status != 0 {
		t.Errorf("the test does not pass: %s\n%s", errs, out)
	}
	writeFile(t, folder, "pump.yaml", strings.Replace(recordModel, "> 90", "> 99", 1))
	if status, out, _ := runModel(t, "", "test", script); status != 1 || !strings.Contains(out, "state hot") {
		t.Errorf("the test passes with another model: status %d\n%s", status, out)
	}
	writeFile(t, folder, "pump.yaml", recordModel)
	status, all, errs := runRecord("pump-1", "--journal", "journal", "--last", "7d", "--model", "../pump.yaml")
	if status != 0 || errs != "" || !strings.Contains(all, "91.5") || !strings.Contains(all, "model ../pump.yaml\n") || !strings.Contains(all, "start 2026-03-01T12:00:00Z\n") {
		t.Errorf("all of it: status %d: %s\n%s", status, errs, all)
	}
}

// A device that is no longer as a new one begins where it last was.
func TestDevicesRecordFromFurtherBack(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	model := writeFile(t, folder, "pump.yaml", strings.Replace(recordModel, "broken: {on: {boot: online}}", "broken: {}", 1))
	j := newJournal(t, filepath.Join(folder, "journal"), model)
	d := j.device("pump-1")
	d.reading(time.Minute, 95)
	d.message(time.Second, device.ChannelStatus, map[string]any{"status": "boot"})
	d.ends(time.Second, d.model.Invocations(d.snapshot)[0].ID, nil, "no answer")
	d.reading(time.Hour, 30)
	d.reading(24*time.Hour, 30)
	j.close()
	status, text, errs := runRecord("pump-1", "--journal", "journal", "--last", "2h")
	if status != 0 || errs != "" || !strings.Contains(text, "start 2026-03-01T12:01:00Z\n    state online\n0s telemetry {temperature: 95}\n") {
		t.Errorf("status %d: %s\n%s", status, errs, text)
	}
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{2, "expected how long", []string{"pump-1", "--journal", "journal", "--last", "soon"}},
		{2, "there is no journal", []string{"pump-1", "--journal", "."}},
		{1, "does not have enough", []string{"pump-9", "--journal", "journal"}},
	} {
		if status, _, errs := runRecord(c.args...); status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%q: status %d: %s", c.args, status, errs)
		}
	}
}
