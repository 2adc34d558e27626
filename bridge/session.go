package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"devicetwin/mqtt"
)

// session is the bridge's subscription to the broker over all its connections.
// Each connection has a window in the core, which learns of its begin and end
// in the same order as the session does.
type session struct {
	cfg     Config
	dial    mqtt.Dialer
	loop    *loop
	counts  *counters
	log     *slog.Logger
	drainIn time.Duration

	window    *window
	acker     sync.WaitGroup
	announcer sync.WaitGroup
	before    bool // there was a connection
}

// Dial opens a window and starts the goroutine that sends its
// acknowledgements, which may take as long as the connection likes.
func (s *session) Dial(ctx context.Context) mqtt.Conn {
	w := newWindow()
	select {
	case s.loop.opened <- w:
	case <-s.loop.ended:
		return nil
	}
	s.window = w
	s.acker.Go(func() { acknowledge(w) })
	return s.dial(ctx, func(ctx context.Context, m mqtt.Message) {
		select {
		case s.loop.inbox <- delivery{w, m}:
		case <-ctx.Done():
		}
	})
}

// acknowledge sends what the core releases, in its order.
func acknowledge(w *window) {
	for {
		select {
		case acks, ok := <-w.acks:
			if !ok {
				return
			}
			for _, ack := range acks {
				ack()
			}
		case <-w.gone:
			return
		}
	}
}

func (s *session) Up(ctx context.Context, c mqtt.Conn, present bool) error {
	s.counts.connects.Add(1)
	if s.before && !present {
		s.counts.sessionsLost.Add(1)
		s.log.Warn("the broker has forgotten the session; what was published while it was away is lost, unless the device repeats it")
	}
	select {
	case s.loop.online <- present && !s.before:
	case <-s.loop.ended:
	}
	s.before = true
	if err := c.Subscribe(ctx, s.cfg.Subscribe); err != nil {
		return err
	}
	s.counts.connected.Store(true)
	s.announcer.Go(func() { s.announce(ctx, c, "online", "", onlineWithin) })
	s.log.Debug("subscribed", "filters", s.cfg.Subscribe, "session_present", present)
	return nil
}

// Drain waits for the last acknowledgement, or the loss of the connection, and
// says that the bridge ends. The core ends the acknowledgements when it is
// drained.
func (s *session) Drain(c mqtt.Conn) time.Duration {
	sent := make(chan struct{})
	go func() {
		s.acker.Wait()
		close(sent)
	}()
	limit := time.NewTimer(s.drainIn)
	defer limit.Stop()
	select {
	case <-sent:
		s.announcer.Wait() // ctx has ended, so it does not take long
		s.announce(context.Background(), c, "offline", "stopped", offlineWithin)
	case <-c.Lost():
	case <-limit.C:
	}
	return mqtt.Quiesce
}

func (s *session) Down(mqtt.Conn) {
	if s.counts.connected.Swap(false) {
		s.counts.connectsLost.Add(1)
	}
	close(s.window.gone)
	s.acker.Wait()
	s.announcer.Wait()
	select {
	case s.loop.closed <- s.window:
	case <-s.loop.ended:
	}
}
