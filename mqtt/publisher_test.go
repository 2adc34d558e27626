package mqtt_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
)

func TestPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := mqtttest.Plan{PublishErr: mqtt.ErrLost}
		broker := &mqtttest.Broker{Plans: []mqtttest.Plan{{ConnectErr: fmt.Errorf("refused")}, broken, {}}}
		cfg := mqtt.DefaultConfig()
		cfg.ClientID = "out"
		p := mqtt.NewPublisherOver(cfg, broker.Dial, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.Run(ctx); close(ended) }()

		published := make(chan error, 1)
		go func() { published <- p.Publish(t.Context(), "devices/d/commands/x", 1, false, []byte("hello")) }()
		time.Sleep(time.Second)
		select {
		case err := <-published:
			t.Fatalf("published over a broken connection: %v", err)
		default:
		}
		broker.Last().Lose(fmt.Errorf("EOF"))
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		if got := broker.Last().Published(); len(got) != 1 || got[0] != "devices/d/commands/x hello" || !p.Connected() {
			t.Errorf("published %v", got)
		}

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		broker.Last().FailPublish(mqtt.ErrLost)
		if err := p.Publish(short, "a", 1, false, nil); err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Errorf("publishing without end: %v", err)
		}
		for _, topic := range []string{"", "a/+", "#", "a\x00", "a\xff"} {
			if err := p.Publish(t.Context(), topic, 1, false, nil); err == nil {
				t.Errorf("topic %q is accepted", topic)
			}
		}
		stop()
		<-ended
		if p.Connected() {
			t.Error("still connected")
		}
	})
}
