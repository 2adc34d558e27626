package ingest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// forgetful is a broker that had an acknowledgement, and delivers the message again nevertheless,
// on the same connection or a later one, and under another number.
type forgetful struct {
	*bench
	t      *testing.T
	number uint64
}

func newForgetful(t *testing.T, b *bench) *forgetful { return &forgetful{bench: b, t: t} }

func (f *forgetful) send(payload string, again bool) {
	f.number++
	name := fmt.Sprint(f.number)
	if again {
		name += " again"
	}
	f.receive(f.w, "devices/d/telemetry", Arrival{
		Payload: []byte(payload), Number: f.number, Again: again, At: f.now, Ack: func() { f.acked = append(f.acked, name) },
	})
	f.answer()
}

// answer accepts everything that was signalled.
func (f *forgetful) answer() {
	for f.inFlight > 0 {
		f.accept("d")
	}
}

func reading(id int) string { return fmt.Sprintf(`{"hot":1,"id":%d}`, id) }

// readings sends so many that differ, from one on.
func (f *forgetful) readings(from, count int) {
	for id := range count {
		f.send(reading(from+id), false)
	}
}

// taken are the ids of what was signalled, and how many of these are marked.
func (f *forgetful) taken() (ids []string, marked int) {
	for _, s := range f.out.signals {
		for _, m := range s.batch.Messages {
			ids = append(ids, fmt.Sprint(m.Data["id"]))
			if m.Redelivered {
				marked++
			}
		}
	}
	return ids, marked
}

// expect wants so many messages signalled, and so many recognized.
func (f *forgetful) expect(what string, signalled, recognized int) {
	f.t.Helper()
	ids, _ := f.taken()
	if got := int(f.counts.Recognized.Load()); len(ids) != signalled || got != recognized {
		f.t.Errorf("%s: %d signalled, %d recognized; want %d, %d", what, len(ids), got, signalled, recognized)
	}
	if acked := strings.Count(f.acks(), " again"); acked < recognized {
		f.t.Errorf("%s: %d acknowledged again", what, acked)
	}
}

const twoWindows = 2 * knownWell // more than a workflow compares

func TestAForgottenAcknowledgementIsRecognized(t *testing.T) {
	f := newForgetful(t, newBench(DefaultConfig(), testModel{}))
	f.readings(0, twoWindows)
	f.send(reading(1), true)
	f.send(reading(1), true) // that acknowledgement was forgotten as well
	f.expect("on the same connection", twoWindows, 2)
	f.reconnect()
	f.readings(twoWindows, 1)
	f.send(reading(2), true)
	f.expect("on the next connection", twoWindows+1, 3)
	points := len(f.out.points)
	if points != twoWindows+1 {
		t.Errorf("%d points of %d readings", points, twoWindows+1)
	}
}

// What the broker does not mark is another message. What a device says twice cannot be recognized by
// what it says, and neither can anything else of one that often does so, for as long as that is remembered.
func TestEqualMessagesAreAppliedEachTime(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Recognized = twoWindows
	f := newForgetful(t, newBench(cfg, testModel{}))
	f.readings(0, twoWindows-3)
	f.send(reading(5), false)
	f.expect("it says the same again", twoWindows-2, 0)
	f.send(reading(5), true)
	f.expect("nobody knows whether that is new", twoWindows-1, 0)
	f.send(reading(6), true)
	f.expect("it says the same seldom", twoWindows-1, 1)
	f.send(reading(7), false)
	f.send(reading(8), false)
	f.send(reading(9), true)
	f.expect("it says the same often", twoWindows+2, 1)
	if _, marked := f.taken(); marked != 2 {
		t.Errorf("%d messages are marked for the workflow, want 2", marked)
	}
	f.readings(1000, twoWindows)
	f.send(reading(1001), true)
	f.expect("it has said other things only since", 2*twoWindows+2, 2)
}

// What is marked and was lost on its way to here is applied. If its acknowledgement is lost, too, nobody
// knows whether it is that or another one of what waited: its workflow compares it.
func TestWhatWasNeverAcknowledgedIsTaken(t *testing.T) {
	f := newForgetful(t, newBench(DefaultConfig(), testModel{}))
	f.readings(0, twoWindows)
	f.reconnect()
	f.send(reading(5000), true)
	f.expect("it is new here", twoWindows+1, 0)
	f.readings(6000, twoWindows)
	f.send(reading(5000), true)
	f.expect("it is not known whether it is", 2*twoWindows+2, 0)
}

// Of what says little, such as an event, nobody knows whether it says the same each time.
func TestLittleIsLeftToTheWorkflow(t *testing.T) {
	f := newForgetful(t, newBench(DefaultConfig(), testModel{}))
	f.readings(0, knownWell-1)
	f.send(reading(1), true)
	f.expect("of one that said little", knownWell, 0)
}

func TestWhatIsKnownByOtherThingsIsNotRemembered(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for what, a := range map[string]Arrival{
		"a number":       {Payload: []byte(`{"hot":1,"seq":3}`)},
		"a source's log": {Payload: []byte(`{"hot":1}`), Log: "topic-1"},
		"retained":       {Payload: []byte(`{"hot":1}`), Retained: true},
	} {
		a.At, a.Ack = b.now, func() {}
		b.receive(b.w, "devices/d/telemetry", a)
		b.acceptAll()
		if b.acks(); b.core.recognized.marks.len() > 0 {
			t.Errorf("%s: remembered", what)
		}
	}
	f := newForgetful(t, b)
	if f.readings(0, 1); b.core.recognized.marks.len() != 1 {
		t.Error("a reading is not remembered")
	}
	for what, change := range map[string]func(*Config){
		"none":        func(c *Config) { c.Recognized = 0 },
		"for no time": func(c *Config) { c.RecognizedFor = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		f := newForgetful(t, newBench(cfg, testModel{}))
		f.readings(0, twoWindows)
		f.send(reading(1), true)
		f.expect(what, twoWindows+1, 0)
	}
}

// It is not remembered before it is in the log: its repetition is all that there will be of it
// after a crash.
func TestWhatIsNotInTheLogIsNotRecognized(t *testing.T) {
	b, l := newLoggedBench(DefaultConfig(), testModel{})
	f := newForgetful(t, b)
	f.readings(0, twoWindows)
	l.err = errDown
	f.send(reading(5000), false)
	if got := f.core.recognized.marks.len(); got != twoWindows {
		t.Errorf("%d are remembered, %d in the log", got, twoWindows)
	}
	l.err = nil
	f.toDisk(l)
	if got := f.core.recognized.marks.len(); got != twoWindows+1 {
		t.Errorf("%d are remembered, %d in the log", got, twoWindows+1)
	}
}

// It survives the process, and nothing is recorded twice.
func TestItIsRecognizedByTheNextProcess(t *testing.T) {
	for name, end := range map[string]func(p *process) (dir string){
		"killed": func(p *process) string { return p.killed(func(int64) int64 { return 0 }) },
		"killed with a checkpoint": func(p *process) string {
			p.checkpointNow()
			return p.killed(func(int64) int64 { return 0 })
		},
		"stopped": func(p *process) string {
			p.stop()
			return p.dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openProcess(t, t.TempDir(), nil, testModel{})
			f := &forgetful{bench: p.bench, t: t}
			send := func() {
				t.Helper()
				p.flush()
				f.answer()
				p.acks()
			}
			f.readings(0, twoWindows/2)
			send()
			if name != "killed" {
				p.checkpointNow() // the rest comes after it
			}
			f.readings(twoWindows/2, twoWindows/2)
			send()
			dir := end(p)

			next := openProcess(t, dir, nil, testModel{})
			g := &forgetful{bench: next.bench, t: t, number: 1000}
			before := next.appended
			for _, id := range []int{0, twoWindows / 2, twoWindows/2 - 1} {
				g.send(reading(id), true)
			}
			if got := g.counts.Recognized.Load() + g.counts.Repeated.Load(); got < 3 || next.appended != before {
				t.Errorf("%d known again, appended %d bytes", got, next.appended-before)
			}
			g.reconnect() // what may not have been acknowledged is known otherwise
			g.reconnect()
			recognized := g.counts.Recognized.Load()
			for _, id := range []int{0, twoWindows / 2, twoWindows/2 - 1} {
				g.send(reading(id), true)
			}
			if got := g.counts.Recognized.Load() - recognized; got != 3 {
				t.Errorf("%d recognized, want 3", got)
			}
			if got, want := next.core.recognized.marks.len(), twoWindows; got != want {
				t.Errorf("%d are remembered, want %d", got, want)
			}
		})
	}
}

// What is remembered is bounded in number and time, and nothing else grows with it. It says what a list
// without cleverness says.
func TestRecognizedProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(knownWell, 3*knownWell).Draw(t, "limit")
		const keep = 100 * time.Second
		k := newRecognized(limit, keep)
		type said struct {
			Arrival
			twice bool
		}
		var list []said
		now := epoch
		forget := func(most int) {
			list = slices.DeleteFunc(list, func(s said) bool { return now.Sub(s.At) > keep })
			list = last(list, most)
		}
		for other := range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "seconds")) * time.Second)
			a := Arrival{Origin: rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "origin"), At: now, Payload: fmt.Append(nil, other)}
			a.Again = rapid.IntRange(0, 3).Draw(t, "again") == 0
			if len(list) > 0 && (a.Again && rapid.Bool().Draw(t, "known") || rapid.IntRange(0, 40).Draw(t, "equal") == 0) {
				one := rapid.SampledFrom(list).Draw(t, "which")
				a.Origin, a.Payload = one.Origin, one.Payload
			}
			equal := func(s said) bool { return s.Origin == a.Origin && string(s.Payload) == string(a.Payload) }
			m := k.mark(&a, true)
			forget(limit)
			of, twice := 0, 0
			for _, s := range list {
				if s.Origin == a.Origin {
					of++
					if s.twice {
						twice++
					}
				}
			}
			want := a.Again && slices.ContainsFunc(list, equal) && !slices.ContainsFunc(list, func(s said) bool { return equal(s) && (s.twice || s.Again) }) &&
				of >= knownWell && of >= twice*knownWell
			if got := k.repeats(m); got != want {
				t.Fatalf("%s %s, again %v: recognized %v, want %v", a.Origin, a.Payload, a.Again, got, want)
			}
			if !want && rapid.IntRange(0, 9).Draw(t, "is safe") > 0 {
				k.add(m)
				forget(limit - 1)
				marked := slices.ContainsFunc(list, func(s said) bool { return equal(s) && s.Again })
				list = append(list, said{a, slices.ContainsFunc(list, equal) && (!a.Again || marked)})
			}
			if rapid.IntRange(0, 49).Draw(t, "restart") == 0 {
				next := newRecognized(limit, keep)
				if err := next.load(savedText(k.saved())); err != nil {
					t.Fatal(err)
				}
				k = next
			}
			if len(k.sums) > k.marks.len() || len(k.shapes) > 2 || k.marks.len() > limit {
				t.Fatalf("%d remembered, with %d sums and %d shapes", k.marks.len(), len(k.sums), len(k.shapes))
			}
		}
	})
}

func BenchmarkRecognized(b *testing.B) {
	k := newRecognized(100_000, time.Hour)
	payload := make([]byte, 200)
	for i := range b.N {
		copy(payload, fmt.Append(nil, i))
		a := Arrival{Origin: fmt.Sprint("devices/pump-", i%5000, "/telemetry"), Payload: payload, At: epoch.Add(time.Duration(i) * time.Millisecond)}
		k.add(k.mark(&a, true))
	}
}

func TestWhatIsRememberedCostsLittle(t *testing.T) {
	const messages = 100_000
	k := newRecognized(messages, time.Hour)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 2 * messages {
		a := Arrival{Origin: fmt.Sprint("devices/pump-", i, "/telemetry"), Payload: fmt.Append(nil, i), At: epoch} // a topic for each is the worst
		k.add(k.mark(&a, true))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / uint64(k.marks.len())
	if t.Logf("%d bytes each", each); k.marks.len() != messages || each > 200 {
		t.Errorf("%d are remembered, with %d bytes each", k.marks.len(), each)
	}
	runtime.KeepAlive(k)
}

// One topic says readings, which differ, and now and then that a door is open or closed. The door opens again while the connection
// breaks: the broker marks the message, which nobody has had. 1 in 80 of the topic's messages is such; of the door's, each repeats one.
func TestANewMessageOfAMixedTopicIsTaken(t *testing.T) {
	f := newForgetful(t, newBench(DefaultConfig(), testModel{}))
	door := func(open string, again bool) { f.send(`{"hot":1,"id":"`+open+`"}`, again) }
	f.readings(0, 40)
	door("open", false)
	f.readings(100, 40)
	door("closed", false)
	f.readings(200, 40)
	f.reconnect()
	door("open", true) // new: it was sent while the connection was lost
	f.readings(300, 5)
	ids, _ := f.taken()
	last := ""
	for _, id := range ids {
		if id == "open" || id == "closed" {
			last = id
		}
	}
	if last != "open" {
		t.Errorf("the door is open, and the workflow knows it as %s: %d new message was left out and acknowledged", last, f.counts.Recognized.Load())
	}
}

// A session whose connection broke is sent what waited for it, all of it marked. Nobody has had it, and devices say the
// same again and again.
func TestWhatWaitedIsTakenAlthoughItIsMarked(t *testing.T) {
	for name, id := range map[string]func(int) int{
		"all equal":     func(int) int { return 20 },
		"some equal":    func(i int) int { return i % 40 },
		"one is a pair": func(i int) int { return i % 99 },
	} {
		f := newForgetful(t, newBench(DefaultConfig(), testModel{}))
		for i := range 100 {
			f.send(reading(id(i)), true)
		}
		if n := f.counts.Recognized.Load(); n != 0 {
			t.Errorf("%s: %d of 100 new messages are left out", name, n)
		}
	}
}
