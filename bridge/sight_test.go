package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/devicefsm"
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

func newReadings(t *testing.T, change func(*Config)) *readings {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	return &readings{bench: newBench(cfg, modelOf(t, tank))}
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
	if n := len(r.out.points); n != 10 || r.counts.relevant.Load() != 3 {
		t.Errorf("%d points of 10 readings, %d relevant", n, r.counts.relevant.Load())
	}
}

func TestWhatTheWorkflowMayNotKnowIsSignalledAgain(t *testing.T) {
	t.Run("a new connection", func(t *testing.T) {
		r := newReadings(t, nil)
		r.want(t, "first", "95", 95, 96)
		r.reconnect()
		r.want(t, "after it", "97", 97, 98)
	})
	t.Run("a batch refused for good", func(t *testing.T) {
		r := newReadings(t, nil)
		r.seq++
		r.deliver("devices/d/telemetry", `{"epoch":1,"seq":1,"t":95}`, "", false)
		r.fail("d", permanentError{})
		r.told = len(r.out.signals)
		r.want(t, "the same class", "96", 96, 97)
	})
	t.Run("a message beyond the quota", func(t *testing.T) {
		r := newReadings(t, func(c *Config) { c.QuotaRate, c.QuotaBurst = 1, 2 })
		r.want(t, "within", "95 75", 95, 75)
		r.want(t, "beyond", "", 96)
		r.advance(5 * time.Second)
		r.attend(r.now)
		r.want(t, "the class of the one that was refused", "97", 97, 98)
	})
	t.Run("a message not signalled, and back to what was", func(t *testing.T) {
		r := newReadings(t, func(c *Config) { c.QuotaRate, c.QuotaBurst = 1, 1 })
		r.want(t, "within", "95", 95)
		r.want(t, "beyond", "", 75)
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
		"switched off":          func(c *Config) { c.SettledFor = 0 },
		"naive":                 func(c *Config) { c.Naive = true },
		"a shared subscription": func(c *Config) { c.Subscribe = []string{"$share/g/devices/#"} },
		"some topics":           func(c *Config) { c.Subscribe = []string{"devices/+/telemetry", "devices/+/status"} },
	} {
		r := newReadings(t, change)
		r.want(t, name, "95 96 97", 95, 96, 97)
	}
	for _, filters := range [][]string{{"devices/#"}, {"devices/+/#"}, {"devices/d/#", "devices/e/#"}} {
		r := newReadings(t, func(c *Config) { c.Subscribe = filters })
		r.want(t, fmt.Sprint(filters), "95", 95, 96, 97)
	}
}

func TestRepetitionsRenewLiveness(t *testing.T) {
	r := newReadings(t, nil)
	r.want(t, "first", "95", 95, 96)
	for range 3 {
		r.advance(5 * time.Minute)
		r.want(t, "after the tolerance", devicefsm.MessageSeen, 96)
	}
}

func TestStuckDeviceForgetsItsClass(t *testing.T) {
	r := &readings{bench: newBench(stuckConfig(), modelOf(t, tank))}
	r.deliver("devices/good/telemetry", `{"t":95}`, "", false)
	r.accept("good")
	r.deliver("devices/d/telemetry", `{"epoch":1,"seq":1,"t":95}`, "", false)
	for !r.full() {
		r.deliver("devices/good/telemetry", `{"t":85}`, "", false)
	}
	for r.fail("d", errDown); r.stuck == 0; {
		if device := r.attempt(t); device == "d" {
			r.fail(device, errDown)
		} else {
			r.accept(device)
		}
	}
	for r.stuck > 0 {
		r.accept(r.attempt(t))
	}
	r.acks()
	r.told, r.seq = len(r.out.signals), 1
	r.want(t, "what became a dead letter is not known", "96", 96, 97)
}
