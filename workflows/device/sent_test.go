package device

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	"devicetwin/twin/command"
)

// Commands that nobody answers succeed when they are sent, one after the other.
func TestCommandsWithoutAnswersAreDone(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	var orders []Operation
	var want, ends []string
	for i := range 40 {
		orders = append(orders, orderOf(fmt.Sprintf("blink-%d", i), fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("own/blink-%d %d", i, i))
		ends = append(ends, fmt.Sprintf("blink-%d succeeded", i))
	}
	h.operate(2*time.Second, orders...)
	view := h.runUntil(3 * time.Second)
	if got := h.said(); got != lines(want...) {
		t.Errorf("said\n%s\nwant\n%s", got, lines(want...))
	}
	if got := names(view.Commands.Ended); got != strings.Join(ends, ", ") {
		t.Errorf("ended: %s", got)
	}
	if got := heard(view); strings.ReplaceAll(got, " \n", "\n") != strings.Join(ends, "\n")+" " {
		t.Errorf("heard\n%s", got)
	}
	if p := h.world.last(measure.Commands); p.Tags[measure.TagStatus] != "succeeded" || p.Tags[measure.TagName] != "blink-38" {
		t.Errorf("newest point of an end that left: %+v", p)
	}
	if len(view.Reports) > 0 {
		t.Errorf("reports %+v", view.Reports)
	}
}

// The model hears of the ends of its commands, with a time to live and without.
func TestTheModelHearsOfItsCommandsInADialect(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth(), own(event("blink")), own(event("blink-timed")), own(event("mute")))
	view := h.runUntil(3 * time.Second)
	want := []string{"blink succeeded", "mute failed ", "blink-timed succeeded", "mute-timed failed "}
	got := strings.Split(heard(view), "\n")
	if len(got) != len(want) {
		t.Fatalf("heard\n%s", heard(view))
	}
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) || strings.HasSuffix(w, " ") && !strings.Contains(got[i], "no words") {
			t.Errorf("heard %s, want %s", got[i], w)
		}
	}
	if got := h.said(); got != lines(`own/blink {"n":1}`, "own/blink-timed null") {
		t.Errorf("said\n%s", got)
	}
	if n := view.Commands.Ended; len(n) != 2 || n[1].Status != command.Failed || !strings.Contains(n[1].Reason, "no words") {
		t.Errorf("ended %+v", n)
	}
	sent := 0
	for _, p := range h.world.points {
		if p.Measurement == measure.Commands && p.Tags[measure.TagStatus] == measure.CommandSent {
			sent++
		}
	}
	if sent != 2 {
		t.Errorf("%d points of commands that were sent, want 2", sent)
	}
}

// What a dialect cannot write, or what is too long to wait for, fails, and the next one is sent.
func TestWhatCannotBeSaidFails(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	h.operate(2*time.Second, orderOf("odd", `1`), orderOf("huge", `1`), orderOf("move", `1`))
	view := h.runUntil(3 * time.Second)
	if got := names(view.Commands.Ended); got != "odd failed, huge failed" || h.said() != "own/move 1" {
		t.Errorf("ended %s, said %s", got, h.said())
	}
	for i, want := range []string{"not a number", "the limit is 16384"} {
		if !strings.Contains(view.Commands.Ended[i].Reason, want) {
			t.Errorf("reason %q, want %q", view.Commands.Ended[i].Reason, want)
		}
	}
	if len(view.Reports) > 0 {
		t.Errorf("reports %+v", view.Reports)
	}
}

// A model that answers the end of a command with the next one goes on for as long as events may
// follow from one another, and not without end.
func TestAChainOfCommandsEnds(t *testing.T) {
	for _, ttl := range []string{"", ", ttl: 1m"} {
		h, _ := newSpokenHarness(t, strings.ReplaceAll(`
model: chained
initial: idle
states:
  idle: {on: {go: {actions: [{command: {name: blinkTTL}}]}, blink.succeeded: {actions: [{command: {name: blinkTTL}}]}}}
`, "TTL", ttl))
		h.at(time.Second, birth(), own(event("go")))
		view := h.runUntil(3 * time.Second)
		if n := strings.Count(h.said(), "own/blink"); n != maxChain+1 {
			t.Errorf("%q: sent %d times, want %d", ttl, n, maxChain+1)
		}
		if n := len(view.Reports); n != 1 || !strings.Contains(view.Reports[0].Detail, "follow from one another") {
			t.Errorf("%q: reports %+v", ttl, view.Reports)
		}
	}
}

// How many events a command follows from is kept until its end: of one that the device answers,
// and of one without a time to live, which nobody may answer.
func TestTheDepthOfACommandIsForgotten(t *testing.T) {
	d := &run{model: loadPump(t), state: &State{}, settings: runSettings{Rules: rulesNow}.withDefaults(), depth: 3}
	for i, id := range []string{"answered", "untimed", "waits"} {
		d.noteDepth(id)
		if len(d.depths) != i+1 {
			t.Fatalf("depths %v", d.depths)
		}
	}
	d.state.Commands.Flight = &command.Command{ID: "answered", Status: command.Sent}
	d.recordAck(ack("answered", "answered", "accepted"))
	if len(d.depths) != 3 {
		t.Errorf("depths %v of a command that has not ended", d.depths)
	}
	d.recordAck(ack("answered", "answered", "succeeded"))

	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivityWithOptions(func(context.Context, Emission) (Emitted, error) { return Emitted{}, nil }, activity.RegisterOptions{Name: ActivityEmit})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		d.emitPart(ctx, []Outgoing{{ID: "untimed", Command: "untimed"}, {ID: "waits", Command: "waits", TTL: time.Hour}}, nil, nil)
		return nil
	})
	if err := env.GetWorkflowError(); err != nil || len(d.depths) != 1 || d.depths["waits"] != 3 {
		t.Errorf("depths %v, %v", d.depths, err)
	}
}

// Of a command that was refused, nothing is kept.
func TestARefusedCommandHasNoDepth(t *testing.T) {
	model := loadPump(t)
	snapshot, _ := model.Start(time.Unix(1000, 0))
	d := &run{model: model, state: &State{Snapshot: snapshot}, settings: runSettings{Rules: rulesNow}.withDefaults(), depth: 3}
	d.orderFromModel(devicefsm.Action{ID: "1", Name: "", TTL: time.Hour})
	if len(d.depths) != 0 || len(d.state.Commands.Waiting) != 0 {
		t.Errorf("depths %v, waiting %+v", d.depths, d.state.Commands.Waiting)
	}
}

// A command succeeds when the reported state has all that it is to show.
func TestACommandSucceedsByTheReportedState(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	h.reports(1500*time.Millisecond, `{"power":"OFF","color":{"x":1,"y":2},"other":0}`)
	h.operate(2*time.Second, orderOf("set-1", `{"color":{"y":2.0}}`), orderOf("set-2", `{"power":"ON","color":{"x":3}}`), orderOf("move", `1`))
	var early string
	h.RegisterDelayedCallback(func() { early = h.said() }, 2500*time.Millisecond)
	h.reports(3*time.Second, `{"power":"ON","other":1}`)
	h.reports(4*time.Second, `{"color":{"x":3.0},"other":2}`)
	view := h.runUntil(5 * time.Second)
	want := lines(`own/set-1 {"color":{"y":2.0}}`, `own/set-2 {"power":"ON","color":{"x":3}}`)
	if early != want {
		t.Errorf("said at first\n%s\nwant\n%s", early, want)
	}
	if got := h.said(); got != lines(want, "own/move 1") {
		t.Errorf("said\n%s", got)
	}
	if got := names(view.Commands.Ended); got != "set-1 succeeded, set-2 succeeded" || heard(view) != "set-1 succeeded \nset-2 succeeded " {
		t.Errorf("ended %s, heard %s", got, heard(view))
	}
	for _, c := range view.Commands.Ended {
		if c.Shows != nil {
			t.Errorf("%s still has %s", c.Name, c.Shows)
		}
	}
}

// It may be answered, too, or its time may be over first.
func TestACommandThatIsNotShown(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth(), own(event("set")))
	h.operate(30*time.Second, orderOf("set-2", `{"power":"ON"}`), orderOf("move", `1`))
	h.at(70*time.Second, own(ack("", "", "failed")))
	view := h.runUntil(2 * time.Minute)
	if got := heard(view); got != "set expired no answer in time\nanswer failed" {
		t.Errorf("heard\n%s", got)
	}
	if got := names(view.Commands.Ended); got != "set expired, set-2 failed" || view.Commands.Flight == nil {
		t.Errorf("ended %s", got)
	}
}

// What a command under way waits for survives the end of a run, and its being sent again.
func TestWhatIsWaitedForIsKept(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	h.operate(2*time.Second, orderOf("set", `{"power":"ON"}`))
	h.at(3*time.Second, birth())
	view := h.runUntil(4 * time.Second)
	if f := view.Commands.Flight; f == nil || string(f.Shows) != `{"power":"ON"}` || f.Deliveries != 2 {
		t.Fatalf("under way %+v", f)
	}
	next, _ := newSpokenHarness(t, hearing)
	next.state = &view.State
	next.reports(time.Second, `{"power":"ON"}`)
	next.operate(2*time.Second, orderOf("move", `1`))
	after := next.runUntil(3 * time.Second)
	if got := names(after.Commands.Ended); got != "set succeeded" || next.said() != "own/move 1" {
		t.Errorf("ended %s, said %s", got, next.said())
	}
}

// In the words of another dialect, a command may have to be answered.
func TestWhatIsWaitedForIsThatOfTheNewDialect(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	h.operate(2*time.Second, orderOf("set", `{"power":"ON"}`))
	h.at(3*time.Second, status("online"))
	h.ask(4*time.Second, "", device.MethodUpdate, `{"state":{"reported":{"power":"ON"}}}`)
	view := h.runUntil(5 * time.Second)
	if f := view.Commands.Flight; f == nil || f.Shows != nil {
		t.Errorf("under way %+v, want it to wait for an answer", f)
	}
}

// Who is deleted hears nothing more.
func TestADeletionIsStrongerThanTheEndOfACommand(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	h.operate(2*time.Second, orderOf("blink", `1`), orderOf("blink", `2`), Operation{Delete: true})
	h.run(Input{Device: testDevice, Model: h.model.Hash()})
	if err := h.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}

// An answer without an id is that of the command under way, if it has its name or none.
func TestAnswersWithoutIDs(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	answer := func(name, status string) device.Message {
		return own(device.Message{Channel: device.ChannelAck, Name: name, Data: map[string]any{"status": status, "result": name}})
	}
	h.at(time.Second, birth(), answer("POWER", "succeeded"), answer("", "succeeded")) // to nothing
	h.operate(2*time.Second, orderOf("Power", `1`), orderOf("Dimmer", `2`), orderOf("Color", `3`))
	h.at(3*time.Second, answer("DIMMER", "succeeded"))    // somebody pressed a button
	h.at(4*time.Second, answer("POWER", "accepted"))      // under way
	h.at(5*time.Second, answer("pOWER", "succeeded"))     // the next is under way
	h.at(6*time.Second, answer("", "rejected"))           // the next
	h.at(7*time.Second, answer("color", "succeeded"))     // the last
	h.at(8*time.Second, answer("color", "succeeded"))     // to nothing
	h.at(9*time.Second, own(ack("Color", "x", "failed"))) // an id that nobody gave
	view := h.runUntil(10 * time.Second)
	if got := names(view.Commands.Ended); got != "Power succeeded, Dimmer rejected, Color succeeded" {
		t.Errorf("ended %s", got)
	}
	if got := heard(view); got != "answer accepted\nanswer succeeded\nanswer rejected\nanswer succeeded\nanswer failed" {
		t.Errorf("heard\n%s", got)
	}
	if n := len(view.Reports); n != 1 || view.Reports[0].Reason != device.FaultUnknownCommand || view.Reports[0].Value != `"x"` {
		t.Errorf("reports %+v", view.Reports)
	}
	if string(view.Commands.Ended[0].Result) != `"pOWER"` {
		t.Errorf("result %s", view.Commands.Ended[0].Result)
	}
}

// In the service's own words, an id is needed as before.
func TestAnAnswerWithoutAnIDInTheServicesWordsIsAFault(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.operate(time.Second, orderOf("Power", `1`))
	h.at(2*time.Second, device.Message{Channel: device.ChannelAck, Name: "Power", Data: map[string]any{"status": "succeeded"}})
	view := h.runUntil(3 * time.Second)
	if view.Commands.Flight == nil || len(view.Reports) != 1 {
		t.Errorf("under way %+v, reports %+v", view.Commands.Flight, view.Reports)
	}
}

// An id may be the UUID of the command's.
func TestAnswersByUUID(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	a := h.operate(2*time.Second, orderOf("move", `1`), orderOf("next", `2`))
	h.RegisterDelayedCallback(func() {
		uuid := device.CommandUUID(a.results[0].Command.ID)
		h.signal(own(ack("", strings.ToUpper(uuid), "succeeded")))
		h.signal(own(ack("", uuid, "failed"))) // later
		h.signal(own(ack("", device.CommandUUID(a.results[1].Command.ID), "succeeded")))
		h.signal(own(ack("", device.CommandUUID("another"), "succeeded")))
	}, 3*time.Second)
	view := h.runUntil(4 * time.Second)
	if got := names(view.Commands.Ended); got != "move succeeded, next succeeded" || view.Commands.Ended[0].Late == nil {
		t.Errorf("ended %s, %+v", got, view.Commands.Ended)
	}
	if n := len(view.Reports); n != 2 || view.Reports[0].Reason != device.FaultLateAck || view.Reports[1].Reason != device.FaultUnknownCommand {
		t.Errorf("reports %+v", view.Reports)
	}
}

// A command without a time to live is answered once, soon after it was sent.
func TestAnswersToCommandsWithoutATimeToLive(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	answer := func(name, status string) device.Message {
		return own(device.Message{Channel: device.ChannelAck, Name: name, Data: map[string]any{"status": status}})
	}
	h.at(time.Second, birth(), own(event("ask")))
	h.at(2*time.Second, answer("other", "succeeded"), answer("ASK", "accepted"), answer("ASK", "succeeded"), answer("ASK", "succeeded"))
	h.at(time.Minute, own(event("ask")))
	h.at(90*time.Second, answer("", "succeeded"))
	h.at(2*time.Minute, own(event("ask")))
	h.at(4*time.Minute, answer("ask", "succeeded")) // too late
	view := h.runUntil(5 * time.Minute)
	if got := heard(view); got != "answer accepted\nanswer succeeded\nanswer succeeded" {
		t.Errorf("heard\n%s", got)
	}
	if len(view.Reports) > 0 {
		t.Errorf("reports %+v", view.Reports)
	}
}

// What is kept of commands without a time to live is bounded.
func TestFewCommandsWithoutATimeToLiveAreKept(t *testing.T) {
	d := run{state: &State{}}
	for i := range 3 * keptUntimed {
		d.awaitAnswer(untimed{ID: fmt.Sprint(i)})
	}
	if n := len(d.state.Untimed); n != keptUntimed || d.state.Untimed[n-1].ID != fmt.Sprint(3*keptUntimed-1) {
		t.Errorf("%+v", d.state.Untimed)
	}
}

// A device that sleeps is sent what waits after each of its messages.
func TestADeviceThatSleeps(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	m := func() device.Message {
		m := own(reading(20))
		m.From.Awake = 10 * time.Second
		return m
	}
	h.at(time.Second, m())
	h.operate(5*time.Second, orderOf("first", `1`))
	h.operate(15*time.Second, orderOf("second", `2`), Operation{Desire: &Desire{Patch: []byte(`{"fan":"high"}`)}})
	var asleep, awake string
	h.RegisterDelayedCallback(func() { asleep = h.said() }, 59*time.Second)
	h.at(time.Minute, m())
	h.RegisterDelayedCallback(func() { awake = h.said() }, 61*time.Second)
	h.at(63*time.Second, own(ack("first", "", "succeeded")))
	h.at(65*time.Second, m()) // no return
	h.at(2*time.Minute, m())
	view := h.runUntil(3 * time.Minute)
	if asleep != "own/first 1" {
		t.Errorf("said in its sleep\n%s", asleep)
	}
	if want := lines("own/first 1", `own/desired {"fan":"high"}`, "own/first 1"); awake != want {
		t.Errorf("said when it woke up\n%s\nwant\n%s", awake, want)
	}
	want := lines("own/first 1", `own/desired {"fan":"high"}`, "own/first 1", "own/second 2", `own/desired {"fan":"high"}`, "own/second 2")
	if got := h.said(); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if f := view.Commands.Flight; f == nil || f.Deliveries != 2 {
		t.Errorf("under way %+v", f)
	}
}

// A copy of a message ends a sleep, too: it is not applied again, and the device is up.
func TestACopyEndsASleep(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	nap := own(reading(20))
	nap.From.Awake, nap.Epoch, nap.Seq = 10*time.Second, 1, 1
	send := func(after time.Duration) {
		h.RegisterDelayedCallback(func() {
			nap.Time = h.Now().UTC().Truncate(time.Millisecond)
			h.signalRaw(nap)
		}, after)
	}
	send(time.Second)
	h.operate(2*time.Second, orderOf("first", `1`))
	send(time.Minute)
	view := h.runUntil(2 * time.Minute)
	if got := h.said(); got != lines("own/first 1", "own/first 1") || view.Delivery.Duplicates != 1 {
		t.Errorf("said\n%s\nwith %d copies", got, view.Delivery.Duplicates)
	}
}

// Desired state that came too late for a device's time awake is sent with the next message, also if
// that was only late on its way, and does not end a sleep.
func TestAReportThatIsLateOnItsWay(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	said := func(after, late time.Duration, reported string) {
		h.RegisterDelayedCallback(func() {
			m := own(h.request("", device.MethodUpdate, `{"state":{"reported":`+reported+`}}`))
			m.Twin.Reply, m.From.Awake, m.Time = "", 10*time.Second, m.Time.Add(-late)
			h.signalRaw(m)
		}, after)
	}
	said(time.Second, 0, `{"fan":"low"}`)
	h.operate(15*time.Second, Operation{Desire: &Desire{Patch: []byte(`{"fan":"high"}`)}})
	said(16*time.Second, 6*time.Second, `{"fan":"low","t":1}`)
	said(17*time.Second, 0, `{"fan":"low","t":2}`) // the same difference
	h.runUntil(18 * time.Second)
	if got, want := h.said(), `own/desired {"fan":"high"}`; got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
}

// The message that ends a sleep may say that the device listens always from now on.
func TestADeviceThatSleepsNoMore(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	nap := own(reading(20))
	nap.From.Awake = time.Second
	h.at(time.Second, nap)
	h.operate(1500*time.Millisecond, orderOf("first", `1`))
	h.operate(5*time.Second, Operation{Desire: &Desire{Patch: []byte(`{"fan":"high"}`)}})
	h.at(time.Minute, own(reading(20)))
	h.at(2*time.Minute, own(reading(20)))
	h.runUntil(3 * time.Minute)
	if got, want := h.said(), lines("own/first 1", `own/desired {"fan":"high"}`, "own/first 1"); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
}

// Differences between desired and reported state are sent once in a device's words, and
// again if somebody asks for it, if they become others, or if the device comes back.
func TestDesiredStateIsSent(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	desire := func(shadow, patch string) Operation {
		return Operation{Desire: &Desire{Shadow: shadow, Patch: []byte(patch)}}
	}
	h.operate(500*time.Millisecond, desire("", `{"level":300}`)) // in no dialect yet
	h.at(time.Second, birth())
	h.reports(2*time.Second, `{"level":254}`) // and it stays so
	h.reports(3*time.Second, `{"level":254,"t":1}`)
	h.operate(4*time.Second, desire("", `{"level":300}`))
	h.operate(5*time.Second, desire("", `{"fan":"high"}`))
	h.reports(6*time.Second, `{"level":300,"fan":"high"}`)
	h.reports(7*time.Second, `{"fan":"low"}`)
	h.at(8*time.Second, birth())
	h.operate(9*time.Second, desire("config", `{"interval":5}`))
	h.operate(10*time.Second, desire("", `{"odd":1}`))
	view := h.runUntil(11 * time.Second)
	want := lines(
		`own/desired {"level":300}`, // the dialect is known
		`own/desired {"level":300}`, // asked for again
		`own/desired {"fan":"high","level":300}`,
		`own/desired {"fan":"high"}`, // it does otherwise
		`own/desired {"fan":"high"}`, // it is back
		"own/rest ",                  // what could be said
	)
	if got := h.said(); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if n := len(view.Reports); n != 1 || !strings.Contains(view.Reports[0].Detail, "not a number") {
		t.Errorf("reports %+v", view.Reports)
	}
	if n := strings.Count(h.wire.topics(), "devices/pump-1/twin/update/delta"); n < 9 {
		t.Errorf("%d deltas of the protocol, want all", n)
	}
}

// A device that reports what is desired, and then otherwise, each time that it is sent it, is not
// sent it without end.
func TestADeviceThatReportsBothIsNotSentItWithoutEnd(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.at(time.Second, birth())
	h.operate(2*time.Second, Operation{Desire: &Desire{Patch: []byte(`{"fan":"high"}`)}})
	for at := 3 * time.Second; at < 30*time.Second; at += 2 * time.Second {
		h.reports(at, `{"fan":"high"}`)
		h.reports(at+time.Second, `{"fan":"low"}`)
	}
	h.reports(3*time.Minute, `{"fan":"high"}`)
	h.reports(4*time.Minute, `{"fan":"low"}`) // somebody has switched it
	h.runUntil(5 * time.Minute)
	if got, want := h.said(), lines(`own/desired {"fan":"high"}`, `own/desired {"fan":"high"}`); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
}

// A worker without the dialect loses nothing, and sends nothing twice.
func TestAWorkerWithoutTheDialect(t *testing.T) {
	h, s := newSpokenHarness(t, hearing)
	s.missing = true
	h.activities.Counts = NewCounts()
	h.at(time.Second, birth())
	h.operate(2*time.Second, Operation{Desire: &Desire{Patch: []byte(`{"fan":"high"}`)}}, orderOf("set", `{"power":"ON"}`))
	h.RegisterDelayedCallback(func() {
		if sent := h.wire.topics(); sent != "" {
			t.Errorf("sent without the dialect:\n%s", sent)
		}
		s.missing = false
	}, time.Minute)
	view := h.runUntil(2 * time.Minute)
	if got := h.said(); got != lines(`own/desired {"fan":"high"}`, `own/set {"power":"ON"}`) {
		t.Errorf("said\n%s", got)
	}
	if n := strings.Count(h.wire.topics(), "devices/pump-1/twin/update/delta"); n != 1 {
		t.Errorf("%d deltas, want 1", n)
	}
	if n := h.activities.Counts.Value("dialect_missing_total"); n < 4 {
		t.Errorf("%v attempts are counted", n)
	}
	if len(view.Reports) > 0 {
		t.Errorf("reports %+v", view.Reports)
	}
}

// A device may refuse to be reprovisioned in an answer without an id.
func TestAReprovisioningIsAnsweredWithoutAnID(t *testing.T) {
	h := newHarness(t, 0)
	h.activities.Dialect = &spoken{Dialect: standardDialect()}
	h.activities.Publisher = &sentLog{}
	crash := crashLoop()
	for i := range crash {
		crash[i] = own(crash[i])
	}
	h.at(time.Second, crash...)
	h.at(2*time.Second, own(ack("Reprovision", "", "rejected")))
	view := h.runUntil(3 * time.Second)
	if view.Recovery == nil || view.Recovery.Attempt != 2 {
		t.Errorf("state %s, recovery %+v: want a second attempt", view.StateName, view.Recovery)
	}
}
