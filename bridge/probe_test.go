package bridge

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Whether a broker has shared subscriptions is tried out until it is known: also of one that
// refuses, which may be set up later.
func TestSharedSubscriptionsAreProbedUntilItIsKnown(t *testing.T) {
	for name, refuses := range map[string]error{"down": errors.New("connection refused"), "refuses": packets.ErrorRefusedNotAuthorised} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := &retainer{refuses: refuses}
				b, logs := claimant(t, broker.Dial)
				b.cfg.Subscribe = []string{"$share/all/devices/#"}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := b.probeShared(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if n := broker.attempts(); n < 30 || n > 1000 {
					t.Errorf("%d attempts in an hour", n)
				}
				if n := logs.count("cannot probe shared subscriptions yet"); n != 1 || len(logs.lines) != 1 {
					t.Errorf("logged %q", logs.lines)
				}
			})
		})
	}
}
