package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// brokerModel is a broker with one session: it keeps what is not acknowledged
// and delivers it again, in order, after a reconnection.
type brokerModel struct {
	t    *rapid.T
	b    *bench
	next int
	// unacked are the messages sent on this connection, in order.
	unacked []brokerMessage
	// accepted says which messages may be acknowledged.
	accepted map[int]bool
	kinds    map[int]string
	// order is, for each device, what its workflow saw first, in order.
	order map[string][]int
	busy  []sentSignal // in flight
	taken int          // signals of the recorder seen so far
}

type brokerMessage struct {
	id             int
	topic, payload string
	tries          int
}

func (m *brokerModel) send(msg brokerMessage) {
	msg.tries++
	w := m.b.w
	m.unacked = append(m.unacked, msg)
	m.b.receive(w, msg.topic, Arrival{
		Payload: []byte(msg.payload), Again: msg.tries > 1, At: m.b.now,
		Ack: func() { m.acknowledge(w, msg.id) },
	})
	m.collect()
}

// acknowledge is the broker receiving a PUBACK.
func (m *brokerModel) acknowledge(w *Lane, id int) {
	if w != m.b.w {
		m.t.Fatalf("acknowledged %d on a lost connection", id)
	}
	if len(m.unacked) == 0 || m.unacked[0].id != id {
		m.t.Fatalf("acknowledged %d out of order, expected %v", id, m.unacked)
	}
	if !m.accepted[id] {
		m.t.Fatalf("acknowledged %d (%s) before it was accepted", id, m.kinds[id])
	}
	m.unacked = m.unacked[1:]
}

// collect looks at the signals that were started.
func (m *brokerModel) collect() {
	for ; m.taken < len(m.b.out.signals); m.taken++ {
		s := m.b.out.signals[m.taken]
		if slices.ContainsFunc(m.busy, func(o sentSignal) bool { return o.device == s.device }) {
			m.t.Fatalf("two signals in flight for %s", s.device)
		}
		m.busy = append(m.busy, s)
	}
	if len(m.busy) != m.b.inFlight || m.b.inFlight > m.b.cfg.SignalsInFlight {
		m.t.Fatalf("%d signals in flight, the core says %d", len(m.busy), m.b.inFlight)
	}
	if m.b.held > 4*m.b.cfg.Window || m.b.w.waiting > m.b.cfg.Window {
		m.t.Fatalf("%d wait, %d held", m.b.w.waiting, m.b.held)
	}
}

func (m *brokerModel) publish(device, kind string) {
	if m.b.full(m.b.w) {
		return // the handler waits
	}
	m.next++
	msg := brokerMessage{id: m.next, topic: "devices/" + device + "/telemetry"}
	switch kind {
	case "hot":
		msg.payload = fmt.Sprintf(`{"hot":1,"id":%d}`, m.next)
	case "cold":
		msg.payload = fmt.Sprintf(`{"id":%d}`, m.next)
	case "bad":
		msg.payload = fmt.Sprintf(`{"id":%d`, m.next)
	}
	m.accepted[m.next] = kind == "cold"
	m.kinds[m.next] = kind
	m.send(msg)
}

// finish ends signal i of those in flight.
func (m *brokerModel) finish(i int, err error) {
	s := m.busy[i]
	m.busy = slices.Delete(m.busy, i, i+1)
	if err == nil {
		for _, msg := range s.batch.Messages {
			if isReport(&msg) { // no arrival waits for it
				continue
			}
			id := int(msg.Data["id"].(float64))
			m.accepted[id] = true
			if !slices.Contains(m.order[s.device], id) {
				m.order[s.device] = append(m.order[s.device], id)
			}
		}
	} else if err == errPermanent {
		// They may be acknowledged once their letters are published.
		m.b.signalled(s.device, err, m.b.now)
		m.collect()
		return
	}
	m.b.signalled(s.device, err, m.b.now)
	m.collect()
}

// letters publishes the dead letters that wait.
func (m *brokerModel) letters() {
	for len(m.b.out.waiting) > 0 {
		e := m.b.out.waiting[0]
		m.b.out.waiting = m.b.out.waiting[1:]
		var id int
		payload := strings.Replace(string(e.Payload), `"hot":1,`, "", 1)
		if _, err := fmt.Sscanf(payload, `{"id":%d`, &id); err != nil {
			m.t.Fatal(err)
		}
		m.accepted[id] = true
		m.b.published(e)
	}
}

func (m *brokerModel) reconnect() {
	again := m.unacked
	m.unacked = nil
	m.b.reconnect()
	for _, msg := range again {
		if m.b.full(m.b.w) {
			// What does not fit waits in the broker, as new to us.
			m.unacked = append(m.unacked, msg)
			m.t.Fatalf("no room for repetitions: window %d", m.b.w.entries.len())
		}
		m.send(msg)
	}
}

func TestAcknowledgementProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.Window = rapid.IntRange(1, 30).Draw(t, "window")
		cfg.BatchMessages = rapid.IntRange(1, 5).Draw(t, "batch")
		cfg.SignalsInFlight = rapid.IntRange(1, 4).Draw(t, "signals")
		m := &brokerModel{
			t: t, b: newBench(cfg, testModel{}),
			accepted: map[int]bool{}, kinds: map[int]string{}, order: map[string][]int{},
		}
		m.b.out.publishes = rapid.Bool().Draw(t, "letters")
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				kind := rapid.SampledFrom([]string{"hot", "hot", "hot", "cold", "bad"}).Draw(t, "kind")
				if kind == "bad" && !m.b.out.publishes {
					kind = "hot"
				}
				m.publish(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "device"), kind)
			},
			"accept": func(t *rapid.T) {
				if len(m.busy) > 0 {
					m.finish(rapid.IntRange(0, len(m.busy)-1).Draw(t, "which"), nil)
				}
			},
			"fail": func(t *rapid.T) {
				if len(m.busy) > 0 {
					m.finish(rapid.IntRange(0, len(m.busy)-1).Draw(t, "which"), errDown)
				}
			},
			"refuse": func(t *rapid.T) {
				if len(m.busy) > 0 && m.b.out.publishes {
					m.finish(rapid.IntRange(0, len(m.busy)-1).Draw(t, "which"), errPermanent)
				}
			},
			"wait":      func(*rapid.T) { m.b.advance(time.Second); m.collect() },
			"reconnect": func(*rapid.T) { m.reconnect() },
			"letters":   func(*rapid.T) { m.letters() },
			"":          func(*rapid.T) { m.b.acks() },
		})
		m.drain()
		for device, ids := range m.order {
			if !slices.IsSorted(ids) {
				t.Fatalf("workflow %s saw %v", device, ids)
			}
		}
		for id, kind := range m.kinds {
			if !m.accepted[id] {
				t.Fatalf("message %d (%s) was never accepted", id, kind)
			}
		}
	})
}

// drain lets everything succeed until nothing is left.
func (m *brokerModel) drain() {
	for range 10_000 {
		m.letters()
		m.b.acks()
		if m.b.idle() {
			break
		}
		if len(m.busy) == 0 {
			m.b.advance(10 * time.Second)
			m.collect()
			continue
		}
		m.finish(0, nil)
	}
	if len(m.unacked) > 0 || m.b.held > 0 || m.b.heldBytes > 0 {
		m.t.Fatalf("left over: unacknowledged %v, held %d", m.unacked, m.b.held)
	}
}

func TestFifo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo[int]
		var want []int
		for _, v := range rapid.SliceOf(rapid.IntRange(-1, 100)).Draw(t, "operations") {
			if v >= 0 {
				q.push(v)
				want = append(want, v)
			} else if len(want) > 0 {
				if got := q.pop(); got != want[0] {
					t.Fatalf("popped %d, expected %d", got, want[0])
				}
				want = want[1:]
			}
			if q.len() != len(want) || q.len() > 0 && q.head() != want[0] {
				t.Fatalf("%d left, expected %v", q.len(), want)
			}
		}
	})
}
