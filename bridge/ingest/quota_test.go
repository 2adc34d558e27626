package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

func quotaConfig(rate, burst, waiting int) Config {
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.QuotaBurst, cfg.QuotaWaiting = rate, burst, waiting
	return cfg
}

func (b *bench) acceptAll() {
	for !b.idle() {
		b.accept(b.out.signals[len(b.out.signals)-b.inFlight].device)
	}
}

func TestWhatIsBeyondTheRateBecomesDeadLetters(t *testing.T) {
	b := newBench(quotaConfig(10, 100, 0), testModel{})
	seq := 0
	send := func(device, payload string) {
		seq++
		b.deliver("devices/"+device+"/telemetry", fmt.Sprintf(payload, seq), "", false)
		b.acceptAll()
	}
	for range 110 {
		send("loud", `{"seq":%d,"hot":1}`)
	}
	if n := len(b.out.letters); n != 10 || b.out.letters[0].Reason != ReasonQuota || len(b.out.signals) != 101 || b.out.signals[100].ids() != device.MessageFault {
		t.Fatalf("%d dead letters, %d signals", n, len(b.out.signals))
	}
	if n := len(b.out.points); n != 110 {
		t.Errorf("%d points of 110 messages", n)
	}
	b.hot("quiet", 1)
	b.acceptAll()
	if n := len(b.out.signals); n != 102 {
		t.Error("another device pays for it")
	}
	b.advance(time.Second)
	b.attend(b.now)
	for range 12 {
		send("loud", `{"seq":%d,"hot":1}`)
	}
	if n, m := len(b.out.letters), len(b.out.signals); n != 12 || m != 112 {
		t.Errorf("a second later: %d dead letters, %d signals", n, m)
	}
	if got := b.out.signals[102].ids(); !strings.HasPrefix(got, "sequence.gap") || b.out.signals[102].batch.Messages[0].Data["missing"] != 10.0 {
		t.Errorf("the model does not learn what was left out: %s", got)
	}
	for range 1000 { // what does not matter to the model costs nothing
		send("loud", `{"seq":%d,"cold":1}`)
	}
	if n := len(b.out.letters); n != 12 {
		t.Errorf("%d dead letters of messages that are not signalled", n-12)
	}
	if n := b.counts.DeadLetters[ReasonQuota].Load(); n != 12 {
		t.Errorf("counted %d", n)
	}
}

func TestArraysAreTakenWholeOrNotAtAll(t *testing.T) {
	b := newBench(quotaConfig(10, 100, 0), testModel{})
	array := func(n int) {
		b.deliver("devices/d/telemetry", "["+strings.Repeat(`{"hot":1},`, n-1)+`{"hot":1}]`, "", false)
		b.acceptAll()
	}
	array(60)
	array(60)
	array(40)
	if n := len(b.out.letters); n != 1 || len(b.out.points) != 160 {
		t.Errorf("%d dead letters, %d points", n, len(b.out.points))
	}
	b.advance(time.Minute)
	array(500) // more than any burst, for a full bucket
	array(1)
	if n := len(b.out.letters); n != 2 {
		t.Errorf("%d dead letters", n)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	b := newBench(quotaConfig(0, 0, 5), testModel{})
	for id := 1; id <= 8; id++ {
		b.hot("d", id)
	}
	if n := len(b.out.letters); n != 3 {
		t.Errorf("%d dead letters", n)
	}
	b.acceptAll()
	b.hot("d", 9)
	b.acceptAll()
	if got := b.acks(); got != "1 2 3 4 5 6 7 8 9" || len(b.out.letters) != 3 {
		t.Errorf("acknowledged %s, %d dead letters", got, len(b.out.letters))
	}
}

// A device that keeps to its quota loses nothing, however long nothing could
// come in; one that does not is held to it.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := float64(rapid.IntRange(1, 200).Draw(t, "rate"))
		size := float64(rapid.IntRange(1, 500).Draw(t, "burst"))
		loud := rapid.Float64Range(0.1, 5).Draw(t, "loud") // times the rate
		var good, all bucket
		var absent time.Duration
		now, taken := epoch, 0.0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			lasting := time.Duration(rapid.IntRange(0, 100_000).Draw(t, "ms")) * time.Millisecond
			if rapid.Bool().Draw(t, "absent") {
				absent += lasting
				now = now.Add(lasting)
				for range int(lasting.Seconds() * rate) { // all at once
					if !good.take(1, rate, size, now, absent) {
						t.Fatalf("refused what was published in %v of absence", lasting)
					}
				}
				continue
			}
			for end := now.Add(lasting); now.Before(end); {
				now = now.Add(time.Duration(float64(time.Second)/rate) + 1)
				if !good.take(1, rate, size, now, absent) {
					t.Fatal("refused what keeps to the rate")
				}
				for range int(loud) + 1 {
					if all.take(1, rate, size, now, absent) {
						taken++
					}
				}
			}
		}
		if most := size + rate*now.Sub(epoch).Seconds() + 1; taken > most {
			t.Fatalf("%v messages taken, at most %v", taken, most)
		}
	})
}

func TestWhatTheBrokerKeptIsNotBeyondTheQuota(t *testing.T) {
	cfg := quotaConfig(10, 100, 0)
	cfg.QuotaCatchUp = time.Minute
	flood := func(b *bench, n int) int {
		before := len(b.out.letters)
		for id := range n {
			b.hot("d", id)
			b.acks()
			if b.full(b.w) {
				b.acceptAll()
			}
		}
		b.acceptAll()
		return len(b.out.letters) - before
	}
	b := newBench(cfg, testModel{})
	if n := flood(b, 200); n != 100 {
		t.Errorf("a new session: %d refused", n)
	}
	b.close(b.w, b.now)
	b.w = nil
	b.attend(b.now)
	b.advance(30 * time.Second) // without a connection
	b.reconnect()
	if n := flood(b, 400); n != 100 {
		t.Errorf("after half a minute without a connection: %d refused", n)
	}
	b = newBench(cfg, testModel{})
	b.w.stream.heard = false // a new process
	b.connected(b.w, true, b.now)
	if n := flood(b, 800); n != 100 {
		t.Errorf("a session that was kept: %d refused", n)
	}
}
