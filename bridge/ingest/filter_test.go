package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// tank has a threshold with hysteresis.
const tank = `
model: tank
liveness: {silent_after: 10m, tolerance: 5m}
events:
  reading: {channel: telemetry, when: "has(msg.t)"}
initial: cool
states:
  cool: {on: {reading: {guard: "event.t > 90", target: hot}}}
  hot:  {on: {reading: {guard: "event.t < 80", target: cool}}}
`

func modelOf(t testing.TB, text string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// readings delivers numbered readings of device d and returns those that were
// signalled, by their temperatures.
type readings struct {
	*bench
	seq  int
	told int
}

func newReadings(t *testing.T, change func(*Config)) *readings { return newReadingsBy(t, nil, change) }

// newReadingsBy is newReadings with the filters that were subscribed to.
func newReadingsBy(t *testing.T, filters []string, change func(*Config)) *readings {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	dialect, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return &readings{bench: newBenchOf(cfg, dialect.WholeDevices(filters), wire.DefaultConfig(), modelOf(t, tank))}
}

func (r *readings) send(temperatures ...int) string {
	for _, c := range temperatures {
		r.seq++
		r.deliver("devices/d/telemetry", fmt.Sprintf(`{"epoch":1,"seq":%d,"t":%d}`, r.seq, c), "", false)
	}
	r.acceptAll()
	return r.signalled()
}

func (r *readings) signalled() string {
	var got []string
	for _, s := range r.out.signals[r.told:] {
		for _, m := range s.batch.Messages {
			if m.Name != "" {
				got = append(got, m.Name)
			} else {
				got = append(got, fmt.Sprint(m.Data["t"]))
			}
		}
	}
	r.told = len(r.out.signals)
	return strings.Join(got, " ")
}

func (r *readings) want(t *testing.T, what, want string, temperatures ...int) {
	t.Helper()
	if got := r.send(temperatures...); got != want {
		t.Errorf("%s: signalled %q, want %q", what, got, want)
	}
}

func TestOnlyCrossingsAreSignalled(t *testing.T) {
	r := newReadings(t, nil)
	r.want(t, "a crossing and back", "95 75 96", 95, 99, 97, 75, 70, 60, 96)
	r.want(t, "between the thresholds nothing can happen", "", 85, 85)
	r.want(t, "still hot", "", 98)
	if n := len(r.out.points); n != 10 || r.counts.Relevant.Load() != 3 {
		t.Errorf("%d points of 10 readings, %d relevant", n, r.counts.Relevant.Load())
	}
}

func TestWhatTheWorkflowMayNotKnowIsSignalledAgain(t *testing.T) {
	t.Run("a new connection", func(t *testing.T) {
		r := newReadings(t, nil)
		r.want(t, "first", "95", 95, 96)
		r.reconnect()
		r.want(t, "after it", "97", 97, 98)
	})
	t.Run("a batch permanently refused", func(t *testing.T) {
		r := newReadings(t, nil)
		r.seq++
		r.deliver("devices/d/telemetry", `{"epoch":1,"seq":1,"t":95}`, "", false)
		r.fail("d", errPermanent)
		r.told = len(r.out.signals)
		r.want(t, "the same class", "96", 96, 97)
	})
	t.Run("a message beyond the quota", func(t *testing.T) {
		r := newReadings(t, func(c *Config) { c.QuotaRate, c.QuotaBurst = 1, 2 })
		r.want(t, "within", "95 75", 95, 75)
		r.want(t, "beyond", device.MessageFault, 96)
		r.advance(5 * time.Second)
		r.attend(r.now)
		r.want(t, "the class of the one that was refused", "97", 97, 98)
	})
	t.Run("a message not signalled, and back to what was", func(t *testing.T) {
		r := newReadings(t, func(c *Config) { c.QuotaRate, c.QuotaBurst = 1, 1 })
		r.want(t, "within", "95", 95)
		r.want(t, "beyond", device.MessageFault, 75)
		r.advance(5 * time.Second)
		r.attend(r.now)
		r.want(t, "a gap was before it", "96", 96, 97)
	})
	t.Run("a device forgotten", func(t *testing.T) {
		r := newReadings(t, func(c *Config) { c.MaxDevices = 1 })
		r.want(t, "first", "95", 95, 96)
		r.deliver("devices/e/telemetry", `{"t":20}`, "", false)
		r.acceptAll()
		r.told = len(r.out.signals)
		r.want(t, "again", "97", 97)
	})
	t.Run("time", func(t *testing.T) {
		r := newReadings(t, func(c *Config) { c.SettledFor = 3 * time.Minute })
		r.want(t, "first", "95", 95, 96)
		r.advance(2 * time.Minute)
		r.want(t, "too early", "", 96)
		r.advance(time.Minute)
		r.want(t, "in time", "97", 97, 98)
	})
}

func TestRepetitionsAreSignalledWhereTheyMustBe(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"switched off": func(c *Config) { c.SettledFor = 0 },
		"naive":        func(c *Config) { c.Naive = true },
	} {
		r := newReadings(t, change)
		r.want(t, name, "95 96 97", 95, 96, 97)
	}
	for name, filters := range map[string][]string{
		"a shared subscription": {"$share/g/devices/#"},
		"some topics":           {"devices/+/telemetry", "devices/+/status"},
	} {
		r := newReadingsBy(t, filters, nil)
		r.want(t, name, "95 96 97", 95, 96, 97)
	}
	for _, filters := range [][]string{{"devices/#"}, {"devices/+/#"}, {"devices/d/#", "devices/e/#"}} {
		r := newReadingsBy(t, filters, nil)
		r.want(t, fmt.Sprint(filters), "95", 95, 96, 97)
	}
}

func TestRepetitionsRenewLiveness(t *testing.T) {
	r := newReadings(t, nil)
	r.want(t, "first", "95", 95, 96)
	for range 3 {
		r.advance(5 * time.Minute)
		r.want(t, "after the tolerance", device.MessageSeen, 96)
	}
}

func TestStuckDeviceForgetsItsClass(t *testing.T) {
	r := &readings{bench: newBench(stuckConfig(), modelOf(t, tank))}
	r.deliver("devices/good/telemetry", `{"t":95}`, "", false)
	r.accept("good")
	r.deliver("devices/d/telemetry", `{"epoch":1,"seq":1,"t":95}`, "", false)
	for !r.full(r.w) {
		r.deliver("devices/good/telemetry", `{"t":85}`, "", false)
	}
	for r.fail("d", errDown); r.quarantined == 0; {
		if device := r.attempt(t); device == "d" {
			r.fail(device, errDown)
		} else {
			r.accept(device)
		}
	}
	for r.quarantined > 0 {
		r.accept(r.attempt(t))
	}
	r.acks()
	r.told, r.seq = len(r.out.signals), 1
	r.want(t, "what became a dead letter is not known", "96", 96, 97)
}

// A copy of a message that an earlier process may have left out comes after the
// first one that this process has seen of the device.
func TestWhatMayHaveBeenLeftOutBeforeIsNotSignalledLate(t *testing.T) {
	copyOf := func(r *readings, seq, temperature int) string {
		next := r.seq
		r.seq = seq - 1
		defer func() { r.seq = next }()
		return r.send(temperature)
	}
	r := newReadings(t, nil)
	r.seq = 29
	r.want(t, "the first one seen", "75", 75)
	if got := copyOf(r, 29, 95); got != device.MessageFault {
		t.Errorf("signalled late: %q", got)
	}
	if n := r.counts.TooLate.Load(); n != 1 || len(r.out.points) != 2 {
		t.Errorf("%d are counted, and %d points; want 1 and 2", n, len(r.out.points))
	}
	if r.want(t, "after it everything is new", "96", 96, 97); r.out.signals[len(r.out.signals)-1].batch.Messages[0].LeftOut == nil {
		t.Error("the workflow is not told of the copy")
	}
	if got := copyOf(r, 31, 96); got != "96" {
		t.Errorf("a copy of what this process has seen is the workflow's business: signalled %q", got)
	}

	for i, temperature := range []int{93, 20} {
		r.deliver("devices/d/telemetry", fmt.Sprintf(`{"epoch":0,"seq":%d,"t":%d}`, i+1, temperature), "", false)
		r.acceptAll()
		if got := r.signalled(); got != fmt.Sprint(temperature) {
			t.Errorf("a device that counts in a lower epoch: signalled %q, want %d", got, temperature)
		}
	}

	r = newReadings(t, func(c *Config) { c.SettledFor = 0 })
	r.seq = 29
	r.want(t, "no filter", "75", 75)
	if got := copyOf(r, 29, 95); got != "95" {
		t.Errorf("nothing is ever left out, and a late message is not signalled: %q", got)
	}

	counts := strings.Replace(tank, "initial: cool", "on: {reading: {guard: \"event.t == 42\", actions: [{log: \"'x'\"}]}}\ninitial: cool", 1)
	r = &readings{bench: newBench(DefaultConfig(), modelOf(t, counts)), seq: 29}
	r.want(t, "the first one seen", "75", 75)
	if got := copyOf(r, 29, 42); got != "42" {
		t.Errorf("a message that is never left out came late: signalled %q", got)
	}
}

// A message that was left out may be delivered again after a crash, when what
// was signalled behind it has been applied: the workflow must know of it.
func TestWhatWasLeftOutIsTold(t *testing.T) {
	told := func(r *readings) string {
		var got []string
		for _, s := range r.out.signals {
			for _, m := range s.batch.Messages {
				if m.LeftOut != nil {
					got = append(got, fmt.Sprint(m.Data["t"], m.LeftOut.Spans, m.LeftOut.Digests))
				}
			}
		}
		r.out.signals, r.told = nil, 0
		return strings.Join(got, "; ")
	}
	r := newReadings(t, nil)
	r.send(20, 95, 96, 85, 97, 75, 70)
	if got := told(r); got != "75 [{1 3 5}] []" {
		t.Errorf("numbered: %q", got)
	}
	r.seq = 4 // the copy of one that was left out
	r.send(97)
	r.seq = 7
	if got := told(r); got != "97 [{1 7 7}] []" {
		t.Errorf("a copy: %q", got)
	}
	r.send(60, 61)
	r.seq += 2
	r.send(50, 49, 95)
	if got := told(r); got != "50 [{1 9 9}] []; 95 [{1 13 13}] []" {
		t.Errorf("over a gap, which forgets the class: %q", got)
	}

	r = newReadings(t, nil)
	for i := range keptDigests + 10 {
		r.deliver("devices/d/telemetry", fmt.Sprintf(`{"t":%d}`, 95+i), "", false)
	}
	r.deliver("devices/d/telemetry", `{"t":20}`, "", false)
	r.acceptAll()
	last := r.out.signals[len(r.out.signals)-1].batch.Messages[0]
	if l := last.LeftOut; l == nil || len(l.Spans) != 0 || len(l.Digests) != keptDigests {
		t.Fatalf("unnumbered: %+v", last.LeftOut)
	}
	received, err := r.dialect.Decode("devices/d/telemetry", fmt.Appendf(nil, `{"t":%d}`, 95+keptDigests+9), false, epoch)
	if err == nil {
		received[0].Complete()
	}
	if err != nil || last.LeftOut.Digests[keptDigests-1] != received[0].Message.Digest {
		t.Errorf("the last digest is %s", last.LeftOut.Digests[keptDigests-1])
	}

	r = newReadings(t, nil)
	for i := range 3 { // the clock of the device runs back before the last
		sent := epoch.Add([]time.Duration{0, 2 * time.Minute, time.Minute}[i])
		r.deliver("devices/d/telemetry", fmt.Sprintf(`{"seq":%d,"ts":%d,"t":95}`, i+1, sent.UnixMilli()), "", false)
	}
	r.deliver("devices/d/telemetry", `{"seq":4,"t":20}`, "", false)
	r.acceptAll()
	last = r.out.signals[len(r.out.signals)-1].batch.Messages[0]
	if l := last.LeftOut; l == nil || !l.Sent.Equal(epoch.Add(2*time.Minute)) {
		t.Errorf("latest time of what was left out: %+v", last.LeftOut)
	}

	r = newReadings(t, nil)
	for i := range 10 { // numbering restarts each time, in the middle of a class
		r.deliver("devices/d/telemetry", fmt.Sprintf(`[{"epoch":%d,"seq":1,"t":95},{"epoch":%[1]d,"seq":2,"t":95}]`, i+1), "", false)
	}
	r.acceptAll()
	for _, s := range r.out.signals {
		for _, m := range s.batch.Messages {
			if m.LeftOut != nil && len(m.LeftOut.Spans) != 1 {
				t.Errorf("epoch %d: %+v", m.Epoch, m.LeftOut)
			}
		}
	}
}
