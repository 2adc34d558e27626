package simulator

import (
	"net"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// A broker under load refuses a subscription that it grants later: a device without its
// commands has to try again.
func TestASubscriptionThatIsRefusedIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	codes := make(chan byte, 2)
	codes <- 0x80
	codes <- 1
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go grant(conn, codes)
		}
	}()
	dial, err := pahoDialer([]string{"tcp://" + l.Addr().String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	call := call{client: "pump-1", filter: "devices/pump-1/commands/+", will: Utterance{Topic: "devices/pump-1/status", Payload: []byte("{}")}}
	if _, err := dial(t.Context(), call); err == nil || !strings.Contains(err.Error(), "granted 0x80 instead of QoS 1") {
		t.Errorf("refused: %v", err)
	}
	granted, err := dial(t.Context(), call)
	if err != nil {
		t.Fatalf("granted: %v", err)
	}
	granted.cut()
}

// grant answers CONNECT, and each SUBSCRIBE with the next code.
func grant(conn net.Conn, codes <-chan byte) {
	defer conn.Close()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		var ack packets.ControlPacket
		switch p := p.(type) {
		case *packets.ConnectPacket:
			ack = packets.NewControlPacket(packets.Connack)
		case *packets.SubscribePacket:
			suback := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			suback.MessageID, suback.ReturnCodes = p.MessageID, []byte{<-codes}
			ack = suback
		default:
			continue
		}
		if ack.Write(conn) != nil {
			return
		}
	}
}
