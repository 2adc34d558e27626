package mqtt

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"devicetwin/internal/testserver"
)

// refusing is a broker that answers CONNECT and SUBSCRIBE with codes.
func refusing(t *testing.T, connack, suback byte) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn, connack, suback)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func answer(conn net.Conn, connack, suback byte) {
	defer conn.Close()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
			ack.ReturnCode = connack
			_ = ack.Write(conn)
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID = p.MessageID
			for range p.Topics {
				ack.ReturnCodes = append(ack.ReturnCodes, suback)
			}
			_ = ack.Write(conn)
		}
	}
}

// A refusal says which broker of the list it came from, and nothing of the password.
func TestRefusalsNameTheBroker(t *testing.T) {
	for name, c := range map[string]struct {
		connack, suback byte
		want            string
	}{
		"the connection":   {packets.ErrRefusedNotAuthorised, 0, "not Authorized"},
		"the subscription": {packets.Accepted, 0x80, "granted 0x80 instead of QoS 1"},
	} {
		t.Run(name, func(t *testing.T) {
			closed, _ := testserver.FreeAddress(t)
			at := fmt.Sprintf("mqtt://fleet:xxxxx@127.0.0.1:%d", refusing(t, c.connack, c.suback))
			cfg := DefaultConfig()
			cfg.Brokers = []string{"mqtt://" + closed, strings.Replace(at, "xxxxx", "secret", 1)}
			cfg.ClientID = "refused"
			dial, err := NewDialer(cfg, CleanSession, nil)
			if err != nil {
				t.Fatal(err)
			}
			conn := dial(t.Context(), func(context.Context, Message) {})
			defer conn.Close(0)
			_, err = conn.Connect(t.Context())
			if refused := name == "the connection"; Refused(err) != refused {
				t.Errorf("%v: refused is %v", err, !refused)
			}
			if err == nil {
				err = conn.Subscribe(t.Context(), []string{"devices/#"})
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), at) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, want %q and %s", err, c.want, at)
			}
		})
	}
}
