package ingest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/twin"
	"devicetwin/wire"
)

// reporter is a device that reports its state, a bridge and the twin.
type reporter struct {
	*testing.T
	*bench
	read int
	twin twin.Document // of what was delivered
}

func newReporter(t *testing.T, change func(*Config)) *reporter {
	cfg := DefaultConfig()
	cfg.QuotaRate = 0
	if change != nil {
		change(&cfg)
	}
	return &reporter{T: t, bench: newBenchOf(cfg, true, wire.DefaultConfig(), modelOf(t, tank))}
}

func reportMessage(state string, at time.Time) device.Message {
	return device.Message{
		Channel: device.ChannelTwin, Name: device.MethodUpdate, Time: at,
		Twin: &device.TwinRequest{Payload: fmt.Appendf(nil, `{"state":{"reported":%s}}`, state), Reports: true},
	}
}

// report lets the device report, and gives what is delivered then, after all is accepted.
func (r *reporter) report(state string, change ...func(*device.Message, *Arrival)) string {
	m := reportMessage(state, r.now)
	a := Arrival{Payload: []byte(state), At: r.now, Origin: "s/d", Ack: func() {}}
	for _, f := range change {
		f(&m, &a)
	}
	r.core.receive(r.w, arrived{a, []wire.Received{{ID: "d", Message: m}}, nil}, r.now)
	r.out.take(r.core)
	return r.took()
}

// took accepts all, and gives what the workflow took.
func (r *reporter) took() string {
	r.acceptAll()
	var got []string
	for ; r.read < len(r.out.signals); r.read++ {
		for _, m := range r.out.signals[r.read].batch.Messages {
			if m.Twin == nil {
				got = append(got, m.Name)
				continue
			}
			r.twin = updated(r.T, r.twin, m)
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(string(m.Twin.Payload), `{"state":{"reported":`), "}}"))
		}
	}
	return strings.Join(got, " ")
}

func updated(t *testing.T, d twin.Document, m device.Message) twin.Document {
	next, _, refused := twin.Update(d, m.Twin.Payload, m.Time, twin.DefaultLimits())
	if refused != nil {
		t.Fatal(refused)
	}
	return next
}

func TestTheSameReportAgain(t *testing.T) {
	const on = `{"on":true,"level":{"a":1}}`
	from := func(id string) func(*device.Message, *Arrival) {
		return func(m *device.Message, _ *Arrival) { m.From = &device.Address{Dialect: "plugs", ID: id} }
	}
	stale := func(m *device.Message, a *Arrival) { m.Stale, a.Retained = true, true }
	for name, tt := range map[string]struct {
		change func(*Config)
		then   func(r *reporter) string // after on was reported
		want   string
	}{
		"is left out":              {nil, func(r *reporter) string { return r.report(on) + r.report(on) }, ""},
		"as a retained copy":       {nil, func(r *reporter) string { return r.report(on, stale) }, ""},
		"another value":            {nil, func(r *reporter) string { return r.report(`{"on":false}`) }, `{"on":false}`},
		"written otherwise":        {nil, func(r *reporter) string { return r.report(`{"on": true}`) }, `{"on": true}`},
		"a part of it":             {nil, func(r *reporter) string { return r.report(`{"on":true}`) }, `{"on":true}`},
		"after a part has changed": {nil, func(r *reporter) string { r.report(`{"level":{"b":1}}`); return r.report(on) }, on},
		"after other properties":   {nil, func(r *reporter) string { r.report(`{"mode":"x"}`); return r.report(on) + r.report(`{"mode":"x"}`) }, ""},
		"nothing in it":            {nil, func(r *reporter) string { return r.report(`{}`) + r.report(`{}`) }, "{}{}"},
		"after the time":           {nil, func(r *reporter) string { r.advance(time.Hour); return r.report(on) }, on},
		"before it":                {nil, func(r *reporter) string { r.advance(59 * time.Minute); return r.report(on, stale) }, ""},
		"with nothing settled":     {func(c *Config) { c.SettledFor = 0 }, func(r *reporter) string { return r.report(on) }, on},
		"in the naive way":         {func(c *Config) { c.Naive = true }, func(r *reporter) string { return r.report(on) }, on},
		"after the workflow's end": {nil, func(r *reporter) string { r.ended("d"); return r.report(on) }, on},
		"on a new session":         {nil, func(r *reporter) string { r.reconnect(); return r.report(on) }, on},
		"with another bridge":      {nil, func(r *reporter) string { r.core.elsewhere(r.now); return r.report(on) }, on},
		"with a fault": {nil, func(r *reporter) string {
			return r.report(on, func(m *device.Message, _ *Arrival) { m.Faults = []device.Fault{{Reason: device.FaultTime}} })
		}, on},
		"reached otherwise": {nil, func(r *reporter) string {
			return r.report(on, from("1")) + r.report(on, from("1")) + r.report(on, from("2"))
		}, on + on},
		"when a lease is due": {nil, func(r *reporter) string { r.advance(6 * time.Minute); return r.report(on) }, on},
		"that may be taken for a copy": {nil, func(r *reporter) string {
			r.report(`{"on":false}`)
			return r.report(on, func(m *device.Message, _ *Arrival) { m.Redelivered = true }) + r.report(on)
		}, on + on},
		"when a sleeper returns": {nil, func(r *reporter) string {
			awake := func(m *device.Message, _ *Arrival) {
				m.From = &device.Address{Dialect: "plugs", Awake: 10 * time.Second}
			}
			r.report(on, awake)
			r.advance(5 * time.Second)
			within := r.report(on, awake)
			r.advance(11 * time.Second)
			return within + r.report(on, awake)
		}, on},
		"after a request to delete": {nil, func(r *reporter) string {
			r.ask("devices/d/twin/delete", "")
			r.acceptAll()
			r.read = len(r.out.signals)
			return r.report(on)
		}, on},
		"after a request to get": {nil, func(r *reporter) string {
			r.ask("devices/d/twin/get", "")
			r.acceptAll()
			r.read = len(r.out.signals)
			return r.report(on)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReporter(t, tt.change)
			if got := r.report(on); got != on {
				t.Fatalf("delivered %s", got)
			}
			if got := tt.then(r); got != tt.want {
				t.Errorf("delivered %q, want %q", got, tt.want)
			}
			if r.held != 0 {
				t.Errorf("%d arrivals are held", r.held)
			}
		})
	}
}

// While it is not known that the workflow has the first one, or which workflow, nothing is left out.
func TestTheSameReportBeforeTheFirstIsAccepted(t *testing.T) {
	r := newReporter(t, nil)
	for range 3 {
		m := reportMessage(`{"on":true}`, r.now)
		r.core.receive(r.w, arrived{Arrival{At: r.now, Origin: "s/d", Ack: func() {}}, []wire.Received{{ID: "d", Message: m}}, nil}, r.now)
		r.out.take(r.core)
	}
	if got := r.took(); strings.Count(got, "on") != 3 {
		t.Errorf("delivered %q", got)
	}
}

func TestMoreReportsThanAreRemembered(t *testing.T) {
	r := newReporter(t, nil)
	for range 2 {
		for i := range 2 * maxGiven {
			r.report(fmt.Sprintf(`{"p%d":1}`, i))
		}
	}
	if n := len(r.devices.byID["d"].given.properties); n != maxGiven {
		t.Errorf("%d properties are remembered", n)
	}
	if got := r.report(fmt.Sprintf(`{"p%d":1}`, 2*maxGiven-1)); got != "" {
		t.Errorf("delivered %q", got)
	}
}

// At the end of each settled period, the twin is that of a workflow that is given every report,
// whatever applications do to it by a way that the bridge does not see; and it is at all times,
// unless they do. Where they do, devices report whole properties: of an object of which several
// reports have different members, the last report alone says not what was in it before.
func TestTheTwinIsTheSameWithoutTheSameReports(t *testing.T) {
	leftOut, reports := 0, 0
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 11))
		r := newReporter(t, func(c *Config) { c.SettledFor = time.Duration(10+random.IntN(300)) * time.Second })
		whole, disturbed := twin.Document{}, false
		last := [3]string{}
		say := func(topic int) {
			m := reportMessage(last[topic], r.now)
			whole = updated(t, whole, m)
			r.report(last[topic])
			reports++
		}
		for range 150 {
			r.advance(time.Duration(random.IntN(3000)) * time.Millisecond)
			switch n := random.IntN(30); {
			case n < 4:
				topic := random.IntN(3)
				last[topic] = randomState(random, topic, seed%2 == 0)
				say(topic)
			case n < 24:
				if topic := random.IntN(3); last[topic] != "" {
					say(topic)
				}
			case n == 24 && seed%2 == 0: // by the API
				change := []string{`{"state":null}`, `{"state":{"reported":null}}`, `{"state":{"reported":{"a":null}}}`, `{"state":{"desired":{"a":2}}}`}[random.IntN(4)]
				disturbed = true
				m := device.Message{Time: r.now, Twin: &device.TwinRequest{Payload: []byte(change)}}
				whole, r.twin = updated(t, whole, m), updated(t, r.twin, m)
			case n == 25: // by the bridge
				r.ask("devices/d/twin/update", `{"state":{"reported":{"a":null}}}`)
				whole = updated(t, whole, device.Message{Time: r.now, Twin: &device.TwinRequest{Payload: []byte(`{"state":{"reported":{"a":null}}}`)}})
				r.took()
			case n == 26:
				r.reconnect()
			case n == 27:
				r.bench.deliver("devices/d/telemetry", fmt.Sprintf(`{"t":%d}`, 60+random.IntN(50)), "", false)
				r.took()
			case n == 28: // the end of a settled period, in which the device has said everything again
				r.advance(r.cfg.SettledFor)
				for topic := range last {
					if last[topic] != "" {
						say(topic)
					}
				}
				disturbed = false
			}
			if got, want := stateOf(r.twin), stateOf(whole); !disturbed && got != want {
				t.Fatalf("seed %d: the twin is %s, with every report it would be %s", seed, got, want)
			}
		}
		leftOut += int(r.counts.Messages.Load() - r.counts.Relevant.Load())
	}
	t.Logf("%d of %d reports and readings are left out", leftOut, reports)
	if leftOut < reports/3 {
		t.Error("that shows little")
	}
}

// randomState is what a device may report on one of three topics, two of which have a property in common.
func randomState(r *rand.Rand, topic int, whole bool) string {
	value := func() string {
		if whole {
			return []string{"1", "2", "null", "[1]"}[r.IntN(4)]
		}
		return []string{"1", "2", "null", "[1]", `{"x":1}`, `{"y":2}`, `{"x":null}`}[r.IntN(7)]
	}
	return fmt.Sprintf([]string{`{"a":%s,"b":%s}`, `{"b":%s,"c":%s}`, `{"d":%s,"e":%s}`}[topic], value(), value())
}

// stateOf is the state in a twin, without versions and times.
func stateOf(d twin.Document) string {
	payload, refused := twin.Get(d, "d", nil, epoch, twin.DefaultLimits())
	if refused != nil {
		return "nothing"
	}
	var document struct{ State json.RawMessage }
	if err := json.Unmarshal(payload, &document); err != nil {
		return err.Error()
	}
	return string(document.State)
}

// What is remembered is there after a restart.
func TestReportsAreRememberedOverARestart(t *testing.T) {
	for name, again := range map[string]func(*process) *process{
		"stopped": func(p *process) *process { return p.next(nil, modelOf(t, tank)) },
		"killed": func(p *process) *process {
			p.reportOn(1)
			p.reportOn(1)
			return p.reborn(nil, modelOf(t, tank))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openProcess(t, t.TempDir(), nil, modelOf(t, tank))
			p.dialect = reporting(t)
			p.reportOn(2)
			p.checkpointNow()
			p.reportOn(1)
			p = again(p)
			p.dialect = reporting(t)
			if got := p.reportOn(1) + p.reportOn(1); got != "" {
				t.Errorf("delivered %q", got)
			}
			if got := p.reportOn(2) + p.reportOn(1) + p.reportOn(1); got != "updateupdate" {
				t.Errorf("delivered %q", got)
			}
		})
	}
}

func (p *process) reportOn(on int) string {
	p.deliver("reports/d/0", fmt.Sprintf(`{"place":%d,"state":{"on":%d}}`, p.now.UnixMilli(), on), "", false)
	return p.deliverAll("run")
}
