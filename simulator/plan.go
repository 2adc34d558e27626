package simulator

import (
	"math/rand/v2"
	"slices"
	"time"

	"devicetwin/device"
)

// PlanOptions are what a plan depends on in addition to the scenario.
type PlanOptions struct {
	Seed   uint64
	Device int           // index in the fleet, from 0
	Rate   float64       // readings per second
	Length time.Duration // nothing is planned at or beyond it
	// Start is when the device starts, and Ramp when the whole fleet runs, both since the start of the run.
	Start, Ramp time.Duration
}

// Plan is what one device does on its own, in the order of time. It is generated
// while it is read, so that a long run needs no more memory than a short one.
// Each thing that is left to chance draws from a stream of its own, so that a
// change of one part of a scenario leaves the others as they were.
//
// A Plan belongs to one goroutine.
type Plan struct {
	// Identity is fixed for the device.
	Identity Identity

	scenario *Scenario
	profile  *Profile
	options  PlanOptions

	period    time.Duration
	reading   time.Duration // time of the next one, before jitter
	ticks     *rand.Rand
	telemetry []series
	values    *rand.Rand
	repeats   *rand.Rand

	faults  []occurrences
	churn   arrivals
	churns  *rand.Rand
	restart *rand.Rand
	backlog arrivals
	outages *rand.Rand
	mixes   *rand.Rand
	poison  arrivals
	pending []Act         // of fault sequences that are under way, by time
	cuts    []Act         // of the device's gateway, by time
	cutOff  time.Duration // until then its gateway is cut, and it does nothing
	quiet   time.Duration

	queued Act // the next reading, drawn but not given out
	drawn  bool
}

// Identity is what stays the same of a device.
type Identity struct {
	Profile  string
	Firmware string
	Site     string
	Skew     time.Duration // of the device's clock
	// Timeless is a device that gives no time, and Unnumbered one that gives no
	// numbers.
	Timeless   bool
	Unnumbered bool
	// Gateway is the number in the fleet, from 1, of the gateway that it is behind; 0: of none.
	Gateway int
}

// ActKind is a kind of Act.
type ActKind uint8

// The kinds of acts.
const (
	ActReading ActKind = iota // a message with the telemetry fields
	ActFault                  // a message of a fault sequence
	ActChurn                  // go offline, and come back after Down
	ActPoison                 // publish something that is not JSON
	ActBacklog                // lose the connection, and keep recording until Down is over
	ActCut                    // lose the connection to the gateway, or to what is behind it, and come back at the end of Down
)

// Act is one thing that a device does.
type Act struct {
	At   time.Duration // since the device's start
	Kind ActKind

	Channel device.Channel
	Name    string // of the event, on ChannelEvents
	Data    map[string]any
	Fault   string // name of the fault sequence

	Mixed       bool // a reading with other types or odd keys
	Repeat      bool // publish it again, RepeatAfter its PUBACK
	RepeatAfter time.Duration

	Down        time.Duration
	Clean       bool // with a goodbye and DISCONNECT
	LoseCounter bool
	Restart     bool
}

// occurrences is when a fault sequence begins.
type occurrences struct {
	sequence *FaultSequence
	arrivals arrivals // of PerMinute
	chance   float64  // of PerMessage
	random   *rand.Rand
	busy     time.Duration // until then it is under way
}

// NewPlan is the plan of one device.
func NewPlan(s *Scenario, o PlanOptions) *Plan {
	draw := func(purpose string) *rand.Rand { return stream(o.Seed, o.Device, purpose) }
	p := &Plan{
		scenario: s, options: o,
		period:  time.Duration(float64(time.Second) / o.Rate),
		ticks:   draw("ticks"),
		values:  draw("values"),
		repeats: draw("repeats"),
		churns:  draw("churn"),
		churn:   newArrivals(s.Churn.PerMinute, draw("churn arrivals")),
		restart: draw("restart"),
		outages: draw("backlogs"),
		backlog: newArrivals(s.Backlogs.PerMinute, draw("backlog arrivals")),
		mixes:   draw("mixed types"),
		poison:  newArrivals(s.Poison, draw("poison arrivals")),
		quiet:   s.lastFault(o.Length),
	}
	p.identify(draw("identity"))
	p.Identity.disturb(s, draw("clock"), draw("numbering"))
	p.cuts = p.cutsOf()
	p.reading = time.Duration(p.ticks.Float64() * float64(p.period))
	for _, f := range p.profile.Telemetry {
		p.telemetry = append(p.telemetry, f.Generator.series(p.values))
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		scale := 1.0
		if v, ok := p.profile.Faults[f.Name]; ok {
			scale = v
		}
		random := draw("fault " + f.Name)
		p.faults = append(p.faults, occurrences{
			sequence: f, random: random,
			arrivals: newArrivals(f.PerMinute*scale, random),
			chance:   min(f.PerMessage*scale, 1),
		})
	}
	return p
}

func (p *Plan) identify(random *rand.Rand) {
	weights := make([]float64, len(p.scenario.Profiles))
	for i, f := range p.scenario.Profiles {
		weights[i] = f.Weight
	}
	p.profile = &p.scenario.Profiles[weighted(weights, random.Float64())]
	if p.options.Device < len(p.scenario.gatewaySites()) {
		p.profile = p.scenario.gatewayProfile()
	}
	pick := func(of []string) string {
		u := random.Float64() // drawn also where there is nothing to pick, so that the rest stays
		if len(of) == 0 {
			return ""
		}
		return of[int(u*float64(len(of)))]
	}
	p.Identity = Identity{
		Profile:  p.profile.Name,
		Firmware: pick(p.profile.Firmware),
		Site:     pick(p.profile.Site),
		Skew:     time.Duration((2*random.Float64() - 1) * float64(p.scenario.Clock.Skew)),
	}
	p.place()
}

// lastFault is the time after which no fault sequence begins in a run of the
// given length: early enough that the longest can end and be answered, but
// never in less than the first half.
func (s *Scenario) lastFault(length time.Duration) time.Duration {
	tail := 3 * time.Second
	for _, f := range s.Faults {
		tail = max(tail, 3*time.Second+f.longest())
	}
	for _, a := range s.Answers {
		if a.Weight > 0 {
			tail = max(tail, 3*time.Second+a.Delay.Max)
		}
	}
	return max(length-tail, length/2)
}

// longest is how long the sequence can take.
func (f FaultSequence) longest() time.Duration {
	total := time.Duration(0)
	for _, m := range f.Messages {
		total += time.Duration(m.Times) * m.Gap.Max
	}
	return total
}

// Next is the next act, or false when the plan has come to its end.
func (p *Plan) Next() (Act, bool) {
	act := p.earliest()
	for ; act.At < p.cutOff && act.Kind != ActCut; act = p.earliest() {
	}
	if act.At >= p.options.Length {
		return Act{}, false
	}
	if act.Kind == ActCut {
		p.cutOff = max(p.cutOff, act.At+act.Down)
	}
	if act.Kind == ActReading || act.Kind == ActFault {
		p.decideRepeat(&act)
	}
	return act, true
}

// earliest takes the earliest of all that is planned. Of two at the same time, cuts come first,
// then messages of a fault sequence, then churn, backlogs, poison and the reading.
func (p *Plan) earliest() Act {
	p.drawReading()
	for i := range p.faults {
		f := &p.faults[i]
		for at := f.arrivals.next; at < p.queued.At && at < p.quiet; at = f.arrivals.next {
			p.begin(f, at)
		}
	}
	next := min(p.queued.At, p.churn.next, p.backlog.next, p.poison.next)
	switch {
	case len(p.cuts) > 0 && p.cuts[0].At <= next && (len(p.pending) == 0 || p.cuts[0].At <= p.pending[0].At):
		act := p.cuts[0]
		p.cuts = p.cuts[1:]
		return act
	case len(p.pending) > 0 && p.pending[0].At <= next:
		act := p.pending[0]
		p.pending = p.pending[1:]
		return act
	case p.churn.next == next:
		return p.goOffline()
	case p.backlog.next == next:
		return p.beginBacklog()
	case p.poison.next == next:
		p.poison.advance(next)
		return Act{At: next, Kind: ActPoison}
	}
	p.drawn = false
	return p.queued
}

// drawReading makes up the next reading. Jitter never changes their order.
func (p *Plan) drawReading() {
	if p.drawn {
		return
	}
	at := p.reading
	if j := p.scenario.Jitter; j > 0 {
		at += time.Duration(p.ticks.Float64() * j * float64(p.period))
	}
	p.reading += p.period
	data := make(map[string]any, len(p.telemetry))
	for i, f := range p.profile.Telemetry {
		data[f.Name] = p.telemetry[i](at, p.values)
	}
	mixed := p.mixes.Float64() < p.scenario.Mixed
	if mixed {
		oddities[p.mixes.IntN(len(oddities))](data, p.mixes)
	}
	p.queued = Act{At: at, Kind: ActReading, Channel: device.ChannelTelemetry, Data: data, Mixed: mixed}
	p.drawn = true
	for i := range p.faults {
		f := &p.faults[i]
		if f.chance > 0 && f.random.Float64() < f.chance && at >= f.busy && at < p.quiet {
			p.begin(f, at)
		}
	}
}

// begin puts the messages of a fault sequence among the pending ones.
func (p *Plan) begin(f *occurrences, at time.Duration) {
	for _, m := range f.sequence.Messages {
		for range m.Times {
			at += m.Gap.between(f.random.Float64())
			p.insert(Act{At: at, Kind: ActFault, Channel: m.Channel, Name: m.Name, Data: m.Data, Fault: f.sequence.Name})
		}
	}
	f.busy = at + 1
	f.arrivals.advance(at)
}

func (p *Plan) insert(act Act) {
	i, _ := slices.BinarySearchFunc(p.pending, act, func(a, b Act) int {
		if a.At <= b.At {
			return -1 // behind those of the same time
		}
		return 1
	})
	p.pending = slices.Insert(p.pending, i, act)
}

func (p *Plan) goOffline() Act {
	c := p.scenario.Churn
	act := Act{
		At: p.churn.next, Kind: ActChurn,
		Down:        c.Down.between(p.churns.Float64()),
		Clean:       p.churns.Float64() < c.Clean,
		LoseCounter: p.churns.Float64() < c.LoseCounter,
	}
	if p.restart.Float64() < c.Restart/max(1-c.LoseCounter, c.Restart) {
		act.Restart = !act.LoseCounter
	}
	p.churn.advance(act.At + act.Down)
	return act
}

func (p *Plan) beginBacklog() Act {
	act := Act{At: p.backlog.next, Kind: ActBacklog, Down: p.scenario.Backlogs.Down.between(p.outages.Float64())}
	p.backlog.advance(act.At + act.Down)
	return act
}

func (p *Plan) decideRepeat(act *Act) {
	r := p.scenario.Repeats
	if r.PerMessage == 0 || p.Identity.Unnumbered { // a copy of theirs is a message like the others
		return
	}
	act.Repeat = p.repeats.Float64() < r.PerMessage
	after := r.Delay.between(p.repeats.Float64())
	if act.Repeat {
		act.RepeatAfter = after
	}
}
