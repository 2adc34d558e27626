package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/wire"
)

// ask delivers a request of a shadow.
func (b *bench) ask(topic, payload string) { b.deliver(topic, payload, "r", false) }

func TestShadowRequestsAreSignalled(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.ask("$aws/things/d1/shadow/name/cfg/update", `{"state":{"reported":{"a":1}}}`)
	b.ask("devices/d2/twin/update", `{"state":{"desired":{"a":1.000000000000000001}}}`)
	b.ask("devices/d3/twin/x/delete", ``)
	b.ask("$aws/things/d4/shadow/get", `no JSON`)
	type want struct {
		device, name, shadow, reply string
		reports, existing           bool
	}
	wants := []want{
		{"d1", "update", "cfg", "$aws/things/d1/shadow/name/cfg", true, false},
		{"d2", "update", "", "devices/d2/twin", false, false},
		{"d3", "delete", "x", "devices/d3/twin/x", false, true},
		{"d4", "get", "", "$aws/things/d4/shadow", false, true},
	}
	for i, s := range b.out.signals {
		m := s.batch.Messages[0]
		got := want{s.device, m.Name, m.Twin.Shadow, m.Twin.Reply, m.Twin.Reports, s.existing}
		if got != wants[i] || m.Channel != device.ChannelTwin || m.Digest == "" || m.Alive() != got.reports {
			t.Errorf("got %+v in %+v, want %+v", got, m, wants[i])
		}
	}
	if n := len(b.out.signals); n != 4 || len(b.out.letters) != 0 {
		t.Fatalf("%d signals, %d dead letters", n, len(b.out.letters))
	}
	if got := string(b.out.signals[1].batch.Messages[0].Twin.Payload); !strings.Contains(got, "1.000000000000000001") {
		t.Errorf("the payload is %s", got)
	}
	b.acceptAll()
	if got := b.acks(); got != "r r r r" || len(b.out.answers) != 0 {
		t.Errorf("acknowledged %q, answers %q", got, b.out.answers)
	}
}

func TestAnswersToRequestsAreNoInput(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for _, rest := range []string{"get/accepted", "update/rejected", "update/delta", "update/documents", "documents/current", "x/update/accepted"} {
		b.ask("devices/d/twin/"+rest, `{}`)
	}
	if n := b.counts.Ignored.Load(); n != 6 || len(b.out.signals)+len(b.out.letters) != 0 {
		t.Errorf("%d of 6 ignored, %d signals, %d dead letters", n, len(b.out.signals), len(b.out.letters))
	}
	b.ask("$aws/things/d/shadow/list", `{}`)
	b.ask("devices/b d/twin/get", `{}`)
	if n := len(b.out.letters); n != 2 || b.out.letters[1].Reason != wire.ReasonBadTopic {
		t.Errorf("%d of 2 bad topics are dead letters: %+v", n, b.out.letters)
	}
	cfg, topics := DefaultConfig(), wire.DefaultConfig()
	topics.ShadowTopics, cfg.Partition = []string{"things/{id}[/{shadow}]"}, Partition{Index: 1, Of: 2}
	b = newBenchOf(cfg, true, topics, testModel{})
	for i := range 100 {
		b.ask(fmt.Sprintf("things/d%d/get", i), `{}`)
	}
	if n := b.counts.Foreign.Load(); n < 20 || n > 80 || int(n)+len(b.devices.byID) != 100 {
		t.Errorf("%d of 100 devices belong to the other bridge, %d to this one", n, len(b.devices.byID))
	}
}

func TestRequestsOfUnknownDevicesStartNothing(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.out.publishes = true
	b.ask("$aws/things/d/shadow/get", `{"clientToken":"t1"}`)
	b.ask("$aws/things/d/shadow/name/cfg/delete", ``)
	b.fail("d", device.ErrNoTwin)
	b.ask("$aws/things/d/shadow/update", `{"state":{}}`)
	if b.out.signals[1].existing != true || len(b.out.signals) != 2 {
		t.Fatalf("%+v", b.out.signals)
	}
	b.fail("d", device.ErrNoTwin)
	if last := b.out.signals[len(b.out.signals)-1]; last.existing || last.batch.Messages[0].Name != "update" {
		t.Errorf("an update is to start the workflow: %+v", last)
	}
	b.accept("d")
	want := []string{
		`$aws/things/d/shadow/get/rejected {"clientToken":"t1","code":404,"message":"No shadow exists with name: 'd'","timestamp":1767225600}`,
		`$aws/things/d/shadow/name/cfg/delete/rejected {"code":404,"message":"No shadow exists with name: 'cfg'","timestamp":1767225600}`,
	}
	if !slices.Equal(b.out.answers, want) {
		t.Errorf("answers\n%s\nwant\n%s", strings.Join(b.out.answers, "\n"), strings.Join(want, "\n"))
	}
	if got := b.acks(); got != "" {
		t.Errorf("acknowledged before the answers were published: %q", got)
	}
	for _, e := range b.out.waiting {
		b.published(e)
	}
	if got := b.acks(); got != "r r r" || b.held != 0 || b.counts.Events.Load() != 1 || b.outage.failures != 0 {
		t.Errorf("acknowledged %q, %d held, %d events, %d failures", got, b.held, b.counts.Events.Load(), b.outage.failures)
	}
}

func TestTooManyAndTooLargeRequests(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for i := range maxRequests + 2 {
		b.ask("devices/d/twin/get", fmt.Sprintf(`{"clientToken":"t%d"}`, i))
	}
	b.hot("d", 1)
	if n := len(b.out.answers); n != 2 || !strings.Contains(b.out.answers[0], `"clientToken":"t10","code":429`) {
		t.Errorf("%d answers: %q", n, b.out.answers)
	}
	b.acceptAll()
	b.ask("devices/d/twin/get", ``)
	if n := len(b.out.answers); n != 2 || b.devices.get("d").requests != 1 {
		t.Errorf("refused after the others were answered: %q", b.out.answers)
	}
	b.acceptAll()
	b.ask("devices/e/twin/update", `{"state":{"desired":{"a":"`+strings.Repeat("x", 40<<10)+`"}}}`)
	if last := b.out.answers[2]; !strings.Contains(last, `"code":413`) || !strings.HasPrefix(last, "devices/e/twin/update/rejected ") {
		t.Errorf("too large: %s", last)
	}
	if len(b.out.letters) != 0 || b.devices.byID["e"] != nil || b.held != 0 || strings.Count(b.acks(), "r") != maxRequests+4 {
		t.Errorf("%d dead letters, %d held, acknowledged %q", len(b.out.letters), b.held, b.acks())
	}
}

func TestRequestsThatNoWorkflowTakes(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.ask("devices/d/twin/update", `{"state":{},"clientToken":"a"}`)
	b.fail("d", errPermanent)
	b.devices.get("d").quarantined = true
	b.ask("devices/d/twin/update", `{"state":{},"clientToken":"b"}`)
	if n := len(b.out.answers); n != 2 || !strings.Contains(b.out.answers[0], `"a","code":500`) || !strings.Contains(b.out.answers[1], `"b","code":500`) {
		t.Errorf("answers %q", b.out.answers)
	}
	if d := b.devices.get("d"); len(b.out.letters) != 0 || d.requests != 0 {
		t.Errorf("%d dead letters, %d requests open", len(b.out.letters), d.requests)
	}
}

// What a device says of its state in a dialect of its own is an update that nobody is
// answered. A retained copy is one too, and does not show that the device is up; it is the
// only retained message that is delivered.
func TestReportsInADialect(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	report := func(retained bool) {
		r := wire.Received{ID: "d", Message: device.Message{
			Channel: device.ChannelTwin, Name: device.MethodUpdate, Time: b.now,
			Twin: &device.TwinRequest{Payload: fmt.Appendf(nil, `{"state":{"reported":{"on":%v}}}`, retained), Reports: true},
		}}
		reading := wire.Received{ID: "d", Object: []byte(`{"hot":1}`), Message: device.Message{Channel: device.ChannelTelemetry, Time: b.now}}
		a := Arrival{Payload: []byte(`{"on":true}`), At: b.now, Origin: "s/d", Retained: retained, Ack: func() {}}
		b.core.receive(b.w, arrived{a, []wire.Received{r, reading}, nil}, b.now)
		b.out.take(b.core)
	}
	var got []string
	for _, retained := range []bool{false, true} {
		before := len(b.out.signals)
		report(retained)
		for b.inFlight > 0 {
			b.accept("d")
		}
		for _, s := range b.out.signals[before:] {
			for _, m := range s.batch.Messages {
				got = append(got, fmt.Sprint(m.Channel, " stale ", m.Stale, " alive ", m.Alive()))
			}
		}
	}
	want := []string{"twin stale false alive true", "telemetry stale false alive true", "twin stale true alive false"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	b.core.receive(b.w, arrived{Arrival{Payload: []byte("x"), At: b.now, Origin: "else", Ack: func() {}}, nil, wire.ErrUnmapped}, b.now)
	if n := b.counts.Unmapped.Load(); n != 1 {
		t.Errorf("%d are unmapped", n)
	}
}

// Of a retained message nothing counts but what is reported; each is counted.
func TestRetainedMessagesThatAreIgnored(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	birth := wire.Received{ID: "d", Object: []byte(`{"status":"online"}`), Message: device.Message{Channel: device.ChannelStatus, Time: b.now}}
	for i, a := range []arrived{
		{received: []wire.Received{birth}},
		{err: wire.Refuse(wire.ReasonBadPayload, "not JSON")},
		{err: wire.ErrUnmapped},
		{err: wire.ErrNotInput},
	} {
		acked := false
		a.Arrival = Arrival{Payload: []byte(`{`), At: b.now, Origin: "s/d", Retained: true, Ack: func() { acked = true }}
		b.core.receive(b.w, a, b.now)
		b.out.take(b.core)
		for _, ack := range b.w.outbox {
			ack()
		}
		b.w.outbox = nil
		if n := b.counts.Ignored.Load(); n != uint64(i+1) || !acked || len(b.out.letters) != 0 || len(b.out.signals) != 0 {
			t.Errorf("%d: %d are ignored, acknowledged %v, dead letters %v, %d signals", i, n, acked, b.out.letters, len(b.out.signals))
		}
	}
}

// What a device says of its state in a dialect of its own is not lost where a request would be
// turned away: it waits as other messages do, and is refused for what they are refused for, as a
// dead letter.
func TestReportsAreNotRejected(t *testing.T) {
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.QuotaBurst = 1, 30
	b := newBench(cfg, testModel{})
	report := func(id device.ID, payload string) {
		r := wire.Received{ID: id, Message: device.Message{
			Channel: device.ChannelTwin, Name: device.MethodUpdate, Time: b.now, Twin: &device.TwinRequest{Payload: []byte(payload), Reports: true},
		}}
		b.core.receive(b.w, arrived{Arrival{Payload: []byte(payload), At: b.now, Origin: "s/d", Ack: func() {}}, []wire.Received{r}, nil}, b.now)
		b.out.take(b.core)
	}
	for range 2 * maxRequests {
		report("d", `{"state":{"reported":{"on":true}}}`)
	}
	b.ask("devices/d/twin/get", `{"clientToken":"x"}`) // it has all of its own requests yet
	delivered := 0
	for before := -1; b.inFlight > 0 && before < len(b.out.signals); {
		before = len(b.out.signals)
		b.accept("d")
	}
	for _, s := range b.out.signals {
		delivered += len(s.batch.Messages)
	}
	if delivered != 2*maxRequests+1 || len(b.out.letters) != 0 || len(b.out.answers) != 0 || b.devices.get("d").requests != 0 {
		t.Errorf("%d delivered, dead letters %v, answers %q, %d requests open", delivered, b.out.letters, b.out.answers, b.devices.get("d").requests)
	}
	for i := range 30 {
		report("d", fmt.Sprintf(`{"state":{"reported":{"on":%d}}}`, i))
	}
	report("e", `{"state":{"reported":{"x":"`+strings.Repeat("x", cfg.MaxRequest)+`"}}}`)
	report("f", `{}`)
	b.fail("f", errPermanent)
	var reasons []wire.Reason
	for _, l := range b.out.letters {
		if !slices.Contains(reasons, l.Reason) {
			reasons = append(reasons, l.Reason)
		}
	}
	if want := []wire.Reason{ReasonQuota, wire.ReasonTooLarge, ReasonRefused}; !slices.Equal(reasons, want) || len(b.out.answers) != 0 {
		t.Errorf("dead letters for %q, want %q; answers %q", reasons, want, b.out.answers)
	}
}
