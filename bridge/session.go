package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// session is the bridge's subscription to the broker over all its connections.
// Each connection is a lane of one stream: what was not acknowledged on one is
// delivered again on the next.
type session struct {
	cfg     Config
	dial    mqtt.Dialer
	dialect wire.Dialect
	ingest  *ingest.Ingest
	outlet  *outlet
	counts  *counters
	log     *slog.Logger
	abandon context.Context // ends when what is in flight is given up
	lineage string          // that the session is claimed for
	// claimed reports whether it still is, between two connections. An error is that of an
	// attempt which is to be repeated.
	claimed func(context.Context) (bool, error)
	renews  func() bool  // the claim is to be renewed
	reached func() int64 // how far the log is on the disk

	lane      *ingest.Lane
	announcer sync.WaitGroup
	before    bool // there was a connection
	resumes   bool // nobody else has had the session since the last one
	down      context.CancelFunc
}

// Dial opens a lane and makes its connection.
func (s *session) Dial(ctx context.Context) mqtt.Conn {
	lane := s.ingest.Open("mqtt")
	if lane == nil {
		return nil
	}
	s.lane = lane
	c := s.dial(ctx, func(ctx context.Context, m mqtt.Message) { s.receive(ctx, lane, m) })
	if !s.before {
		s.resumes = true
		return c
	}
	return claimingConn{c, s}
}

// claimingConn is a connection that claims the session before it opens it. That the broker
// refuses or does not answer is known to whoever connects: so a broker that was down is not
// taken for one whose connections another client ends.
type claimingConn struct {
	mqtt.Conn
	session *session
}

func (c claimingConn) Connect(ctx context.Context) (sessionPresent bool, err error) {
	if c.session.resumes, err = c.session.claimed(ctx); err != nil {
		return false, err
	}
	return c.Conn.Connect(ctx)
}

// receive is the handler of a connection. It waits while the lane is full.
func (s *session) receive(ctx context.Context, lane *ingest.Lane, m mqtt.Message) {
	var received []wire.Received
	// A retained message is the broker's copy of an old one, sent because of the
	// subscription: nothing that happens now. At most, it names the device's model, or
	// says what its state was.
	err := wire.ErrNotInput
	if !m.Retained || s.cfg.RetainedBirths || s.dialect.Retained(m.Topic) {
		received, err = s.dialect.Decode(m.Topic, m.Payload, m.Dup, m.At)
	}
	// What was not taken is delivered again.
	_ = lane.Deliver(ctx, ingest.Arrival{
		Origin: m.Topic, Payload: m.Payload, At: m.At, Number: uint64(m.PacketID), Again: m.Dup, Retained: m.Retained, Ack: m.Ack,
	}, received, err)
}

func (s *session) Up(ctx context.Context, c mqtt.Conn, present bool) error {
	s.counts.connects.Add(1)
	if s.before && !present {
		s.counts.sessionsLost.Add(1)
		s.log.Warn("the broker has lost the session; messages published while the bridge was disconnected are lost unless the devices repeat them")
	}
	s.lane.Online(present && s.resumes)
	s.before = true
	if err := c.Subscribe(ctx, s.cfg.Subscribe); err != nil {
		return err
	}
	s.counts.connected.Store(true)
	if !present {
		s.outlet.open()
	}
	up, down := context.WithCancel(ctx)
	s.down = down
	s.announcer.Go(func() { s.announce(up, c, "online", "", onlineWithin) })
	if s.renews() {
		s.announcer.Go(func() { s.renewClaims(up, c) })
	}
	s.log.Debug("subscribed", "filters", s.cfg.Subscribe, "session_present", present)
	return nil
}

// Contended notes that another client probably uses the same client id.
func (s *session) Contended(on bool) { s.counts.contended.Store(on) }

// lastAcks is how long the last acknowledgements may take when what is in flight
// was given up.
const lastAcks = 250 * time.Millisecond

// Drain waits for the last acknowledgement, or the loss of the connection, and
// publishes that the bridge ends.
func (s *session) Drain(c mqtt.Conn) time.Duration {
	late := make(chan struct{})
	defer context.AfterFunc(s.abandon, func() { time.AfterFunc(lastAcks, func() { close(late) }) })()
	select {
	case <-s.lane.Sent():
		s.announcer.Wait() // ctx has ended, so it does not take long
		s.announceEnd(c)
		return quiesce
	case <-c.Lost():
	case <-late:
	}
	return 0
}

// quiesce is how long the connection may take to send what it was given.
const quiesce = 250 * time.Millisecond

func (s *session) Down(mqtt.Conn) {
	if s.counts.connected.Swap(false) {
		s.counts.connectsLost.Add(1)
	}
	s.lane.Close()
	if s.down != nil {
		s.down()
		s.down = nil
	}
	s.announcer.Wait()
}
