package device

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// Whatever a device does with its numbers, and however often its messages come, each is
// applied once where that is promised (docs/adr/0048).
func TestEachMessageOfADeviceIsAppliedOnce(t *testing.T) {
	for _, habit := range habits() {
		t.Run(habit.String(), func(t *testing.T) {
			for seed := range uint64(150) {
				r := newRecount(habit, seed)
				if fault := r.play(); fault != "" {
					t.Fatalf("seed %d: %s\n%s", seed, fault, strings.Join(r.trace, "\n"))
				}
			}
		})
	}
}

// habit is how a device numbers its messages.
type habit struct {
	epochs   string // of a restart: "none", "rising" or "falling"
	dated    bool   // messages have a ts
	perTopic bool
	births   bool // the first message of a numbering is a birth
}

func (h habit) String() string {
	return fmt.Sprintf("epochs %s, dated %t, per topic %t, births %t", h.epochs, h.dated, h.perTopic, h.births)
}

func habits() []habit {
	var all []habit
	for _, epochs := range []string{"none", "rising", "falling"} {
		for n := range 8 {
			all = append(all, habit{epochs, n&1 > 0, n&2 > 0, n&4 > 0})
		}
	}
	return all
}

// recount is a device that knows what it sent, in front of a Delivery.
type recount struct {
	random   *rand.Rand
	habit    habit
	epoch    int64
	numbers  map[device.Channel]uint64 // the last one of each topic; of all, where there is one counter
	clock    time.Time
	delivery Delivery

	sent    []*sentOnce
	arrived int // how many of them the bridge has received
	starts  []int
	unsure  map[int]bool // numberings that cannot be distinguished from others
	trace   []string
}

// sentOnce is a message, and how often it was applied.
type sentOnce struct {
	message   device.Message
	numbering int
	applied   int
}

func newRecount(h habit, seed uint64) *recount {
	return &recount{
		random: rand.New(rand.NewPCG(seed, 12)), habit: h, unsure: map[int]bool{}, numbers: map[device.Channel]uint64{},
		clock: time.UnixMilli(1_700_000_000_000).UTC(),
	}
}

// play returns what is wrong.
func (r *recount) play() string {
	r.restart()
	for range 2 + r.random.IntN(60) {
		r.step()
	}
	return r.finish()
}

// step is what happens next.
func (r *recount) step() {
	switch n := r.random.IntN(20); {
	case n < 12:
		r.say(r.topic())
		r.receive(false)
	case n < 14: // the bridge is down
		for range 1 + r.random.IntN(6) {
			r.say(r.topic())
		}
		if r.random.IntN(2) == 0 && r.mayRestart() {
			r.restart()
		}
		r.reconnect()
	case n < 16:
		r.reconnect()
	case n < 18:
		r.copies()
	case r.mayRestart():
		r.restart()
	}
}

func (r *recount) topic() device.Channel {
	all := []device.Channel{device.ChannelTelemetry, device.ChannelTelemetry, device.ChannelTelemetry, device.ChannelEvents, device.ChannelAck, device.ChannelStatus}
	return all[r.random.IntN(len(all))]
}

// say makes the device send one message.
func (r *recount) say(topic device.Channel) {
	counter := device.ChannelSystem
	if r.habit.perTopic {
		counter = topic
	}
	r.numbers[counter]++
	r.clock = r.clock.Add(time.Duration(1+r.random.IntN(5000)) * time.Millisecond)
	m := device.Message{Channel: topic, Epoch: r.epoch, Seq: r.numbers[counter], Data: map[string]any{"n": float64(len(r.sent))}}
	if topic == device.ChannelStatus {
		m.Data["status"] = device.Online
		if len(r.sent) == r.starts[len(r.starts)-1] { // all births say the same
			m.Data = map[string]any{"status": "boot"}
		}
	}
	if r.habit.dated {
		m.Sent = r.clock
	}
	r.sent = append(r.sent, &sentOnce{message: m, numbering: len(r.starts)})
}

// restart begins a numbering, of at least as many messages as show it.
func (r *recount) restart() {
	r.starts = append(r.starts, len(r.sent))
	clear(r.numbers)
	switch r.habit.epochs {
	case "rising":
		r.epoch++
	case "falling":
		r.epoch = map[bool]int64{true: 1000 - int64(len(r.starts)), false: r.epoch + 1}[len(r.starts)%3 == 1]
	}
	if r.habit.births {
		r.say(device.ChannelStatus)
	}
	for range suspectsRun {
		r.say(device.ChannelTelemetry)
	}
	if r.random.IntN(2) == 0 {
		for r.arrived < len(r.sent) {
			r.receive(false)
		}
	}
}

// mayRestart: a device keeps a numbering for a while.
func (r *recount) mayRestart() bool { return len(r.sent)-r.starts[len(r.starts)-1] > 8 }

// receive delivers the next message that the bridge has not received.
func (r *recount) receive(again bool) {
	if r.arrived < len(r.sent) {
		r.deliver(r.arrived, again)
		r.arrived++
	}
}

// reconnect has the broker deliver again what was not acknowledged, and then the rest:
// of what never reached the bridge, it marks as delivered again what it had sent.
func (r *recount) reconnect() {
	from := max(0, r.arrived-r.random.IntN(21))
	marked := r.random.IntN(len(r.sent) - r.arrived + 1)
	if !r.habit.dated && r.habit.epochs == "none" {
		marked = 0 // the broker's word is all that there is
	}
	for i := from; i < r.arrived; i++ {
		r.deliver(i, true)
	}
	for ; marked > 0; marked-- {
		r.receive(true)
	}
	for r.arrived < len(r.sent) {
		r.receive(false)
	}
}

// copies has the device send again what its broker did not acknowledge.
func (r *recount) copies() {
	for r.arrived < len(r.sent) {
		r.receive(false)
	}
	for i := max(0, r.arrived-1+r.random.IntN(8)); i < r.arrived; i++ {
		if m := r.sent[i].message; isBirth(m) && m.Epoch == 0 && m.Sent.IsZero() {
			continue // it looks like a second start
		}
		r.deliver(i, false)
	}
}

func (r *recount) deliver(at int, again bool) {
	s := r.sent[at]
	m := s.message
	if first := r.starts[s.numbering-1]; again && at >= r.arrived && at < first+suspectsRun && (s.numbering > 1 || r.habit.perTopic) && !r.habit.dated && r.habit.epochs != "rising" {
		r.unsure[s.numbering] = true // its beginning was seen, and the broker says that it is a repetition
	}
	m.Redelivered = again
	v, begun, held := r.delivery.Receive(m)
	r.trace = append(r.trace, fmt.Sprintf("%d: %s %d/%d again %t: verdict %d, restart %v, held %d",
		at, m.Topic(), m.Epoch, m.Seq, again, v, begun != nil, len(held)))
	if v != duplicate {
		s.applied++
	}
	for _, h := range held {
		for _, other := range r.sent {
			if other.message.Channel == h.Channel && other.message.Epoch == h.Epoch && other.message.Seq == h.Seq && other.message.Data["n"] == h.Data["n"] &&
				other.message.Sent.Equal(h.Sent) && other.applied == 0 {
				other.applied++
				break
			}
		}
	}
}

func (r *recount) finish() string {
	for range 4 {
		r.say(device.ChannelTelemetry)
	}
	for r.arrived < len(r.sent) {
		r.receive(false)
	}
	for i, s := range r.sent {
		if s.applied != 1 && !r.unsure[s.numbering] {
			return fmt.Sprintf("message %d (%s %d/%d) of numbering %d applied %d times", i, s.message.Topic(), s.message.Epoch, s.message.Seq, s.numbering, s.applied)
		}
	}
	return ""
}
