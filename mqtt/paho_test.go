package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// wireBroker is the other end of a connection, packet by packet, with a
// broker's keep alive. What it sends waits in out, as in a socket's buffer.
type wireBroker struct {
	conn  net.Conn
	out   chan packets.ControlPacket
	acks  chan uint16 // PUBACKs received
	pings int
	ended chan error
	// mute stops all answers, as a link that was cut without a word does.
	mute chan struct{}
}

func newWireBroker(conn net.Conn) *wireBroker {
	b := &wireBroker{
		conn: conn, out: make(chan packets.ControlPacket, 10_000), acks: make(chan uint16, 10_000),
		ended: make(chan error, 1), mute: make(chan struct{}),
	}
	go b.read()
	go b.write()
	return b
}

func (b *wireBroker) read() {
	var keepAlive time.Duration
	for {
		if keepAlive > 0 {
			_ = b.conn.SetReadDeadline(time.Now().Add(keepAlive * 3 / 2))
		}
		p, err := packets.ReadPacket(b.conn)
		if err != nil {
			b.ended <- err
			close(b.out)
			_ = b.conn.Close()
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			keepAlive = time.Duration(p.Keepalive) * time.Second
			ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
			ack.SessionPresent = !p.CleanSession
			b.out <- ack
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID = p.MessageID
			ack.ReturnCodes = p.Qoss
			for i, topic := range p.Topics {
				if strings.HasPrefix(topic, "forbidden") {
					ack.ReturnCodes[i] = 0x80
				}
			}
			b.out <- ack
		case *packets.PingreqPacket:
			b.pings++
			b.out <- packets.NewControlPacket(packets.Pingresp)
		case *packets.PubackPacket:
			b.acks <- p.MessageID
		case *packets.PublishPacket:
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = p.MessageID
			b.out <- ack
		}
	}
}

func (b *wireBroker) write() {
	for p := range b.out {
		if isClosed(b.mute) {
			continue
		}
		if err := p.Write(b.conn); err != nil {
			return
		}
	}
}

func (b *wireBroker) publish(id uint16) {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.Qos, p.MessageID, p.TopicName = 1, id, "devices/d/telemetry"
	p.Payload = fmt.Appendf(nil, `{"id":%d}`, id)
	b.out <- p
}

// dialWire makes a client whose connections end in the returned channel.
func dialWire(t *testing.T, cfg Config, inbox chan<- Message) (Conn, <-chan *wireBroker) {
	brokers := make(chan *wireBroker, 1)
	open := func(*url.URL) (net.Conn, error) {
		ours, theirs := net.Pipe()
		brokers <- newWireBroker(theirs)
		return ours, nil
	}
	cfg.ClientID = "test"
	return newDialer(cfg, open, KeepSession, nil)(t.Context(), func(ctx context.Context, m Message) {
		select {
		case inbox <- m:
		case <-ctx.Done():
		}
	}), brokers
}

func TestAcknowledgementsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := make(chan Message, 10)
		c, brokers := dialWire(t, DefaultConfig(), inbox)
		present, err := c.Connect(t.Context())
		if err != nil || !present {
			t.Fatalf("connect: %v, session present %v", err, present)
		}
		b := <-brokers
		b.publish(1) // before the subscription is confirmed: a repetition
		if err := c.Subscribe(t.Context(), []string{"devices/#", "more/#"}); err != nil {
			t.Fatal(err)
		}
		b.publish(2)
		b.publish(3)
		synctest.Wait()
		if len(inbox) != 3 || len(b.acks) != 0 {
			t.Fatalf("%d deliveries, %d unrequested acknowledgements", len(inbox), len(b.acks))
		}
		for id := range uint16(3) {
			d := <-inbox
			if want := fmt.Sprintf(`{"id":%d}`, id+1); string(d.Payload) != want || d.Topic != "devices/d/telemetry" {
				t.Errorf("delivery %s %s", d.Topic, d.Payload)
			}
			d.Ack()
			if got := <-b.acks; got != id+1 {
				t.Errorf("acknowledged %d", got)
			}
		}
		c.Close(time.Second)
		<-b.ended
	})
}

func TestRefusedSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, brokers := dialWire(t, DefaultConfig(), make(chan Message))
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := <-brokers
		err := c.Subscribe(t.Context(), []string{"devices/#", "forbidden/#"})
		if err == nil || !strings.Contains(err.Error(), "forbidden/#") {
			t.Errorf("subscribe: %v", err)
		}
		c.Close(0)
		<-b.ended
	})
}

// A bridge that holds back for an hour stays connected, though it reads not
// even the answers to its pings.
func TestHoldingBackKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := make(chan Message)
		c, brokers := dialWire(t, DefaultConfig(), inbox)
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := <-brokers
		for id := range uint16(20) {
			b.publish(id + 1)
		}
		time.Sleep(time.Hour)
		select {
		case err := <-b.ended:
			t.Fatalf("the broker gave up: %v", err)
		case err := <-c.Lost():
			t.Fatalf("the client gave up: %v", err)
		default:
		}
		for id := range 20 {
			if d := <-inbox; string(d.Payload) != fmt.Sprintf(`{"id":%d}`, id+1) {
				t.Errorf("delivery %s", d.Payload)
			}
		}
		time.Sleep(time.Hour) // idle
		select {
		case err := <-c.Lost():
			t.Fatalf("lost when idle: %v", err)
		default:
		}
		c.Close(0)
		<-b.ended
	})
}

func TestSilentLinkIsNoticed(t *testing.T) {
	for name, holding := range map[string]bool{"reading": false, "holding back": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := DefaultConfig()
				inbox := make(chan Message)
				c, brokers := dialWire(t, cfg, inbox)
				if _, err := c.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				b := <-brokers
				for id := range uint16(10) { // more than the library reads ahead
					if holding {
						b.publish(id + 1)
					}
				}
				synctest.Wait()
				close(b.mute)
				began := time.Now()
				if holding {
					time.Sleep(time.Hour) // it does not detect what it does not read
					if isClosed(c.(*pahoConn).gone) {
						t.Fatal("gave up while holding back")
					}
					began = time.Now()
					done := make(chan struct{})
					defer close(done)
					go func() {
						for {
							select {
							case <-inbox:
							case <-done:
								return
							}
						}
					}()
				}
				err := <-c.Lost()
				if took := time.Since(began); took > 2*cfg.KeepAlive || err == nil {
					t.Errorf("noticed after %v: %v", took, err)
				}
				if _, err := c.Connect(t.Context()); err == nil {
					t.Error("connected twice")
				}
				c.Close(0)
				<-b.ended
			})
		})
	}
}

// A loss while the handler waits: nothing is delivered any more, Close returns,
// and acknowledgements of before go nowhere.
func TestLossWhileHoldingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := make(chan Message)
		c, brokers := dialWire(t, DefaultConfig(), inbox)
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := <-brokers
		b.publish(1)
		b.publish(2)
		b.publish(3)
		first := <-inbox
		synctest.Wait() // the handler waits with the second one
		_ = b.conn.Close()
		if err := <-c.Lost(); err == nil {
			t.Error("lost without a reason")
		}
		c.Close(0)
		first.Ack()
		select {
		case d := <-inbox:
			t.Errorf("delivered after the end: %s", d.Payload)
		case <-time.After(time.Minute):
		}
		if err := c.Publish(t.Context(), "x", 1, false, nil); err == nil {
			t.Error("published on a closed connection")
		}
	})
}

func TestPublishOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, brokers := dialWire(t, DefaultConfig(), nil)
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := <-brokers
		if err := c.Publish(t.Context(), "x", 1, false, []byte("y")); err != nil {
			t.Error(err)
		}
		close(b.mute)
		result := make(chan error, 1)
		go func() { result <- c.Publish(t.Context(), "x", 1, false, []byte("y")) }()
		synctest.Wait()
		_ = b.conn.Close()
		if err := <-result; !errors.Is(err, ErrLost) && err == nil {
			t.Errorf("unconfirmed publish: %v", err)
		}
		c.Close(0)
	})
}

// downHooks connect to the second of two brokers, the first of which is down.
type downHooks struct {
	cfg  Config
	ends chan net.Conn // of the broker
}

func (h *downHooks) Dial(ctx context.Context) Conn {
	open := func(u *url.URL) (net.Conn, error) {
		if u.Hostname() == "a" {
			return nil, errors.New("it is down")
		}
		ours, theirs := net.Pipe()
		newWireBroker(theirs)
		h.ends <- theirs
		return ours, nil
	}
	return newDialer(h.cfg, open, KeepSession, nil)(ctx, nil)
}

func (h *downHooks) Up(context.Context, Conn, bool) error { return nil }
func (h *downHooks) Drain(Conn) time.Duration             { return 0 }
func (h *downHooks) Down(Conn)                            {}

// The log says at which of several brokers a connection is, and how long there was none;
// make chaos reads these words.
func TestTheLogNamesTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &downHooks{cfg: DefaultConfig(), ends: make(chan net.Conn, 2)}
		h.cfg.ClientID, h.cfg.Brokers = "test", []string{"tcp://a:1", "tcp://user:secret@b:2"}
		if got := h.Dial(t.Context()).Broker(); got != "" {
			t.Errorf("before it connects, it is at %s", got)
		}
		var log strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		running := make(chan struct{})
		go func() {
			NewConnector(h.cfg, h, slog.New(slog.NewTextHandler(&log, nil))).Run(ctx)
			close(running)
		}()
		synctest.Wait()
		_ = (<-h.ends).Close()
		time.Sleep(h.cfg.BackoffMin)
		synctest.Wait()
		stop()
		<-running
		for _, want := range []string{
			`msg="connected to the broker" connection=test broker=tcp://user:xxxxx@b:2`,
			`msg="reconnected to the broker" connection=test broker=tcp://user:xxxxx@b:2 after=`,
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %s:\n%s", want, log.String())
			}
		}
	})
}
