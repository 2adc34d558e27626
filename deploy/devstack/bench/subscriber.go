package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// subscriber is a persistent session that acknowledges each message after it was
// looked at: what the bridge is to the broker, without all that the bridge does.
type subscriber struct {
	conn  net.Conn
	in    *bufio.Reader
	out   *bufio.Writer
	ended chan struct{}
	err   error // valid then
	once  sync.Once
}

// newSubscriber hands each message to look, until close.
func newSubscriber(ctx context.Context, addr, id, filter string, look func(topic, payload []byte)) (*subscriber, error) {
	conn, in, err := dialMQTT(ctx, addr, id, false)
	if err != nil {
		return nil, err
	}
	s := &subscriber{conn: conn, in: in, out: bufio.NewWriterSize(conn, bufferSize), ended: make(chan struct{})}
	ask := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	ask.MessageID, ask.Topics, ask.Qoss = 1, []string{filter}, []byte{1}
	if err = ask.Write(conn); err == nil {
		var answer packets.ControlPacket
		answer, err = packets.ReadPacket(in)
		if ack, ok := answer.(*packets.SubackPacket); err == nil && (!ok || len(ack.ReturnCodes) != 1 || ack.ReturnCodes[0] != 1) {
			err = fmt.Errorf("refused: %v", answer)
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	go func() {
		defer close(s.ended)
		s.err = s.receive(look)
	}()
	return s, nil
}

func (s *subscriber) receive(look func(topic, payload []byte)) error {
	var packet []byte
	for {
		kind, err := s.in.ReadByte()
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(s.in) // MQTT's remaining length is coded alike
		if err != nil {
			return err
		}
		if size > 1<<20 {
			return fmt.Errorf("a packet of %d bytes", size)
		}
		if uint64(cap(packet)) < size {
			packet = make([]byte, size)
		}
		packet = packet[:size]
		if _, err := io.ReadFull(s.in, packet); err != nil {
			return err
		}
		if kind>>4 == packets.Publish {
			if err := s.take(kind, packet, look); err != nil {
				return err
			}
		}
		if s.in.Buffered() == 0 {
			if err := s.out.Flush(); err != nil {
				return err
			}
		}
	}
}

// take looks at a PUBLISH and acknowledges it.
func (s *subscriber) take(kind byte, packet []byte, look func(topic, payload []byte)) error {
	if len(packet) < 2 {
		return errors.New("a PUBLISH without a topic")
	}
	end := 2 + int(binary.BigEndian.Uint16(packet))
	qos := kind >> 1 & 3
	if len(packet) < end+2 || qos != 1 {
		return fmt.Errorf("a PUBLISH of %d bytes with QoS %d", len(packet), qos)
	}
	look(packet[2:end], packet[end+2:])
	_, err := s.out.Write([]byte{packets.Puback << 4, 2, packet[end], packet[end+1]})
	return err
}

func (s *subscriber) close() {
	s.once.Do(func() { s.conn.Close() })
	<-s.ended
}
