package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// scriptedHooks make connections that last for a time, one after the other; 0 is an attempt that
// fails, and so are all after the last.
type scriptedHooks struct {
	last     []time.Duration
	attempts []time.Time
}

func (h *scriptedHooks) Dial(context.Context) Conn {
	h.attempts = append(h.attempts, time.Now())
	c := &scriptedConn{lost: make(chan error, 1)}
	if len(h.last) > 0 {
		c.lasts, h.last = h.last[0], h.last[1:]
	}
	return c
}

func (h *scriptedHooks) Up(context.Context, Conn, bool) error { return nil }
func (h *scriptedHooks) Drain(Conn) time.Duration             { return 0 }
func (h *scriptedHooks) Down(Conn)                            {}

type scriptedConn struct {
	Conn
	lasts time.Duration
	lost  chan error
}

func (c *scriptedConn) Connect(context.Context) (bool, error) {
	if c.lasts == 0 {
		return false, errors.New("no leader")
	}
	time.AfterFunc(c.lasts, func() { c.lost <- ErrLost })
	return true, nil
}

func (c *scriptedConn) Broker() string      { return "" }
func (c *scriptedConn) Lost() <-chan error  { return c.lost }
func (c *scriptedConn) Close(time.Duration) {}

// pausesOf are the times between attempts that fail, up to the end of a time.
func pausesOf(t *testing.T, last []time.Duration, within time.Duration) (pauses []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &scriptedHooks{last: last}
		ctx, stop := context.WithTimeout(t.Context(), within)
		defer stop()
		NewConnector(DefaultConfig(), h, slog.New(slog.DiscardHandler)).Run(ctx)
		for i := 1; i < len(h.attempts); i++ {
			pauses = append(pauses, h.attempts[i].Sub(h.attempts[i-1]))
		}
	})
	return pauses
}

// A cluster that elects a new leader is tried again and again, and one that is down for
// longer with growing pauses.
func TestPausesAfterAConnectionThatLasted(t *testing.T) {
	const lasted = time.Minute
	cfg := DefaultConfig()
	since, longest := time.Duration(0), time.Duration(0)
	for i, pause := range pausesOf(t, []time.Duration{lasted}, lasted+10*time.Minute) {
		if i == 0 { // the connection
			since = pause - lasted
			continue
		}
		if since < cfg.BackoffMax && pause > 2*cfg.BackoffMin {
			t.Errorf("%v after the loss, the pause is %v", since, pause)
		}
		since += pause
		longest = max(longest, pause)
	}
	if longest < cfg.BackoffMax/2 || longest > cfg.BackoffMax {
		t.Errorf("the longest pause is %v, want about %v", longest, cfg.BackoffMax)
	}
}

// Two clients that end each other's connections do so more and more seldom.
func TestPausesAfterConnectionsThatDidNotLast(t *testing.T) {
	soon := make([]time.Duration, 20)
	for i := range soon {
		soon[i] = time.Millisecond
	}
	pauses := pausesOf(t, soon, 10*time.Minute)
	if longest := pauses[min(10, len(pauses)-1)]; longest < DefaultConfig().BackoffMax/2 {
		t.Errorf("after ten such connections, the pause is %v", longest)
	}
	if pauses[4] < 2*DefaultConfig().BackoffMin {
		t.Errorf("after four such connections, the pause is %v", pauses[4])
	}
}
