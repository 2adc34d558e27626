package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// fakeBroker accepts connections, and handles what comes on each with a function
// of its own. Its packets are read and written by another implementation.
func fakeBroker(t *testing.T, handle func(conn net.Conn, p packets.ControlPacket)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { l.Close() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				for {
					p, err := packets.ReadPacket(conn)
					if err != nil {
						return
					}
					if _, ok := p.(*packets.ConnectPacket); ok {
						p := packets.NewControlPacket(packets.Connack)
						_ = p.Write(conn)
						continue
					}
					handle(conn, p)
				}
			})
		}
	})
	return l.Addr().String()
}

func puback(conn net.Conn, id uint16) {
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = id
	_ = ack.Write(conn)
}

// What is published arrives as it was, each device's in order, and over several
// connections.
func TestLoad(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{}
	addr := fakeBroker(t, func(conn net.Conn, p packets.ControlPacket) {
		m := p.(*packets.PublishPacket)
		if m.Qos != 1 {
			t.Errorf("qos %d", m.Qos)
		}
		mu.Lock()
		got[m.TopicName] = append(got[m.TopicName], string(m.Payload))
		mu.Unlock()
		puback(conn, m.MessageID)
	})
	const n, each = 7, 300 // more than may be unacknowledged
	long := make([]byte, 200)
	devices := newAccounts("dev", n, "events/tick")
	l := &load{addr: addr, devices: devices, conns: 3, messages: n * each, say: func(a *account, b []byte) []byte {
		if a == devices[1] {
			return append(b, long...) // a length of two bytes
		}
		return tick(a, b)
	}}
	if err := l.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	total := 0
	for i, a := range devices {
		total += len(got[a.topic])
		if a.sent() != uint64(len(got[a.topic])) {
			t.Errorf("%s: %d sent, %d received", a.topic, a.sent(), len(got[a.topic]))
		}
		said := &account{}
		for _, payload := range got[a.topic] {
			said.due = append(said.due, 0)
			if want := string(tick(said, nil)); i != 1 && payload != want {
				t.Fatalf("%s: received %s, want %s", a.topic, payload, want)
			}
			if i == 1 && payload != string(long) {
				t.Fatalf("%s: received %q", a.topic, payload)
			}
		}
	}
	if total != n*each {
		t.Errorf("%d messages, want %d", total, n*each)
	}
}

// A broker that does not acknowledge gets no more than may be unacknowledged, and
// the end of the context ends the load.
func TestLoadIsHeldBack(t *testing.T) {
	full := make(chan struct{})
	received := 0
	addr := fakeBroker(t, func(net.Conn, packets.ControlPacket) {
		if received++; received == unacknowledged {
			close(full)
		}
		if received > unacknowledged {
			t.Errorf("message %d", received)
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	go func() {
		<-full
		cancel(enough)
	}()
	l := &load{addr: addr, devices: newAccounts("dev", 1, "telemetry"), conns: 1, messages: unacknowledged + 1, say: tick}
	if err := l.run(ctx); !errors.Is(err, enough) {
		t.Errorf("error is %v", err)
	}
}

// A connection that breaks is an error, and not a wait.
func TestLoadEnds(t *testing.T) {
	addr := fakeBroker(t, func(conn net.Conn, _ packets.ControlPacket) { conn.Close() })
	l := &load{addr: addr, devices: newAccounts("dev", 1, "telemetry"), conns: 1, messages: 10_000, say: tick}
	if err := l.run(t.Context()); err == nil {
		t.Error("a broken connection is not an error")
	}
}

// Messages are spread over the time that they have.
func TestPace(t *testing.T) {
	l := &load{rate: 100, lasts: time.Second}
	start := time.Now().Add(-time.Hour)
	for k, want := range map[int]time.Duration{0: 0, 50: 500 * time.Millisecond, 99: 990 * time.Millisecond} {
		at, more, err := l.await(t.Context(), nil, k, start)
		if err != nil || !more || at.Sub(start) != want {
			t.Errorf("message %d is due after %v, %t, %v; want %v", k, at.Sub(start), more, err, want)
		}
	}
	if _, more, _ := l.await(t.Context(), nil, 100, start); more {
		t.Error("there is more after the end")
	}
	if late := time.Duration(l.late.Load()); late < time.Hour-time.Second {
		t.Errorf("the generator was late by %v", late)
	}
}

func TestSubscriber(t *testing.T) {
	acked := make(chan uint16, 2)
	addr := fakeBroker(t, func(conn net.Conn, p packets.ControlPacket) {
		switch p := p.(type) {
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = p.MessageID, []byte{1}
			_ = ack.Write(conn)
			for id, payload := range []string{"1", "2"} {
				m := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
				m.Qos, m.TopicName, m.MessageID, m.Payload = 1, p.Topics[0], uint16(id+7), []byte(payload)
				_ = m.Write(conn)
			}
		case *packets.PubackPacket:
			acked <- p.MessageID
		}
	})
	f := &fanIn{highest: map[string]uint64{}}
	s, err := newSubscriber(t.Context(), addr, "one", "topic", f.look)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, want := range []uint16{7, 8} {
		select {
		case id := <-acked:
			if id != want {
				t.Errorf("acknowledged %d, want %d", id, want)
			}
		case <-s.ended:
			t.Fatalf("the subscriber ended: %v", s.err)
		}
	}
	s.close()
	if s.err == nil || errors.Is(s.err, io.ErrUnexpectedEOF) {
		t.Errorf("it ended with %v", s.err)
	}
	if f.highest["topic"] != 2 || len(f.faults) != 0 || f.received.Load() != 2 {
		t.Errorf("received %v of %v, faults %v", f.received.Load(), f.highest, f.faults)
	}
}

// A fan-in finds missing and repeated messages.
func TestFanIn(t *testing.T) {
	f := &fanIn{highest: map[string]uint64{}}
	for _, payload := range []string{"1", "3", "3", "x"} {
		f.look([]byte("topic"), []byte(payload))
	}
	if len(f.faults) != 3 {
		t.Errorf("faults %q", f.faults)
	}
}
