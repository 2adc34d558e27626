package device

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// countingModel sends a command for each event, with its number.
const countingModel = `
model: counting
initial: idle
states:
  idle:
    on:
      e: {actions: [{command: {name: e, data: {n: "event.n"}}}]}
      sequence.*: {actions: [{command: {name: sequence}}]}
`

// newCounting is a run of countingModel without a workflow around it: what is decided waits in pending.
func newCounting(t interface{ Fatal(...any) }, rules int) *run {
	model, err := devicefsm.Load("counting.yaml", []byte(countingModel))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, _ := model.Start(time.UnixMilli(0).UTC())
	state := &State{Version: stateVersion, Device: testDevice, Model: model.Hash(), Instance: "i", Snapshot: snapshot}
	return resumed(model, state, rules)
}

func resumed(model *devicefsm.Model, state *State, rules int) *run {
	return &run{models: NewRegistry(model), model: model, state: state, settings: runSettings{Rules: rules}.withDefaults()}
}

func (d *run) given(batch device.Batch) { d.applyMessages(1, batch) }

// decided are the numbers of the events that were applied, in their order, and the names
// of what else was decided.
func (d *run) decided() string {
	var b strings.Builder
	for _, e := range d.pending {
		if n, ok := e.Data["n"]; ok {
			fmt.Fprintf(&b, "%v ", n)
		} else {
			fmt.Fprintf(&b, "%s ", e.Name)
		}
	}
	return strings.TrimSpace(b.String())
}

// written is the state as JSON.
func (d *run) written(t interface{ Fatal(...any) }) string {
	raw, err := json.Marshal(d.state)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// unnumbered is an event without a number: all of them have the same digest.
func unnumbered(n int, pos int64) device.Message {
	return device.Message{
		Channel: device.ChannelEvents, Name: "e", Data: map[string]any{"n": float64(n)},
		Time: time.UnixMilli(int64(n)).UTC(), Digest: "00000000000000ff", Pos: pos,
	}
}

func TestPositionsOfALog(t *testing.T) {
	type at struct {
		log string
		pos int64
	}
	long := strings.Repeat("x", device.MaxLogName)
	for name, c := range map[string]struct {
		given []at
		want  string // a: applied, d: dropped
	}{
		"rising":                           {[]at{{"a", 1}, {"a", 2}, {"a", 700}}, "aaa"},
		"the first one again":              {[]at{{"a", 1}, {"a", 1}}, "ad"},
		"a suffix again, and then more":    {[]at{{"a", 1}, {"a", 5}, {"a", 9}, {"a", 5}, {"a", 9}, {"a", 10}}, "aaadda"},
		"what was never delivered is past": {[]at{{"a", 9}, {"a", 5}}, "ad"},
		"logs are not compared":            {[]at{{"a", 9}, {"b", 3}, {"a", 9}, {"b", 4}, {"b", 3}}, "aadad"},
		"without a position":               {[]at{{"a", 9}, {"a", 0}, {"a", 0}, {"a", -1}, {"a", -1}}, "aaaaa"},
		"without a log":                    {[]at{{"", 9}, {"", 9}}, "aa"},
		"the longest name":                 {[]at{{long, 9}, {long, 9}}, "ad"},
		"a name that is too long":          {[]at{{long + "x", 9}, {long + "x", 9}}, "aa"},
		"four logs":                        {[]at{{"a", 9}, {"b", 9}, {"c", 9}, {"d", 9}, {"a", 9}, {"b", 9}, {"c", 9}, {"d", 9}}, "aaaadddd"},
		"of five, the first is forgotten":  {[]at{{"a", 9}, {"b", 9}, {"c", 9}, {"d", 9}, {"e", 9}, {"b", 9}, {"e", 9}, {"a", 9}}, "aaaaadda"},
		"of five, one in use is not":       {[]at{{"a", 9}, {"b", 9}, {"c", 9}, {"d", 9}, {"a", 9}, {"e", 9}, {"a", 9}, {"b", 9}}, "aaaadada"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newCounting(t, rulesLog)
			var got strings.Builder
			for i, g := range c.given {
				before := d.state.Delivery
				d.given(device.Batch{Log: g.log, Messages: []device.Message{unnumbered(i, g.pos)}})
				switch after := d.state.Delivery; {
				case after.Applied == before.Applied+1 && after.Duplicates == before.Duplicates:
					got.WriteByte('a')
				case after.Applied == before.Applied && after.Duplicates == before.Duplicates+1:
					got.WriteByte('d')
				default:
					t.Fatalf("%+v became %+v", before, after)
				}
				d.state.Delivery = throughJSON(t, d.state.Delivery)
			}
			if got.String() != c.want {
				t.Errorf("got %s, want %s", got.String(), c.want)
			}
		})
	}
}

// However many logs there are, the state has room for them.
func TestLogsAreBounded(t *testing.T) {
	d := newCounting(t, rulesLog)
	for i := range 100 {
		log := fmt.Sprintf("%0*d", device.MaxLogName, i)
		d.given(device.Batch{Log: log, Messages: []device.Message{unnumbered(i, 1<<63-1)}})
	}
	raw, err := json.Marshal(d.state.Delivery.Logs)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.state.Delivery.Logs) != keptLogs || len(raw) > 300 {
		t.Errorf("%d logs are kept, want %d: %s", len(d.state.Delivery.Logs), keptLogs, raw)
	}
}

// More messages without a number than the workflow keeps digests of are delivered again,
// in other batches. A run that began under earlier rules keeps to what it had.
func TestALogDeliversAgain(t *testing.T) {
	const n = 3 * keptDigests
	for rules, want := range map[int]uint64{rulesMessages: 2*n - 20 + 1, rulesCorners: 2*n - 20 + 1, rulesLog: n + 1} {
		d := newCounting(t, rules)
		var all []device.Message
		for i := range n + 1 {
			all = append(all, unnumbered(i, int64(10+i)))
		}
		d.given(device.Batch{Log: "a", Messages: all[:n-7]})
		d.given(device.Batch{Log: "a", Messages: all[n-7 : n]})
		for at := 20; at < len(all); at += 9 {
			d.given(device.Batch{Log: "a", Messages: all[at:min(at+9, len(all))]})
		}
		if got := d.state.Delivery; got.Applied != want || got.Applied+got.Duplicates != 2*n-20+1 {
			t.Errorf("rules %d: %d applied, %d duplicates; want %d applied of %d", rules, got.Applied, got.Duplicates, want, 2*n-20+1)
		}
		if kept := len(d.state.Delivery.Logs); (kept > 0) != (rules >= rulesLog) {
			t.Errorf("rules %d: positions of %d logs are kept", rules, kept)
		}
	}
}

// What a log delivers again shows nothing of the device now, and what it says of messages
// before it counts once.
func TestWhatALogDeliversAgainDoesNothing(t *testing.T) {
	d := newCounting(t, rulesLog)
	at := func(ms int64, m device.Message) device.Message {
		m.Time, m.Pos = time.UnixMilli(ms).UTC(), ms
		return m
	}
	first := at(1, status("boot"))
	first.Epoch, first.Seq, first.Model = 1, 1, d.state.Model
	first.Faults = []device.Fault{{Reason: device.FaultTime, Count: 3}}
	second := at(2, device.Message{Channel: device.ChannelEvents, Name: "e", Data: map[string]any{"n": 1.0}, Digest: "aa"})
	second.LeftOut = &device.LeftOut{Digests: []string{"bb"}}
	will := at(3, status("offline"))
	batch := device.Batch{Log: "a", Messages: []device.Message{first, second, will}}
	d.given(batch)
	if d.state.Connection != device.Offline || d.state.ReportCount != 3 {
		t.Fatalf("connection %q, %d faults; want %q, 3", d.state.Connection, d.state.ReportCount, device.Offline)
	}
	before, pending := d.written(t), len(d.pending)
	d.back = true // since the last emission
	d.given(batch)
	if d.state.Delivery.Duplicates != 3 {
		t.Errorf("%d duplicates, want 3", d.state.Delivery.Duplicates)
	}
	d.state.Delivery.Duplicates = 0
	if after := d.written(t); after != before || len(d.pending) != pending {
		t.Errorf("%s\nbecame\n%s, and %d effects are more", before, after, len(d.pending)-pending)
	}
}

// Positions do not replace what is known of copies that the log does not know: a
// message that the device or its broker repeats has a position of its own.
func TestCopiesWithPositionsOfTheirOwn(t *testing.T) {
	d := newCounting(t, rulesLog)
	numbered := unnumbered(1, 0)
	numbered.Digest, numbered.Seq = "", 1
	again := unnumbered(2, 0)
	again.Redelivered = true
	for i, m := range []device.Message{numbered, numbered, unnumbered(2, 0), again, unnumbered(2, 0)} {
		m.Pos = int64(i + 1)
		d.given(device.Batch{Log: "a", Messages: []device.Message{m}})
	}
	if got := d.decided(); got != "1 2 2" || d.state.Delivery.Duplicates != 2 {
		t.Errorf("applied %s, %d duplicates; want 1 2 2, 2", got, d.state.Delivery.Duplicates)
	}
}

// A run hands its positions to the next.
func TestContinueAsNewCarriesPositions(t *testing.T) {
	first := newTwinHarness(t, countingModel, 4)
	var all []device.Message
	for i := range 9 {
		all = append(all, unnumbered(i, int64(100+i)))
	}
	send := func(h *twinHarness, after time.Duration, id string, messages ...device.Message) {
		h.RegisterDelayedCallback(func() {
			h.SignalWorkflow(SignalEvents, device.Batch{ID: id, Log: "a", Messages: messages})
		}, after)
	}
	send(first, time.Second, "1", all[:2]...)
	send(first, 2*time.Second, "2", all[1:5]...)
	first.run(Input{Device: testDevice, Model: first.model.Hash()})
	in := first.nextInput()
	second := newTwinHarness(t, countingModel, 0)
	second.SetStartTime(first.Now())
	second.state = in.State
	send(second, time.Second, "3", all[:7]...)
	send(second, 2*time.Second, "4", all[3:]...)
	view := second.runUntil(3 * time.Second)
	want := Delivery{Applied: 9, Duplicates: 1 + 5 + 4}
	if got := view.Delivery; got.Applied != want.Applied || got.Duplicates != want.Duplicates {
		t.Errorf("%d applied, %d duplicates; want %d, %d", got.Applied, got.Duplicates, want.Applied, want.Duplicates)
	}
	if sent := len(strings.Fields(first.wire.topics())) + len(strings.Fields(second.wire.topics())); sent != 9 {
		t.Errorf("%d commands, want 9", sent)
	}
}
