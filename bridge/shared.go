package bridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"devicetwin/mqtt"
)

// probeTimeout is how long the probe of shared subscriptions waits for its own
// message, and probeEvery how often it publishes it.
const (
	probeTimeout = 10 * time.Second
	probeEvery   = time.Second
)

// probeShared finds out whether the broker delivers on shared subscriptions, if
// the configuration has one. NATS accepts them and never delivers; no answer in
// the MQTT protocol distinguishes the two kinds of broker, so it is tried out.
// An unreachable broker is waited for.
func (b *Bridge) probeShared(ctx context.Context) error {
	if !slices.ContainsFunc(b.cfg.Subscribe, mqtt.Shared) {
		return nil
	}
	return b.insist(ctx, attempts{
		once: b.probeOnce,
		last: func(err error) bool { return errors.Is(err, errNotShared) },
		yet:  "cannot probe shared subscriptions yet",
	})
}

var errNotShared = errors.New("the broker accepts shared subscriptions ($share/…) and delivers nothing on them, as NATS does; " +
	"subscribe without $share/, or use a broker that has them")

func (b *Bridge) probeOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	name := fmt.Sprintf("probe-%08x", rand.Uint32())
	topic := "bridge/" + b.cfg.ID + "/" + name
	heard := make(chan struct{}, 1)
	c := b.probe(ctx, func(context.Context, mqtt.Message) {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	defer c.Close(0)
	if _, err := c.Connect(ctx); err != nil {
		return err
	}
	if err := c.Subscribe(ctx, []string{"$share/" + name + "/" + topic}); err != nil {
		return err
	}
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	for {
		if err := c.Publish(ctx, topic, 1, false, []byte(name)); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-heard:
			return nil
		case <-again.C:
		case err := <-c.Lost():
			return err
		case <-ctx.Done():
			return errNotShared
		}
	}
}
