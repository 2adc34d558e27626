package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

func TestBatchGrowsWhileOneSignalIsInFlight(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for id := 1; id <= 5; id++ {
		b.hot("d1", id)
	}
	if n := len(b.out.signals); n != 1 || b.out.signals[0].ids() != "1" {
		t.Fatalf("before acceptance: %v", b.out.signals)
	}
	if got := b.acks(); got != "" {
		t.Fatalf("acknowledged before acceptance: %s", got)
	}
	b.accept("d1")
	if got := b.out.signals[1].ids(); got != "2 3 4 5" {
		t.Fatalf("second batch: %s", got)
	}
	if got := b.acks(); got != "1" {
		t.Fatalf("acknowledged: %s", got)
	}
	b.accept("d1")
	if got := b.acks(); got != "1 2 3 4 5" || !b.idle() {
		t.Fatalf("acknowledged: %s, idle %v", got, b.idle())
	}
}

func TestAcknowledgementsWaitForThoseBefore(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.hot("slow", 1)
	b.hot("fast", 2)
	b.deliver("devices/cold/telemetry", `{"temperature":20}`, "3", false)
	b.deliver("nonsense", `{}`, "4", false)
	b.accept("fast")
	if got := b.acks(); got != "" {
		t.Fatalf("overtook: %s", got)
	}
	b.accept("slow")
	if got := b.acks(); got != "1 2 3 4" {
		t.Fatalf("acknowledged: %s", got)
	}
	if b.held != 0 || b.heldBytes != 0 {
		t.Fatalf("still held: %d, %d bytes", b.held, b.heldBytes)
	}
}

func TestBatchBounds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.BatchMessages = 3
	b := newBench(cfg, testModel{})
	for id := 1; id <= 8; id++ {
		b.hot("d", id)
	}
	var got []string
	for !b.idle() {
		got = append(got, b.out.signals[len(b.out.signals)-1].ids())
		b.accept("d")
	}
	if s := strings.Join(got, " | "); s != "1 | 2 3 4 | 5 6 7 | 8" {
		t.Errorf("by count: %s", s)
	}

	cfg = DefaultConfig()
	cfg.BatchBytes = 3000
	b = newBench(cfg, testModel{})
	big := strings.Repeat("x", 1000)
	for id := 1; id <= 6; id++ {
		b.deliver("devices/d/telemetry", fmt.Sprintf(`{"hot":%q,"id":%d}`, big, id), fmt.Sprint(id), false)
	}
	huge := strings.Repeat("<", 5000)
	b.deliver("devices/d/telemetry", fmt.Sprintf(`{"hot":%q,"id":7}`, huge), "7", false)
	b.hot("d", 8)
	got = nil
	for !b.idle() {
		got = append(got, b.out.signals[len(b.out.signals)-1].ids())
		b.accept("d")
	}
	if s := strings.Join(got, " | "); s != "1 | 2 3 | 4 5 | 6 | 7 | 8" {
		t.Errorf("by bytes: %s", s)
	}
}

func TestSignalsInFlightAreBoundedAndDevicesTakeTurns(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SignalsInFlight = 2
	cfg.BatchMessages = 1
	b := newBench(cfg, testModel{})
	for id := 1; id <= 3; id++ { // a loud one first
		b.hot("loud", id)
	}
	b.hot("a", 10)
	b.hot("b", 20)
	for i := 0; !b.idle(); i++ {
		if b.inFlight > 2 {
			t.Fatalf("%d in flight", b.inFlight)
		}
		b.accept(b.out.signals[i].device)
	}
	var order []string
	for _, s := range b.out.signals {
		order = append(order, s.device)
	}
	if got := strings.Join(order, " "); got != "loud a b loud loud" {
		t.Errorf("turns: %s", got)
	}
}

func TestFailedBatchIsTriedAgainUnchanged(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.hot("d", 1)
	b.fail("d", errDown)
	b.hot("d", 2) // must not join the batch that Temporal may have seen
	b.hot("other", 3)
	b.accept("other")
	if n := len(b.out.signals); n != 2 {
		t.Fatalf("%d signals before the wait is over", n)
	}
	at, ok := b.next()
	if !ok || !at.Equal(epoch.Add(time.Second)) {
		t.Fatalf("next at %v, %v", at, ok)
	}
	b.advance(time.Second)
	first, second := b.out.signals[0], b.out.signals[2]
	if got := second.ids(); got != "1" || second.batch.ID == "" || second.batch.ID != first.batch.ID {
		t.Fatalf("second try: %s in batch %q, first try in %q", got, second.batch.ID, first.batch.ID)
	}
	b.accept("d")
	if next := b.out.signals[3].batch.ID; next == first.batch.ID {
		t.Fatalf("the next batch has the id of the one before: %q", next)
	}
	b.accept("d")
	if got := b.acks(); got != "1 2 3" {
		t.Fatalf("acknowledged: %s", got)
	}
}

func TestOutageLetsOneTry(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for i := range 10 {
		b.hot(fmt.Sprint("d", i), i)
	}
	for i := range 10 {
		b.fail(fmt.Sprint("d", i), errDown)
	}
	if !b.outage.on {
		t.Fatal("ten failures in a row are not an outage")
	}
	tries := len(b.out.signals)
	for range 60 {
		b.advance(time.Second)
		if b.inFlight > 1 {
			t.Fatalf("%d in flight during an outage", b.inFlight)
		}
		if b.inFlight == 1 {
			b.fail(b.out.signals[len(b.out.signals)-1].device, errDown)
		}
	}
	if n := len(b.out.signals) - tries; n < 5 || n > 15 {
		t.Errorf("%d tries in a minute of outage", n)
	}
	if got := b.acks(); got != "" {
		t.Errorf("acknowledged: %s", got)
	}
	b.advance(10 * time.Second)
	for !b.idle() {
		if b.inFlight == 0 {
			b.advance(10 * time.Second)
			continue
		}
		b.accept(b.out.signals[len(b.out.signals)-b.inFlight].device)
	}
	if got := b.acks(); got != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("acknowledged: %s", got)
	}
}

func TestRefusedBatchBecomesDeadLetters(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.out.publishes = true
	b.deliver("devices/d/telemetry", `[{"hot":1,"id":1},{"hot":1,"id":2}]`, "1", false)
	b.fail("d", fmt.Errorf("signalling: %w", errPermanent))
	if len(b.out.letters) != 1 || b.out.letters[0].Reason != ReasonRefused || b.out.letters[0].Origin != "devices/d/telemetry" {
		t.Fatalf("letters: %+v", b.out.letters)
	}
	if got := b.acks(); got != "" {
		t.Fatalf("acknowledged before the letter is published: %s", got)
	}
	b.published(b.out.waiting[0])
	if got := b.acks(); got != "1" {
		t.Fatalf("acknowledged: %s", got)
	}
	b.hot("d", 3)
	if len(b.out.signals) != 2 {
		t.Error("the device is stuck after a refused batch")
	}
}

func TestRepetitionJoinsWhatIsStillHeld(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.hot("d", 1) // in flight
	b.hot("d", 2) // waits
	b.hot("e", 3)
	b.accept("e") // accepted, not acknowledged because of those before
	b.reconnect()
	b.accept("d") // the answer to 1 arrives while nobody listens
	for id := 1; id <= 3; id++ {
		b.deliver("devices/"+map[int]string{1: "d", 2: "d", 3: "e"}[id]+"/telemetry",
			fmt.Sprintf(`{"hot":1,"id":%d}`, id), fmt.Sprint(id), true)
	}
	b.hot("d", 4)
	if got := b.acks(); got != "1" {
		t.Fatalf("acknowledged: %s", got)
	}
	b.accept("d")
	b.accept("d")
	if got := b.acks(); got != "1 2 3 4" {
		t.Fatalf("acknowledged: %s", got)
	}
	var sent []string
	for _, s := range b.out.signals {
		sent = append(sent, s.ids())
	}
	if got := strings.Join(sent, " | "); got != "1 | 3 | 2 | 4" {
		t.Errorf("signalled: %s", got)
	}
	if b.held != 0 || len(b.streams[0].left) != 0 {
		t.Errorf("held %d, left over %d", b.held, len(b.streams[0].left))
	}
}

func TestRepetitionOnTheSameConnectionIsAcknowledgedOnce(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	send := func(id uint16, dup bool) {
		b.receive(b.w, "devices/d/telemetry", Arrival{
			Number: uint64(id), Payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, id), Again: dup, At: b.now,
			Ack: func() { b.acked = append(b.acked, fmt.Sprint(id)) },
		})
	}
	send(1, false)
	send(2, false)
	send(1, true)
	send(2, true)
	b.accept("d")
	b.accept("d")
	if got := b.acks(); got != "1 2" || len(b.out.signals) != 2 || !b.idle() {
		t.Errorf("acknowledged: %s, signals %v", got, b.out.signals)
	}
	send(1, false) // the id belongs to another message now
	b.accept("d")
	if got := b.acks(); got != "1 2 1" || b.held != 0 || len(b.w.unacked) != 0 {
		t.Errorf("acknowledged: %s", got)
	}
}

func TestEqualMessagesOnBothSidesOfALoss(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	same := func(name string, dup bool) {
		b.deliver("devices/d/telemetry", `{"hot":1,"id":7}`, name, dup)
	}
	same("1", false)
	same("2", false)
	b.reconnect()
	same("1", true)
	same("2", true)
	same("3", true) // sent before the loss, first received after it
	same("4", false)
	for !b.idle() {
		b.accept("d")
	}
	n := 0
	for _, s := range b.out.signals {
		n += len(s.batch.Messages)
	}
	if got := b.acks(); n != 4 || got != "1 2 3 4" {
		t.Errorf("%d messages signalled, acknowledged %s", n, got)
	}
}

func TestWindowHoldsBack(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Window = 3
	b := newBench(cfg, testModel{})
	for id := 1; !b.full(b.w); id++ {
		b.hot("d", id)
	}
	if n := b.w.entries.len(); n != 3 {
		t.Fatalf("full at %d", n)
	}
	b.reconnect()
	if b.full(b.w) {
		t.Fatal("repetitions have no room")
	}
	b.reconnect()
	for round := 0; !b.full(b.w); round++ {
		if round > 100 {
			t.Fatal("unbounded: lost connections leave ever more behind")
		}
		for id := 0; !b.full(b.w); id++ { // a broker that does not set DUP
			b.hot("d", 1000+10*round+id)
		}
		if b.held >= 4*cfg.Window {
			break
		}
		b.reconnect()
	}
	if b.held > 4*cfg.Window {
		t.Errorf("held %d", b.held)
	}
}

func TestGaps(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	send := func(epoch, seq int) {
		b.deliver("devices/d/telemetry", fmt.Sprintf(`{"epoch":%d,"seq":%d}`, epoch, seq), "", false)
	}
	type numbers struct{ epoch, seq int }
	for _, n := range []numbers{{1, 5}, {1, 6}, {1, 9}, {1, 7}, {1, 9}, {1, 10}, {2, 1}, {1, 11}, {3, 3}, {3, 4}} {
		send(n.epoch, n.seq)
		for !b.idle() {
			b.accept("d")
		}
	}
	var got []string
	for _, s := range b.out.signals {
		m := s.batch.Messages[0]
		if m.Channel != device.ChannelSystem || m.Name != device.EventSequenceGap || m.Seq != 0 {
			t.Fatalf("signalled %+v", m)
		}
		got = append(got, fmt.Sprintf("%v:%v-%v(%v)", m.Data["epoch"], m.Data["from"], m.Data["to"], m.Data["missing"]))
	}
	if s := strings.Join(got, " "); s != "1:7-8(2) 3:1-2(2)" {
		t.Errorf("gaps: %s", s)
	}

	b = newBench(DefaultConfig(), testModel{ignoreGaps: true})
	send(1, 1)
	send(1, 5)
	if len(b.out.signals) != 0 {
		t.Error("a gap that no state cares for was signalled")
	}
	b = newBench(DefaultConfig(), testModel{})
	send(1, 1)
	b.deliver("devices/d/telemetry", `{"epoch":1,"seq":4,"hot":1,"id":4}`, "", false)
	if got := b.out.signals[0].ids(); got != "sequence.gap 4" {
		t.Errorf("signalled %s, expected the gap before the message", got)
	}
}

func TestDevicesAreForgotten(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxDevices = 2
	b := newBench(cfg, testModel{})
	b.hot("busy", 1)
	for i := range 10 {
		b.deliver(fmt.Sprintf("devices/d%d/telemetry", i), `{}`, "", false)
	}
	if n := len(b.devices.byID); n != 2 || b.devices.order.Len() != 2 || b.devices.byID["busy"] == nil {
		t.Errorf("remembered: %v", b.devices.byID)
	}
	b.accept("busy")
}

func TestWhatIsNoInput(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.core.receive(b.w, arrived{Arrival{Origin: "devices/d/status", Payload: []byte(`{"status":"boot"}`), At: b.now}, nil, wire.ErrNotInput}, b.now)
	b.deliver("devices/d/commands/reprovision", `{"id":"1"}`, "2", false)
	if len(b.out.signals)+len(b.out.letters) != 0 || b.acks() != "2" {
		t.Errorf("signals %v, letters %v, acknowledged %s", b.out.signals, b.out.letters, b.acks())
	}
}

func TestTelemetryBecomesPoints(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	ms := epoch.UnixMilli()
	b.deliver("devices/d/telemetry", fmt.Sprintf(`[{"t":1},{"t":2},{"t":3,"ts":%d,"epoch":1,"seq":17}]`, ms-1000), "", false)
	b.deliver("devices/d/events/e", `{"t":4}`, "", false)
	want := []string{
		fmt.Sprintf(`d {"t":1} %d`, epoch.UnixNano()),
		fmt.Sprintf(`d {"t":2} %d`, epoch.UnixNano()+1),
		fmt.Sprintf(`d {"t":3,"ts":%d,"epoch":1,"seq":17} %d`, ms-1000, epoch.Add(-time.Second).UnixNano()+17),
	}
	if got := strings.Join(b.out.points, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("points:\n%s", got)
	}
}
