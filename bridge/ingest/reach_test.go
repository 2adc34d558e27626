package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// addressing is a dialect whose messages say where their devices are reached.
type addressing struct {
	wire.Dialect
	from    *device.Address
	relayed bool
}

func (a *addressing) Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	received, err := a.Dialect.Decode(topic, payload, dup, at)
	for i := range received {
		received[i].Message.From, received[i].Message.Relayed = a.from, a.relayed
	}
	return received, err
}

// speaking lets the devices of a bench speak a dialect.
func (b *bench) speaking(from *device.Address) *addressing {
	a := &addressing{Dialect: b.dialect, from: from}
	b.dialect = a
	return a
}

// sent are the messages that were delivered since the last call, all of which are accepted.
func (b *bench) sent(device string) string {
	b.advance(0)
	for b.inFlight > 0 {
		b.accept(device)
	}
	var list []string
	for _, s := range b.out.signals {
		word := s.ids()
		if s.existing {
			word += " if there is one"
		}
		list = append(list, word)
	}
	b.out.signals = nil
	return strings.Join(list, ", ")
}

func unhurried() Config {
	cfg := DefaultConfig()
	cfg.LingerMax = 0
	return cfg
}

const (
	telemetry = "devices/d/telemetry"
	statusOf  = "devices/d/status"
)

// A message of a device that sleeps is delivered if its workflow was not given a sign of life
// for longer than the device listens, although it can do nothing.
func TestASleepingDeviceIsHeard(t *testing.T) {
	b := newBench(unhurried(), testModel{})
	a := b.speaking(&device.Address{Dialect: "own", Awake: 10 * time.Second})
	for _, step := range []struct {
		after time.Duration
		what  string
		want  string
	}{
		{0, `{"hot":1,"id":1}`, "1"},
		{5 * time.Second, `{"id":2}`, ""},
		{5 * time.Second, `{"id":3}`, ""}, // ten seconds after what was delivered
		{time.Second, `{"id":4}`, "4"},    // though it sent something a second ago
		{time.Second, `{"id":5}`, ""},
		{time.Hour, `[{"id":6},{"id":7}]`, "6"},
		{time.Hour, `[{"hot":1,"id":8},{"id":9}]`, "8"},
	} {
		b.now = b.now.Add(step.after)
		b.deliver(telemetry, step.what, "", false)
		if got := b.sent("d"); got != step.want {
			t.Errorf("%s: delivered %q, want %q", step.what, got, step.want)
		}
	}
	a.relayed = true
	b.now = b.now.Add(time.Hour)
	b.deliver(telemetry, `{"id":10}`, "", false)
	if got := b.sent("d"); got != "" {
		t.Errorf("somebody else spoke of it: delivered %q", got)
	}
	a.relayed, a.from = false, &device.Address{Dialect: "own"}
	for i, want := range []string{"11", ""} {
		b.deliver(telemetry, fmt.Sprintf(`{"id":%d}`, 11+i), "", false)
		if got := b.sent("d"); got != want {
			t.Errorf("it sleeps no more: delivered %q, want %q", got, want)
		}
		b.now = b.now.Add(time.Hour)
	}
	for i, step := range []struct {
		awake, after time.Duration
		want         string
	}{{time.Second, time.Minute, "20"}, {0, time.Second, ""}, {0, time.Second, "22"}, {0, time.Hour, ""}} {
		b.now = b.now.Add(step.after)
		a.from = &device.Address{Dialect: "own", Awake: step.awake}
		b.deliver(telemetry, fmt.Sprintf(`{"id":%d}`, 20+i), "", false)
		if got := b.sent("d"); got != step.want {
			t.Errorf("after a nap, %d: delivered %q, want %q", i, got, step.want)
		}
	}
}

// It starts no workflow, and a device without one is tried once in a while.
func TestASleepingDeviceWithoutAWorkflow(t *testing.T) {
	b := newBench(unhurried(), testModel{})
	b.speaking(&device.Address{Dialect: "own", Awake: time.Second})
	tries := 0
	for range 100 { // ten minutes
		b.deliver(telemetry, `{}`, "x", false)
		for b.inFlight > 0 {
			b.fail("d", device.ErrNoTwin)
		}
		for _, s := range b.out.signals {
			tries++
			if !s.existing {
				t.Fatal("a workflow is started")
			}
		}
		b.out.signals = nil
		b.now = b.now.Add(6 * time.Second)
	}
	if tries < 9 || tries > 10 || len(b.out.letters) > 0 {
		t.Errorf("tried %d times in ten minutes, %d dead letters", tries, len(b.out.letters))
	}
	if got := len(strings.Fields(b.acks())); got != 100 {
		t.Errorf("%d acknowledged", got)
	}
}

// A device that is reached through another gateway than before is delivered, not more than once
// in a minute.
func TestAnotherGatewayIsHeard(t *testing.T) {
	b := newBench(unhurried(), testModel{})
	a := b.speaking(nil)
	via := func(name, value string) {
		a.from = &device.Address{Dialect: "own", Vars: map[string]string{name: value}}
	}
	for _, step := range []struct {
		after       time.Duration
		name, value string
		what, want  string
	}{
		{0, "gw", "1", `{"id":1}`, "1 if there is one"},
		{time.Minute, "gw", "1", `{"id":2}`, ""},
		{time.Second, "gw", "2", `{"id":3}`, "3"},
		{time.Second, "gw", "1", `{"id":4}`, ""}, // too soon
		{time.Minute, "gw", "1", `{"id":5}`, "5"},
		{time.Minute, "site", "n", `{"id":6}`, "6"},
		{time.Minute, "gw", "1", `{"id":7}`, ""},
		{time.Second, "gw", "3", `{"hot":1,"id":8}`, "8"},
		{time.Minute, "gw", "3", `{"id":9}`, ""},
		{time.Minute, "site", "n", `{"id":10}`, ""},
		{toldEvery, "site", "n", `{"id":11}`, "11"}, // the workflow may be another one
		{toldEvery - time.Second, "site", "n", `{"id":12}`, ""},
	} {
		b.now = b.now.Add(step.after)
		via(step.name, step.value)
		b.deliver(telemetry, step.what, "", false)
		if got := b.sent("d"); got != step.want {
			t.Errorf("%s: delivered %q, want %q", step.what, got, step.want)
		}
	}
}

// A refused message does not reach the workflow, so where its device is reached stays due; what is delivered
// for another reason counts, too.
func TestAnAddressIsDueUntilItIsSent(t *testing.T) {
	cfg := unhurried()
	cfg.QuotaWaiting = 1
	b := newBench(cfg, testModel{})
	b.speaking(&device.Address{Dialect: "own", Vars: map[string]string{"gw": "1"}})
	for _, step := range []struct {
		after      time.Duration
		what, want string
		waits      bool
	}{
		{0, `{"hot":1,"id":1}`, "1", false},
		{toldEvery - time.Minute, `{"hot":1,"id":2}`, "", true},
		{2 * time.Minute, `{"id":3}`, "2, device.fault if there is one", false}, // it is due, and refused: another one waits
		{2 * time.Minute, `{"id":4}`, "4", false},
		{toldEvery, `{"hot":1,"id":5}`, "5", false},
		{2 * time.Minute, `{"id":6}`, "", false},
		{toldEvery, `{"id":7}`, "7", false},
	} {
		b.now = b.now.Add(step.after)
		b.deliver(telemetry, step.what, "", false)
		if step.waits {
			continue
		}
		if got := b.sent("d"); got != step.want {
			t.Errorf("%s: delivered %q, want %q", step.what, got, step.want)
		}
	}
	if len(b.out.letters) != 1 {
		t.Errorf("%d messages were refused, want 1", len(b.out.letters))
	}
}

// Where a device is reached goes with its messages.
func TestTheAddressIsPassedOn(t *testing.T) {
	b := newBench(unhurried(), testModel{})
	from := &device.Address{Dialect: "own"}
	b.speaking(from)
	b.deliver(statusOf, `{"status":"online"}`, "", false)
	b.accept("d")
	b.deliver("devices/d/twin/update", `{"state":{"reported":{"a":1}}}`, "", false)
	for _, s := range b.out.signals {
		if s.batch.Messages[0].From != from {
			t.Errorf("%+v", s.batch.Messages[0])
		}
	}
	if len(b.out.signals) != 2 {
		t.Errorf("%d signals", len(b.out.signals))
	}
}

// A device is asked after a birth that is one, and not by its answers again and again.
func TestDevicesAreAskedAfterABirth(t *testing.T) {
	b := newBench(unhurried(), testModel{})
	a := b.speaking(&device.Address{Dialect: "own"})
	asked := func(what string, want int) {
		t.Helper()
		b.sent("d")
		if got := len(b.out.questions); got != want {
			t.Errorf("%s: asked %d times, want %d", what, got, want)
		}
		b.out.questions = nil
	}
	b.deliver(statusOf, `{"status":"online"}`, "", false)
	if q := b.out.questions; len(q) != 1 || q[0].ID != "d" || q[0].To != a.from {
		t.Errorf("asked %+v", q)
	}
	asked("a birth", 1)
	b.deliver(statusOf, `{"status":"online"}`, "", false)
	asked("an answer that is one, too", 0)
	b.now = b.now.Add(askEvery)
	b.deliver(statusOf, `{"status":"online"}`, "", false)
	asked("the next birth", 1)
	b.now = b.now.Add(askEvery)
	b.deliver(statusOf, `{"status":"online"}`, "", true)
	asked("one that may be repeated", 0)
	b.deliver(statusOf, `{"status":"offline"}`, "", false)
	asked("a last will", 0)
	b.deliver(telemetry, `{"hot":1}`, "", false)
	asked("a reading", 0)
	b.receive(b.w, statusOf, Arrival{Payload: []byte(`{"status":"online"}`), Retained: true, At: b.now})
	asked("a retained copy", 0)
	a.relayed = true
	b.deliver(statusOf, `{"status":"online"}`, "", false)
	asked("somebody else says so", 0)
	a.relayed, a.from = false, nil
	b.deliver(statusOf, `{"status":"online"}`, "", false)
	asked("one in the service's own words", 0)
}

// What has the verdict heard is so in the log, and known again after a crash: nothing is delivered that
// was left out before, and nobody is asked again.
func TestWhatWasHeardIsKnownAgain(t *testing.T) {
	p := openProcess(t, t.TempDir(), func(c *Config) { c.LingerMax = 0 }, testModel{})
	address := &device.Address{Dialect: "own", Awake: 10 * time.Second, Vars: map[string]string{"gw": "1"}}
	p.speaking(address)
	p.deliver(statusOf, `{"status":"online"}`, "1", false)
	p.flush()
	for p.inFlight > 0 {
		p.accept("d")
	}
	p.now = p.now.Add(time.Minute)
	p.deliver(telemetry, `{"id":2}`, "2", false)
	p.flush()
	heard := p.out.signals[len(p.out.signals)-1]
	if m := heard.batch.Messages[0]; heard.ids() != "2" || m.From == nil || m.From.Awake != address.Awake || m.From.Vars["gw"] != "1" {
		t.Fatalf("delivered %+v", heard)
	}
	if len(p.out.questions) != 1 {
		t.Errorf("asked %d times", len(p.out.questions))
	}
	next := p.reborn(nil, testModel{})
	next.flush()
	if n := len(next.out.questions); n > 0 {
		t.Errorf("asked %d times after the crash", n)
	}
	var ids []string
	for _, s := range next.out.signals {
		ids = append(ids, s.ids())
		for _, m := range s.batch.Messages {
			if m.From == nil || m.From.Vars["gw"] != "1" {
				t.Errorf("delivered without an address: %+v", m)
			}
		}
	}
	if got := strings.Join(ids, " "); got != "2" {
		t.Errorf("delivered %q after the crash, want what was not accepted", got)
	}
	next.speaking(address)
	next.now = next.now.Add(5 * time.Second)
	next.deliver(telemetry, `{"id":3}`, "3", false)
	next.flush()
	if s := next.out.signals; len(s) != 1 {
		t.Errorf("delivered %s, although the device is known to be awake", s[len(s)-1].ids())
	}
}

// The log says why it was delivered.
func TestWhatWasHeardIsRecordedAsThat(t *testing.T) {
	b, l := newLoggedBench(unhurried(), testModel{})
	b.speaking(&device.Address{Dialect: "own", Awake: time.Second})
	b.deliver(telemetry, `{"hot":1}`, "", false)
	b.now = b.now.Add(time.Minute)
	b.deliver(telemetry, `[{"id":1},{"id":2}]`, "", false)
	var got []string
	for _, a := range l.arrivals(t) {
		for _, m := range a.Messages {
			got = append(got, m.Verdict.String())
		}
		for _, o := range a.Outgoing {
			if o.Message.From == nil {
				t.Errorf("goes out without an address: %+v", o)
			}
		}
	}
	if s := strings.Join(got, " "); s != "delivered heard irrelevant" {
		t.Errorf("verdicts %s", s)
	}
}

// What the workflow knows of where its device is reached is known after a restart, and not
// after the workflow has ended.
func TestWhereADeviceIsReachedIsKept(t *testing.T) {
	p := openProcess(t, t.TempDir(), func(c *Config) { c.LingerMax = 0 }, testModel{})
	address := &device.Address{Dialect: "own", Vars: map[string]string{"gw": "1"}}
	p.speaking(address)
	p.deliver(telemetry, `{"hot":1,"t":1}`, "1", false)
	if got := p.deliverAll("run"); got != "1" {
		t.Fatalf("delivered %s", got)
	}
	next := p.next(func(c *Config) { c.LingerMax = 0 }, testModel{})
	next.speaking(address)
	next.now = next.now.Add(time.Hour)
	if got := next.say("d", `"t":2`, "run"); got != "" {
		t.Errorf("delivered %s after a restart", got)
	}
	next.ended("d")
	if got := next.say("d", `"t":3`, "run"); got != "3" {
		t.Errorf("delivered %q after the end of the workflow", got)
	}
}
