package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"devicetwin/deploy/devstack/process"
)

// account records what one device has published. It belongs to the connection that
// publishes for the device until that connection has ended.
type account struct {
	id, topic string
	record    string // topic of Kafka
	// due is when each message was due, by its number minus one, in Unix
	// nanoseconds: a generator that lags behind makes the service no faster.
	due []int64
	// hot is the state that the threshold model must have derived.
	hot        bool
	excursions uint64   // rises to hot
	crossings  []uint64 // numbers of the messages that change the class
	random     *rand.Rand
}

func newAccounts(prefix string, n int, topic string) []*account {
	all := make([]*account, n)
	for i := range all {
		id := prefix + "-" + strconv.Itoa(i+1)
		all[i] = &account{id: id, topic: "devices/" + id + "/" + topic, record: path.Base(topic), random: rand.New(rand.NewPCG(1, uint64(i)))}
	}
	return all
}

// sent is how many messages were published, numbered from 1.
func (a *account) sent() uint64 { return uint64(len(a.due)) }

// speech appends the next payload of a device to b.
type speech func(a *account, b []byte) []byte

// tick is a message that always matters.
func tick(a *account, b []byte) []byte {
	b = append(b, `{"epoch":1,"seq":`...)
	b = strconv.AppendUint(b, a.sent(), 10)
	return append(b, `,"value":42}`...)
}

// crossingShare is how many readings change the class.
const crossingShare = 0.01

// reading is a temperature that now and then crosses the thresholds.
func reading(a *account, b []byte) []byte {
	if a.random.Float64() < crossingShare {
		a.hot = !a.hot
		a.crossings = append(a.crossings, a.sent())
		if a.hot {
			a.excursions++
		}
	}
	temperature := 45 + 10*a.random.Float64()
	if a.hot {
		temperature += 30
	}
	b = append(b, `{"epoch":1,"seq":`...)
	b = strconv.AppendUint(b, a.sent(), 10)
	b = append(b, `,"temperature":`...)
	b = strconv.AppendFloat(b, temperature, 'f', 2, 64)
	return append(b, '}')
}

// load publishes for devices over few connections, each of which has devices of
// its own, in turn.
type load struct {
	addr     string
	brokers  []string // of Kafka: records are written, and nothing is published
	devices  []*account
	say      speech
	conns    int
	rate     float64 // messages a second over all; 0: as fast as it takes
	messages int     // over all; 0: until the time is over
	lasts    time.Duration

	// Without a rate: how many messages may be ahead of what done returns.
	ahead uint64
	done  func() uint64

	sent atomic.Uint64
	late atomic.Int64 // how far the generator was behind, at most, in nanoseconds
}

// sender is a connection of the load. It belongs to one goroutine.
type sender interface {
	publish(ctx context.Context, a *account, payload []byte) error
	flush() error
	drain(ctx context.Context) error // until everything is acknowledged
	close()
}

// connect opens a connection.
func (l *load) connect(ctx context.Context, id string) (sender, error) {
	if len(l.brokers) > 0 {
		return newRecordSender(l.brokers)
	}
	p, err := newPublisher(ctx, l.addr, id, unacknowledged)
	return mqttSender{p}, err
}

// mqttSender publishes on the topics of devices.
type mqttSender struct{ *publisher }

func (s mqttSender) publish(ctx context.Context, a *account, payload []byte) error {
	return s.publisher.publish(ctx, a.topic, payload)
}

// unacknowledged is how many messages of a connection may wait for the broker.
const unacknowledged = 256

// run publishes, and returns when the broker has acknowledged everything.
func (l *load) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns := min(l.conns, len(l.devices))
	publishers := make([]sender, conns)
	for i := range publishers {
		p, err := l.connect(ctx, "bench-"+strconv.Itoa(i+1))
		if err != nil {
			return err
		}
		defer p.close()
		publishers[i] = p
	}
	start := time.Now()
	var running sync.WaitGroup
	for i, p := range publishers {
		running.Go(func() {
			if err := l.drive(ctx, p, i, conns, start); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// drive is one connection: it has every conns-th device and message.
func (l *load) drive(ctx context.Context, p sender, conn, conns int, start time.Time) error {
	var mine []*account
	for i := conn; i < len(l.devices); i += conns {
		mine = append(mine, l.devices[i])
	}
	var payload []byte
	for k := 0; ; k++ {
		at, more, err := l.await(ctx, p, conn+k*conns, start)
		if err != nil {
			return err
		}
		if !more {
			return p.drain(ctx)
		}
		a := mine[k%len(mine)]
		a.due = append(a.due, at.UnixNano())
		payload = l.say(a, payload[:0])
		if err := p.publish(ctx, a, payload); err != nil {
			return err
		}
		l.sent.Add(1)
	}
}

// await waits until the k-th message is due.
func (l *load) await(ctx context.Context, p sender, k int, start time.Time) (at time.Time, more bool, err error) {
	most := l.messages
	if most == 0 {
		most = math.MaxInt
	}
	if l.rate > 0 {
		at = start.Add(time.Duration(float64(k) / l.rate * float64(time.Second)))
		if k >= most || l.lasts > 0 && at.Sub(start) >= l.lasts {
			return at, false, nil
		}
		wait := time.Until(at)
		if wait <= 0 {
			l.lag(-wait)
			return at, true, nil
		}
		if err := p.flush(); err != nil {
			return at, false, err
		}
		return at, true, process.Pause(ctx, wait)
	}
	for ; ; err = process.Pause(ctx, 2*time.Millisecond) {
		at = time.Now()
		if err != nil || k >= most || l.lasts > 0 && at.Sub(start) >= l.lasts {
			return at, false, err
		}
		if l.done == nil || l.sent.Load() < l.done()+l.ahead {
			return at, true, nil
		}
		if err := p.flush(); err != nil {
			return at, false, err
		}
	}
}

func (l *load) lag(by time.Duration) {
	for {
		was := l.late.Load()
		if int64(by) <= was || l.late.CompareAndSwap(was, int64(by)) {
			return
		}
	}
}
