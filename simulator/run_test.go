package simulator

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
)

// pumpScenario and plugScenario are the examples in models.
func pumpScenario(t *testing.T) *Scenario { return scenarioFrom(t, "../models/pump.scenario.yaml") }

func plugScenario(t *testing.T) *Scenario { return scenarioFrom(t, "../models/plug.scenario.yaml") }

func scenarioFrom(t *testing.T, file string) *Scenario {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadScenario(file, src)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testOptions(t *testing.T, w *world) Options {
	return Options{
		Brokers: []string{"tcp://localhost:1883"}, Scenario: pumpScenario(t), Model: testModel{}, Twins: w,
		Devices: 100, Rate: 1, Duration: time.Minute, Seed: 1, Prefix: "pump",
		Log: slog.New(slog.DiscardHandler),
	}
}

// play is a whole run in a bubble, where a minute takes no time.
func play(t *testing.T, broken sabotage, change func(*Options, *world)) Report {
	t.Helper()
	var report Report
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broken)
		o := testOptions(t, w)
		if change != nil {
			change(&o, w)
		}
		start := time.Now()
		o.setDefaults(start)
		r, err := run(context.Background(), o, w.dial, w.watch, start)
		if err != nil {
			t.Fatal(err)
		}
		report = r
		for _, twin := range w.twins {
			if twin.timer != nil {
				twin.timer.Stop()
			}
		}
	})
	return report
}

func TestRunIsClean(t *testing.T) {
	for seed := range uint64(5) {
		r := play(t, sabotage{}, func(o *Options, _ *world) { o.Seed = seed })
		if !r.Clean {
			t.Errorf("seed %d: a run in a sound world has violations: %+v", seed, r)
		}
		if r.ReprovisionsDone < 20 || r.Relevant*2 > r.Sent || r.DuplicatesSent == 0 || r.Reconnects == 0 {
			t.Errorf("seed %d: the default scenario should give at least 20 reprovisions, some disturbances, and mostly irrelevant messages: %+v", seed, r)
		}
		if r.Latency.SequenceToCommand.Max > 20 || r.Latency.EventToState.Max > 20 {
			t.Errorf("seed %d: latencies %+v, expected those of the world, below 20 ms", seed, r.Latency)
		}
	}
}

// A ledger that cannot fail proves nothing: each fault of the world has to show,
// in its own figure and no other.
func TestRunFindsFaults(t *testing.T) { findsFaults(t, true, nil) }

// findsFaults plays a fleet in worlds each of which gets one thing wrong. What is applied
// twice without a number makes no report fail.
func findsFaults(t *testing.T, numbered bool, change func(*Options, *world)) {
	t.Helper()
	type figures struct{ lost, duplicated, appliedAgain, reordered, unexpected, missing, spurious uint64 }
	twice := figures{duplicated: 1}
	if !numbered {
		twice = figures{appliedAgain: 1}
	}
	tests := []struct {
		name   string
		broken sabotage
		want   figures
	}{
		{"a message is not applied", sabotage{lose: 300}, figures{lost: 1}},
		{"a message is applied twice", sabotage{double: 300}, twice},
		{"two messages change places", sabotage{swap: 300}, figures{reordered: 1}},
		{"a message comes from nowhere", sabotage{invent: 300}, figures{unexpected: 1}},
		{"a match is followed by nothing", sabotage{mute: 7}, figures{missing: 1}},
		{"a command comes from nowhere", sabotage{babble: 300}, figures{spurious: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := play(t, tt.broken, change)
			got := figures{r.Lost, r.Duplicated, r.AppliedAgain, r.Reordered, r.Unexpected, r.ReprovisionsMissing, r.ReprovisionsSpurious}
			if clean := tt.want.appliedAgain > 0; got != tt.want || r.Clean != clean {
				t.Errorf("got %+v, clean %t; want %+v, clean %t", got, r.Clean, tt.want, clean)
			}
			if uint64(len(r.LostMessages)) != r.Lost {
				t.Errorf("the report names %v of %d lost messages", r.LostMessages, r.Lost)
			}
			if !numbered && r.Unnumbered != r.Sent {
				t.Errorf("%d of %d messages without numbers", r.Unnumbered, r.Sent)
			}
		})
	}
}

// thresholds is a model of which only the readings that cross a threshold have
// to be applied.
const thresholds = `
model: pump
events:
  fault:   {channel: telemetry, when: "has(msg.code) && msg.code >= 100"}
  reading: {channel: telemetry, when: "has(msg.temperature)"}
context: {faults: 0}
initial: cool
on: {fault: {actions: [{assign: {faults: "context.faults + 1"}}]}}
states:
  cool: {on: {reading: {guard: "event.temperature > 90", target: hot}}}
  hot:  {on: {reading: {guard: "event.temperature < 80", target: cool}}}
`

// everyRelevant is a model that wants to have repetitions too.
type everyRelevant struct{ *devicefsm.Model }

func (m everyRelevant) Pass(_ *devicefsm.Filter, msg device.Message) bool { return m.Relevant(msg) }

// What may be left out may also be applied; what may not has to be.
func TestRunWithRepetitionsThatCanDoNothing(t *testing.T) {
	model, err := devicefsm.Load("thresholds.yaml", []byte(thresholds))
	if err != nil {
		t.Fatal(err)
	}
	run := func(broken sabotage, m Model, sift bool) Report {
		return play(t, broken, func(o *Options, w *world) {
			o.Model, w.naive = m, !sift
			if sift {
				w.sift = model
			}
		})
	}
	naive, sifted := run(sabotage{}, model, false), run(sabotage{}, model, true)
	all := run(sabotage{}, everyRelevant{model}, false)
	if !naive.Clean || !sifted.Clean || naive.Relevant != sifted.Relevant {
		t.Errorf("a service that applies all: clean %t, %d relevant; one that does not: clean %t, %d relevant",
			naive.Clean, naive.Relevant, sifted.Clean, sifted.Relevant)
	}
	if naive.LeftOut != 0 || sifted.LeftOut == 0 || sifted.LeftOut > sifted.Optional || naive.Optional != sifted.Optional {
		t.Errorf("of %d repetitions %d were left out by a service that applies all; of %d %d by one that does not",
			naive.Optional, naive.LeftOut, sifted.Optional, sifted.LeftOut)
	}
	if sifted.Relevant+sifted.Optional != all.Relevant || all.Optional != 0 {
		t.Errorf("%d have to be applied and %d need not; %d if no repetition may be left out", sifted.Relevant, sifted.Optional, all.Relevant)
	}
	if !all.Clean || naive.Relevant*2 > all.Relevant {
		t.Errorf("%d messages have to be applied, and %d if no repetition may be left out", naive.Relevant, all.Relevant)
	}
	if r := run(sabotage{}, everyRelevant{model}, true); r.Clean || r.Lost != all.Relevant-naive.Relevant {
		t.Errorf("%d messages were left out that had to be applied: clean %t, %d lost", all.Relevant-naive.Relevant, r.Clean, r.Lost)
	}
	forgetful := play(t, sabotage{}, func(o *Options, w *world) { o.Model, w.sift, w.forgetful = model, model, true })
	if forgetful.Clean || forgetful.Reordered == 0 {
		t.Errorf("copies of what was left out were applied late: clean %t, %d reordered", forgetful.Clean, forgetful.Reordered)
	}
	if r := run(sabotage{lose: 300}, model, true); r.Clean || r.Lost != 1 {
		t.Errorf("one message that had to be applied was not: clean %t, %d lost", r.Clean, r.Lost)
	}
	if r := run(sabotage{double: 300}, model, false); r.Clean || r.Duplicated != 1 {
		t.Errorf("one message was applied twice: clean %t, %d duplicated", r.Clean, r.Duplicated)
	}
}

// wrongAnalysis takes every reading for a repetition.
type wrongAnalysis struct{ *devicefsm.Model }

func (m wrongAnalysis) Pass(f *devicefsm.Filter, msg device.Message) bool {
	_, reading := msg.Data["temperature"]
	return m.Model.Pass(f, msg) && !reading
}

// The scenario's level is known apart from the model: an analysis that would leave
// out what crosses it does not deceive the ledger.
func TestRunFindsCrossingsThatAreLeftOut(t *testing.T) {
	model, err := devicefsm.Load("thresholds.yaml", []byte(thresholds))
	if err != nil {
		t.Fatal(err)
	}
	run := func(level Level) Report {
		return play(t, sabotage{}, func(o *Options, w *world) {
			o.Scenario.Expect.Level = level
			o.Model, w.sift = wrongAnalysis{model}, wrongAnalysis{model}
		})
	}
	if r := run(Level{}); !r.Clean || r.Crossings != 0 {
		t.Errorf("without a level: clean %t, %d crossings", r.Clean, r.Crossings)
	}
	if r := run(Level{Field: "temperature", Above: 90, Below: 80}); r.Clean || r.Crossings < 50 || r.Lost != r.Crossings {
		t.Errorf("with it: clean %t, %d lost of %d crossings", r.Clean, r.Lost, r.Crossings)
	}
	right := play(t, sabotage{}, func(o *Options, w *world) {
		o.Scenario.Expect.Level = Level{Field: "temperature", Above: 90, Below: 80}
		o.Model, w.sift = model, model
	})
	if !right.Clean || right.Crossings < 50 || right.LeftOut == 0 {
		t.Errorf("with a right analysis: clean %t, %d crossings, %d left out", right.Clean, right.Crossings, right.LeftOut)
	}
}

func TestRunFindsCommandsAfterTheBirth(t *testing.T) {
	r := play(t, sabotage{resend: true}, nil)
	if r.Clean || r.ReprovisionsSpurious < 20 || r.ReprovisionsMissing != 0 {
		t.Errorf("one more command after each birth: got %d spurious, %d missing, clean %t", r.ReprovisionsSpurious, r.ReprovisionsMissing, r.Clean)
	}
}

func TestRunTakesRepeatedCommandsAsOne(t *testing.T) {
	r := play(t, sabotage{stutter: true}, nil)
	if !r.Clean || r.CommandsRepeated < 20 {
		t.Errorf("every command delivered twice: clean %t, %d repeated", r.Clean, r.CommandsRepeated)
	}
}

// What the world may do to a fleet without being at fault.
func TestRunForgivesOutages(t *testing.T) {
	tests := []struct {
		name   string
		happen func(*world)
	}{
		{"births are slower than an attempt", func(w *world) { w.slowBirths(20 * time.Second) }},
		{"births are slower than all attempts", func(w *world) { w.slowBirths(60 * time.Second) }},
		{"the broker is down for 8 s", func(w *world) { w.outage(8 * time.Second) }},
		{"the bridge is down for 5 s", func(w *world) { w.stall(5 * time.Second) }},
		{"the bridge is down for longer than an attempt", func(w *world) { w.stall(20 * time.Second) }},
		{"the bridge is down for longer than all attempts", func(w *world) { w.stall(50 * time.Second) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(3) {
				r := play(t, sabotage{}, func(o *Options, w *world) {
					o.Seed, o.Duration = seed, 2*time.Minute
					time.AfterFunc(30*time.Second, func() { tt.happen(w) })
				})
				if !r.Clean {
					t.Errorf("seed %d: not clean: %+v", seed, r)
				}
			}
		})
	}
}

func TestRunWithAnswersOfOneKind(t *testing.T) {
	for _, kind := range []AnswerKind{Obey, Refuse, Ignore} {
		t.Run(string(kind), func(t *testing.T) {
			r := play(t, sabotage{}, func(o *Options, _ *world) {
				o.Scenario.Answers = []Answer{{Kind: kind, Weight: 1}}
			})
			if !r.Clean || r.ReprovisionsDone < 20 {
				t.Errorf("not clean, or too little to show: %+v", r)
			}
			wantGone := kind != Obey
			if (r.Quarantined > 0) != wantGone || (r.ReprovisionRetries == 2*r.ReprovisionsDone) != wantGone {
				t.Errorf("%d devices quarantined after %d retries of %d reprovisions", r.Quarantined, r.ReprovisionRetries, r.ReprovisionsDone)
			}
		})
	}
}

func TestRunWithMoreInFlight(t *testing.T) {
	r := play(t, sabotage{}, func(o *Options, _ *world) { o.InFlight, o.Rate = 10, 20 })
	if !r.Clean {
		t.Errorf("not clean: %+v", r)
	}
}

func TestRunCountsDeadLetters(t *testing.T) {
	poison := func(o *Options, _ *world) { o.Scenario.Poison = 1 }
	if r := play(t, sabotage{}, poison); !r.Clean || r.DeadLetters < 50 || r.DeadLetters != r.DeadLettersMeant {
		t.Errorf("poison of the scenario: clean %t, %d dead letters, %d meant", r.Clean, r.DeadLetters, r.DeadLettersMeant)
	}
	r := play(t, sabotage{}, func(_ *Options, w *world) {
		time.AfterFunc(10*time.Second, func() {
			w.letter([]byte(`{"topic":"devices/pump-0001/telemetry","reason":"too_large","payload_base64":"eyJhIjoxfQ=="}`))
			w.letter([]byte(`{"topic":"devices/other-0001/telemetry","reason":"too_large","payload_base64":"eyJhIjoxfQ=="}`))
		})
	})
	if r.Clean || r.DeadLetters != 1 || r.DeadLettersMeant != 0 {
		t.Errorf("a message of the fleet was refused: clean %t, %d dead letters, %d meant", r.Clean, r.DeadLetters, r.DeadLettersMeant)
	}
}

func TestRunEndsWhenTheLedgerIsFull(t *testing.T) {
	r := play(t, sabotage{}, func(o *Options, _ *world) { o.MaxLedger = 300 })
	if r.EndedEarly == "" || r.DurationS > 30 || r.Lost > 0 {
		t.Errorf("ended early %q after %g s, %d lost", r.EndedEarly, r.DurationS, r.Lost)
	}
}

func TestRunSaysTheSameForTheSameSeed(t *testing.T) {
	figures := func(r Report) [5]uint64 {
		return [5]uint64{r.SequencesCompleted, r.ReprovisionsExpected, r.ReprovisionRetries, r.DuplicatesSent, r.Sent}
	}
	first, second := figures(play(t, sabotage{}, nil)), figures(play(t, sabotage{}, nil))
	if first != second {
		t.Errorf("two runs with the same seed: %v and %v", first, second)
	}
}

func TestOptionsTellsAllFaults(t *testing.T) {
	err := Options{Devices: 0, Rate: -1, Duration: time.Millisecond, InFlight: 1000}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"broker", "scenario", "model", "twins", "devices", "rate", "duration", "in flight"} {
		if !strings.Contains(err.Error(), want+":") {
			t.Errorf("%q is not among the faults:\n%v", want, err)
		}
	}
}

// ledgerPoints keeps what a run writes.
type ledgerPoints struct {
	tags   []map[string]string
	fields []map[string]any
}

func (l *ledgerPoints) WritePoint(_ string, tags map[string]string, fields map[string]any, _ time.Time) {
	l.tags, l.fields = append(l.tags, tags), append(l.fields, fields)
}

func TestRunWritesItsLedger(t *testing.T) {
	var points ledgerPoints
	r := play(t, sabotage{lose: 300}, func(o *Options, _ *world) { o.Points = &points })
	if len(points.fields) < 30 {
		t.Fatalf("%d points of a run of a minute, want one every two seconds", len(points.fields))
	}
	if tags := points.tags[0]; tags[measure.TagRun] != "pump" || tags[measure.TagScenario] != "pump" || tags[measure.TagModel] == "" {
		t.Errorf("tags %v", tags)
	}
	before := uint64(0)
	for i, fields := range points.fields[:len(points.fields)-1] {
		sent := fields[measure.SimulatorSent].(uint64)
		if sent < before {
			t.Errorf("point %d: sent falls from %d to %d", i, before, sent)
		}
		before = sent
		if _, told := fields[measure.SimulatorLost]; told {
			t.Errorf("point %d has a number of lost messages before it is known", i)
		}
	}
	last := points.fields[len(points.fields)-1]
	if last[measure.SimulatorLost] != uint64(1) || last[measure.SimulatorClean] != 0 || last[measure.SimulatorSent] != r.Sent {
		t.Errorf("the last point %v, want one lost, not clean, %d sent", last, r.Sent)
	}
}

// What the broker acknowledged is reported once each, with the device's own time.
func TestRunTellsWhatIsAcknowledged(t *testing.T) {
	var mutex sync.Mutex
	type message struct {
		device, channel string
		epoch           int64
		seq             uint64
		ts              int64
	}
	told, readings := map[message]int{}, 0
	report := play(t, sabotage{}, func(o *Options, _ *world) {
		o.Devices, o.Duration = 10, 30*time.Second
		o.Acknowledged = func(m Acknowledged) {
			mutex.Lock()
			defer mutex.Unlock()
			told[message{m.Device, string(m.Channel), m.Epoch, m.Seq, m.TS}]++
			if _, ok := m.Data["temperature"].(float64); ok && m.Channel == device.ChannelTelemetry {
				readings++
			}
		}
	})
	if uint64(len(told)) != report.Sent || readings < len(told)/2 || report.DuplicatesSent == 0 {
		t.Errorf("%d messages told of %d sent", len(told), report.Sent)
	}
	for m, times := range told {
		if times != 1 || m.device == "" || m.channel == "" || m.epoch == 0 || m.seq == 0 || m.ts == 0 {
			t.Errorf("told %d times: %+v", times, m)
		}
	}
}
