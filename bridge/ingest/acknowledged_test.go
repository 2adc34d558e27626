package ingest

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// ackBroker is a broker that loses acknowledgements with their connection, and
// connections in the middle of what it delivers again.
type ackBroker struct {
	b        *bench
	next     uint64
	inFlight []ackMessage // in the order of delivery
	acks     []uint64     // sent by the bridge, and not yet taken by the broker
}

type ackMessage struct {
	number uint64
	id     int
}

func (m *ackBroker) deliver(msg ackMessage, again bool) {
	lane := m.b.w
	m.b.receive(lane, "devices/d/telemetry", Arrival{
		Payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, msg.id), Number: msg.number, Again: again, At: m.b.now,
		Ack: func() { m.acks = append(m.acks, msg.number) },
	})
}

func (m *ackBroker) publish(id int) {
	m.next++
	msg := ackMessage{m.next, id}
	m.inFlight = append(m.inFlight, msg)
	m.deliver(msg, false)
}

// take takes the first acknowledgements that were sent.
func (m *ackBroker) take(n int) {
	m.b.acks()
	for _, number := range m.acks[:min(n, len(m.acks))] {
		m.inFlight = slices.DeleteFunc(m.inFlight, func(msg ackMessage) bool { return msg.number == number })
	}
	m.acks = m.acks[min(n, len(m.acks)):]
}

// reconnect loses what is under way, and delivers again the first of what is in flight.
func (m *ackBroker) reconnect(again int) {
	m.b.acks()
	m.acks = nil
	m.b.reconnect()
	for _, msg := range m.inFlight[:min(again, len(m.inFlight))] {
		m.deliver(msg, true)
	}
}

// signalled are the ids that the workflow of d was sent.
func (m *ackBroker) signalled() (ids []int) {
	for _, s := range m.b.out.signals {
		for _, msg := range s.batch.Messages {
			if id, ok := msg.Data["id"].(float64); ok {
				ids = append(ids, int(id))
			}
		}
	}
	return ids
}

func newAckBroker() *ackBroker {
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.StuckAfter = 0, 0
	return &ackBroker{b: newBench(cfg, testModel{})}
}

func TestALostAcknowledgementIsSentAgain(t *testing.T) {
	m := newAckBroker()
	for id := range 100 { // more than a workflow remembers of a device without numbers
		m.publish(id)
		m.b.accept("d")
	}
	m.reconnect(100)
	if got := m.signalled(); len(got) != 100 {
		t.Fatalf("%d messages were signalled, expected each of 100 once", len(got))
	}
	m.take(100)
	if len(m.inFlight) > 0 {
		t.Errorf("%d messages were not acknowledged again", len(m.inFlight))
	}
}

// A connection may be lost before its broker came to all that it delivers again.
func TestALaneEndsBeforeEverythingCameAgain(t *testing.T) {
	m := newAckBroker()
	for id := range 10 {
		m.publish(id)
	}
	m.reconnect(0) // while the first signal is on its way
	m.b.accept("d")
	m.b.accept("d")
	m.reconnect(3)
	m.reconnect(10)
	if got := m.signalled(); len(got) != 10 {
		t.Errorf("signalled: %v, expected each of 10 once", got)
	}
}

// The same content under another number is another message, and so is one that is not
// marked.
// What was accepted after its lane had closed is older than what came under its number on the next one.
func TestANumberOfAnEarlierLaneIsOlder(t *testing.T) {
	m := &ackBroker{b: newBench(DefaultConfig(), testModel{})}
	m.publish(1)
	m.inFlight, m.next = nil, 0 // the session is lost
	m.reconnect(0)
	m.b.acceptAll()
	m.publish(2)
	m.b.acceptAll()
	m.reconnect(1) // the acknowledgement is lost
	m.b.acceptAll()
	if got := m.signalled(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("signalled %v, want 1 and 2 once", got)
	}
}

func TestEqualMessagesUnderOtherNumbersCount(t *testing.T) {
	m := newAckBroker()
	m.publish(7)
	m.b.accept("d")
	m.take(1)
	m.next++
	m.deliver(ackMessage{m.next, 7}, true)
	m.b.accept("d")
	m.deliver(ackMessage{1, 7}, false)
	m.b.accept("d")
	if got := m.signalled(); len(got) != 3 {
		t.Errorf("signalled: %v, expected three messages", got)
	}
}

func TestLostAcknowledgementsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newAckBroker()
		published := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				m.publish(published)
				published++
			case 2, 3:
				if m.b.inFlight > 0 {
					m.b.accept("d")
				}
			case 4:
				m.take(rapid.IntRange(0, 5).Draw(t, "acknowledgements"))
			case 5:
				m.reconnect(rapid.IntRange(0, 10).Draw(t, "again"))
			}
		}
		m.reconnect(len(m.inFlight))
		for m.b.inFlight > 0 {
			m.b.accept("d")
		}
		m.take(len(m.inFlight))
		if len(m.inFlight) > 0 {
			t.Fatalf("%d messages are not acknowledged", len(m.inFlight))
		}
		if got := m.signalled(); len(got) != published || !slices.IsSorted(got) {
			t.Fatalf("signalled %v of %d messages", got, published)
		}
	})
}
