package ingest

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	workflow "devicetwin/workflows/device"
)

// thresholdModel leaves out readings that stay on one side of a threshold, and needs
// each one while another value is high.
const thresholdModel = `
model: pump
events:
  boot:    {channel: status, when: "msg.status == 'boot'"}
  reading: {channel: telemetry, when: "has(msg.temperature)"}
context: {readings: 0}
type: parallel
states:
  load:
    on:
      boot: {}
      reading: {guard: "event.pressure > 4.1", actions: [{assign: {readings: "context.readings + 1"}}]}
  temperature:
    initial: normal
    states:
      normal: {on: {reading: {guard: "event.temperature > 68", target: hot}}}
      hot: {on: {reading: {guard: "event.temperature < 56", target: normal}}}
`

// A device sends copies of what it sent before, without the broker's word that they are
// copies: the workflow applies each message once, whether the bridge left the first
// one out or not, and takes none for the beginning of a numbering. So it is when the bridge
// is one without a log, learns that another one had the device, or cannot read a part of its log.
func TestCopiesAreAppliedOnce(t *testing.T) {
	model, err := devicefsm.Load("pump.yaml", []byte(thresholdModel))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		newCopies(t, model, seed).run()
	}
}

// copies is a device that numbers its messages and repeats some of them, between a
// bridge and a workflow.
type copies struct {
	*testing.T
	seed    uint64
	random  *rand.Rand
	model   Model
	bench   *bench
	state   workflow.Delivery
	read    int              // signals
	highest map[int64]uint64 // number applied, by epoch
	waiting []copied
	lost    bool // a bridge has lost what it knew
	epoch   int
	seq     int
}

// copied is a message that is sent again at a time.
type copied struct {
	at             time.Time
	topic, payload string
}

func newCopies(t *testing.T, model Model, seed uint64) *copies {
	return &copies{
		T: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), model: model, bench: newBench(DefaultConfig(), model),
		highest: map[int64]uint64{}, epoch: 5,
	}
}

func (c *copies) run() {
	const steps, pause = 400, 250 * time.Millisecond
	for i := range steps {
		c.bench.advance(pause)
		switch loss := c.random.Float64(); {
		case loss < 0.01:
			c.replace()
		case loss < 0.02:
			c.settle()
			c.bench.core.elsewhere(c.bench.now)
		case loss < 0.03:
			c.damage()
		}
		c.sendAgain()
		// A copy comes within two seconds, in which a device begins few numberings.
		if i%50 == 49 && c.random.Float64() < 0.5 {
			c.epoch, c.seq = c.epoch+1, 0
			if c.lost { // what was left out of the numbering before is not known any more
				c.waiting = nil
			}
		}
		c.seq++
		topic, payload := c.message(float64(i) * pause.Seconds())
		c.deliver(topic, payload)
		if c.random.Float64() < 0.05 {
			after := time.Duration(c.random.Float64() * float64(2*time.Second))
			c.waiting = append(c.waiting, copied{c.bench.now.Add(after), topic, payload})
		}
	}
}

// settle has everything delivered, before what is known is lost.
func (c *copies) settle() {
	c.lost = true
	for c.bench.devices.byID["p"] != nil && c.bench.devices.byID["p"].place == inFlight {
		c.bench.accept("p")
		c.receive()
	}
}

// replace puts another bridge in the place of this one, which knows nothing.
func (c *copies) replace() {
	c.settle()
	now := c.bench.now
	c.bench, c.read = newBench(DefaultConfig(), c.model), 0
	c.bench.now = now
	c.sendNew()
}

// damage makes the last messages unknown, as if their records could not be read.
func (c *copies) damage() {
	c.settle()
	d := c.bench.devices.byID["p"]
	if d == nil {
		return
	}
	d.leftOut = nil
	d.forgetGiven()
	d.filter.lastSeq -= min(d.filter.lastSeq-1, uint64(c.random.IntN(4)))
	d.filter.forgetNumbers()
	c.bench.core.unsure = c.bench.now.Add(copiesCome)
	c.sendNew()
}

// sendNew sends a message that is not a copy. The first one after a loss has to be new: a copy
// could not be distinguished from it.
func (c *copies) sendNew() {
	c.seq++
	c.deliver(c.message(0))
}

func (c *copies) message(seconds float64) (topic, payload string) {
	numbers := fmt.Sprintf(`"epoch":%d,"seq":%d,"ts":%d`, c.epoch, c.seq, c.bench.now.UnixMilli()+int64(c.random.IntN(3)))
	if c.seq == 1 || c.random.Float64() < 0.1 {
		return "devices/p/status", "{" + numbers + `,"status":"boot"}`
	}
	pressure := fmt.Sprintf("%.3f", 4.1+0.4*math.Sin(seconds/40*2*math.Pi))
	if c.random.Float64() < 0.1 {
		pressure = "true"
	}
	temperature := 62 + 12*math.Sin(seconds/10*2*math.Pi) + c.random.NormFloat64()
	return "devices/p/telemetry", fmt.Sprintf(`{%s,"temperature":%.3f,"pressure":%s}`, numbers, temperature, pressure)
}

func (c *copies) sendAgain() {
	var later []copied
	for _, m := range c.waiting {
		if m.at.After(c.bench.now) {
			later = append(later, m)
			continue
		}
		c.deliver(m.topic, m.payload)
	}
	c.waiting = later
}

func (c *copies) deliver(topic, payload string) {
	c.bench.deliver(topic, payload, "", false)
	if c.random.Float64() < 0.7 && c.bench.devices.byID["p"].place == inFlight {
		c.bench.accept("p")
		c.receive()
	}
}

// receive is the workflow's part.
func (c *copies) receive() {
	for ; c.read < len(c.bench.out.signals); c.read++ {
		for _, sent := range c.bench.out.signals[c.read].batch.Messages {
			raw, err := json.Marshal(sent)
			if err != nil {
				c.Fatal(err)
			}
			var m device.Message
			if err := json.Unmarshal(raw, &m); err != nil {
				c.Fatal(err)
			}
			before := c.state.Applied
			c.state.Receive(m)
			if m.Seq == 0 || c.state.Applied == before {
				continue
			}
			if highest := c.highest[m.Epoch]; m.Seq <= highest {
				c.Fatalf("seed %d: applied after number %d, again or for the first time: %s", c.seed, highest, raw)
			}
			c.highest[m.Epoch] = m.Seq
		}
	}
}
