package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// The load generator shares the machine with what it measures, so it speaks MQTT
// itself: a client library costs more for each message than the bridge does.

const (
	connectPatience = 10 * time.Second
	bufferSize      = 64 << 10
)

// dialMQTT connects. The keep-alive is off: no connection is ever idle for long.
func dialMQTT(ctx context.Context, addr, id string, clean bool) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("connect %s to the broker: %w", id, err)
	}
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion = "MQTT", 4
	hello.ClientIdentifier, hello.CleanSession = id, clean
	in := bufio.NewReaderSize(conn, bufferSize)
	deadline, _ := ctx.Deadline()
	err = errors.Join(conn.SetDeadline(deadline), hello.Write(conn))
	if err == nil {
		var answer packets.ControlPacket
		answer, err = packets.ReadPacket(in)
		if ack, ok := answer.(*packets.ConnackPacket); err == nil && (!ok || ack.ReturnCode != packets.Accepted) {
			err = fmt.Errorf("refused: %v", answer)
		}
	}
	if err = errors.Join(err, conn.SetDeadline(time.Time{})); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("connect %s to the broker: %w", id, err)
	}
	return conn, in, nil
}

// publisher publishes QoS 1 messages over one connection, with at most a given
// number unacknowledged. It belongs to one goroutine.
type publisher struct {
	conn  net.Conn
	out   *bufio.Writer
	id    uint16
	slots chan struct{} // one taken for each message without PUBACK
	ended chan struct{} // closed when reading has ended
	err   error         // valid then
	once  sync.Once
	head  []byte
}

func newPublisher(ctx context.Context, addr, id string, unacknowledged int) (*publisher, error) {
	conn, in, err := dialMQTT(ctx, addr, id, true)
	if err != nil {
		return nil, err
	}
	p := &publisher{
		conn: conn, out: bufio.NewWriterSize(conn, bufferSize),
		slots: make(chan struct{}, unacknowledged), ended: make(chan struct{}),
	}
	go p.readAcks(in)
	return p, nil
}

// readAcks takes the PUBACKs, of which a broker sends one for each message, in
// order [MQTT-4.6.0-2].
func (p *publisher) readAcks(in io.Reader) {
	defer close(p.ended)
	var packet [4]byte
	for {
		if _, p.err = io.ReadFull(in, packet[:]); p.err != nil {
			return
		}
		if packet[0]>>4 != packets.Puback {
			p.err = fmt.Errorf("a packet of type %d instead of a PUBACK", packet[0]>>4)
			return
		}
		<-p.slots
	}
}

// publish hands a message to the connection; flush sends it at the latest.
func (p *publisher) publish(ctx context.Context, topic string, payload []byte) error {
	select {
	case p.slots <- struct{}{}:
	default:
		if err := p.flush(); err != nil {
			return err
		}
		if err := p.slot(ctx); err != nil {
			return err
		}
	}
	p.id++
	if p.id == 0 {
		p.id = 1
	}
	p.head = appendPublish(p.head[:0], topic, p.id, len(payload))
	_, err := p.out.Write(p.head)
	if err == nil {
		_, err = p.out.Write(payload)
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// slot waits until one more message may be unacknowledged.
func (p *publisher) slot(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-p.ended:
		return fmt.Errorf("the broker ended the connection: %w", p.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *publisher) flush() error {
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("send to the broker: %w", err)
	}
	return nil
}

// drain sends everything and waits until all of it is acknowledged.
func (p *publisher) drain(ctx context.Context) error {
	if err := p.flush(); err != nil {
		return err
	}
	for range cap(p.slots) {
		if err := p.slot(ctx); err != nil {
			return err
		}
	}
	for range cap(p.slots) {
		<-p.slots
	}
	return nil
}

// close ends the connection, and waits for its reader.
func (p *publisher) close() {
	p.once.Do(func() { p.conn.Close() })
	<-p.ended
}

// appendPublish appends the header of a PUBLISH with QoS 1 [MQTT-3.3].
func appendPublish(b []byte, topic string, id uint16, payload int) []byte {
	b = append(b, packets.Publish<<4|1<<1)
	for rest := 2 + len(topic) + 2 + payload; ; {
		if rest < 128 {
			b = append(b, byte(rest))
			break
		}
		b = append(b, byte(rest)|128)
		rest >>= 7
	}
	b = append(b, byte(len(topic)>>8), byte(len(topic)))
	b = append(b, topic...)
	return append(b, byte(id>>8), byte(id))
}
