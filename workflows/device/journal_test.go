package device

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/replay"
)

// testJournal keeps what runs give to their journal, and what it was then.
type testJournal struct {
	mu      sync.Mutex
	entries []*replay.Entry
	texts   [][]byte
}

func (j *testJournal) Took(e *replay.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries)%64 != 0 { // as in files, which have it now and then
		copied := *e
		copied.Before = nil
		e = &copied
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	j.entries, j.texts = append(j.entries, e), append(j.texts, text)
}

// check runs all that was taken through the models again, from what is written of it: everything
// has to come out as it did. Each test of a workflow ends with it.
func (j *testJournal) check(t *testing.T, models Models) *replay.Report {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	of := map[device.ID][]*replay.Entry{}
	for i, e := range j.entries {
		if now, err := json.Marshal(e); err != nil || !bytes.Equal(now, j.texts[i]) {
			t.Errorf("an entry of the journal was changed after it was taken (error %v):\n%s\n%s", err, j.texts[i], now)
		}
		read := new(replay.Entry)
		if err := json.Unmarshal(j.texts[i], read); err != nil {
			t.Fatal(err)
		}
		of[read.Device] = append(of[read.Device], read)
	}
	r := replay.New(replay.Config{Model: models.ByHash})
	for id, entries := range of {
		r.Device(id, replay.Order(entries))
	}
	report := r.Report()
	if report.Different > 0 || report.Missing > 0 || report.Skipped > 0 {
		t.Errorf("the journal does not come to what was recorded: %d of %d devices differ, %d entries are missing, %d skipped", report.Different, report.Devices, report.Missing, report.Skipped)
		for _, d := range report.Differences {
			t.Errorf("%s, entry %d, %s:\nrecorded %s\nreplayed %s", d.Kind, d.N, d.Event, d.Recorded, d.Replayed)
		}
	}
	return report
}

// A journal has each input once, numbered over the end of a run. That a replay writes nothing is
// in TestRecordedHistoriesReplay.
func TestTheJournalGoesOnInTheNextRun(t *testing.T) {
	h := newHarness(t, 3)
	h.at(time.Minute, boot(), boot())
	h.at(2*time.Minute, boot(), fault(117))
	h.run(Input{Device: testDevice, Model: h.model.Hash()})
	next := h.nextInput()
	first := h.journal.entries
	var messages []*replay.Entry
	for _, e := range first {
		if e.Channel != "" {
			messages = append(messages, e)
		}
	}
	if len(messages) != 4 || first[0].Do != replay.DoStart || messages[3].Channel != device.ChannelTelemetry {
		t.Fatalf("%d entries and %d messages, want the start and 4 messages", len(first), len(messages))
	}
	if got := messages[3].Actions; len(got) != 1 || got[0].Type != devicefsm.ActionInvoke {
		t.Errorf("actions of the message that completes the pattern: %v", got)
	}
	h = newHarness(t, 0)
	h.state = next.State
	h.at(time.Minute, reading(20))
	h.runUntil(2 * time.Minute)
	for i, e := range h.journal.entries {
		if e.N != uint64(i+1+len(first)) || e.Instance != first[0].Instance || (e.Before == nil) != (i > 0) {
			t.Errorf("entry %d of the second run has the number %d, instance %s, before %v", i, e.N, e.Instance, e.Before)
		}
	}
	if len(h.journal.entries) == 0 {
		t.Error("the second run writes nothing")
	}
}

// A worker of an earlier release drops the number of inputs from the state that it hands to the next
// run, and keeps the number of runs: by that, the numbers that begin again are later ones.
func TestNumbersOfTheJournalAfterAnEarlierRelease(t *testing.T) {
	h := newHarness(t, 3)
	h.at(time.Minute, boot(), boot())
	h.at(2*time.Minute, boot(), fault(117))
	h.run(Input{Device: testDevice, Model: h.model.Hash()})
	state := h.nextInput().State
	all := &testJournal{entries: h.journal.entries, texts: h.journal.texts}
	if state.Inputs == 0 || state.Runs != 1 || all.entries[0].Runs != 0 {
		t.Fatalf("%d inputs in %d runs, of the entries %d", state.Inputs, state.Runs, all.entries[0].Runs)
	}
	state.Inputs, state.InputsFrom, state.Runs = 0, 0, 2 // it had it for a run
	h = newHarness(t, 3)
	h.state = state
	for minute := range 4 {
		h.at(time.Duration(minute+1)*time.Minute, reading(20))
	}
	h.run(Input{Device: testDevice, Model: h.model.Hash(), State: state})
	again := h.journal.entries
	if len(again) == 0 || again[0].N != 1 || again[0].Runs != 2 {
		t.Fatalf("%d entries; the first one is %+v", len(again), again[0])
	}
	next := h.nextInput().State
	if next.Inputs != uint64(len(again)) || next.InputsFrom != 2 || next.Runs != 3 {
		t.Errorf("the next run has %d inputs since %d, runs %d", next.Inputs, next.InputsFrom, next.Runs)
	}
}
