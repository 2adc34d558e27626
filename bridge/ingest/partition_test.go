package ingest

import (
	"fmt"
	"strings"
	"testing"

	"devicetwin/device"
)

func TestPartitionsShareTheDevices(t *testing.T) {
	const devices, of = 3000, 3
	var benches []*bench
	for i := range of {
		cfg := DefaultConfig()
		cfg.Partition = Partition{i + 1, of}
		benches = append(benches, newBench(cfg, testModel{}))
	}
	for i, b := range benches {
		for d := range devices {
			b.hot(fmt.Sprint("d", d), d)
			b.acks()
			for !b.idle() {
				b.accept(b.out.signals[len(b.out.signals)-1].device)
			}
		}
		b.deliver("devices/no.dots/status", `{}`, "", false)
		b.deliver("nonsense", `{}`, "", false)
		if n := len(strings.Fields(b.acks())); n != devices {
			t.Errorf("partition %d: %d acknowledged", i+1, n)
		}
		n, points, foreign := len(b.out.signals), len(b.out.points), int(b.counts.Foreign.Load())
		if n < devices/of*9/10 || n > devices/of*11/10 || points != n || n+foreign+len(b.out.letters) != devices+2 {
			t.Errorf("partition %d: %d devices, %d points, %d of others", i+1, n, points, foreign)
		}
	}
	seen := map[string]int{}
	letters := 0
	for _, b := range benches {
		letters += len(b.out.letters)
		for _, s := range b.out.signals {
			seen[s.device]++
		}
	}
	if len(seen) != devices || letters != 2 {
		t.Errorf("%d devices, %d dead letters", len(seen), letters)
	}
	for device, n := range seen {
		if n != 1 {
			t.Errorf("%s belongs to %d partitions", device, n)
		}
	}
}

func TestPartitionText(t *testing.T) {
	for text, want := range map[string]Partition{"": {}, "1/1": {1, 1}, "2/3": {2, 3}} {
		if p, err := ParsePartition(text); err != nil || p != want || p.String() != text {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"1", "0/3", "4/3", "1/0", "-1/3", "1/3x", " 1/3", "1/1001", "a/b"} {
		if _, err := ParsePartition(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	// Bridges of different releases must agree on who has which device.
	for device, index := range map[string]int{"a": 2, "pump-1": 2, "plant-7:pump-000042": 1} {
		for i := 1; i <= 3; i++ {
			if owns := (Partition{i, 3}).Owns(device); owns != (i == index) {
				t.Errorf("%s in partition %d/3: %v", device, i, owns)
			}
		}
	}
}

func TestNaiveBridgeSignalsEachMessage(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Naive = true
	b := newBench(cfg, testModel{})
	b.deliver("devices/d/telemetry", `[{"id":1},{"id":2},{"hot":1,"id":3}]`, "1", false)
	b.deliver("devices/e/telemetry", `{"id":4}`, "2", false)
	var got []string
	for i := 0; !b.idle(); i++ {
		got = append(got, b.out.signals[i].ids())
		b.accept(b.out.signals[i].device)
	}
	if s := strings.Join(got, " | "); s != "1 | 4 | 2 | 3" || b.acks() != "1 2" && b.acks() != "2 1" {
		t.Errorf("signalled %s, acknowledged %s", s, b.acks())
	}
	if b.pacer.inFlight() != cfg.SignalsInFlight || b.pacer.lingerMax != 0 {
		t.Errorf("limit %d, linger up to %v", b.pacer.inFlight(), b.pacer.lingerMax)
	}
}

// While a bridge of several had no session, its devices may have been another one's, which may
// have left messages out: what is repeated of them is not late. A bridge that has all devices
// knows better.
func TestAShareMayHaveBeenAnotherOnes(t *testing.T) {
	model := modelOf(t, tank)
	for of, want := range map[int]string{0: "30", 1: "30", 2: device.MessageFault} {
		p := openProcess(t, t.TempDir(), func(c *Config) {
			if of > 0 {
				c.Partition = Partition{of, of}
			}
		}, model)
		name := ""
		for i := 0; name == "" || !p.cfg.Partition.Owns(name); i++ {
			name = fmt.Sprint("d", i)
		}
		if got := p.say(name, `"seq":17,"t":95`, "run"); got != "95" {
			t.Fatalf("%q is delivered", got)
		}
		p.close(p.w, p.now)
		p.w = newLane(nil)
		p.open(p.w, "test")
		p.connected(p.w, false, p.now)
		if got := p.say(name, `"seq":27,"t":20`, "run"); !strings.HasSuffix(got, "20") {
			t.Errorf("of %d: %q is delivered after the session was lost", of, got)
		}
		if got := p.say(name, `"seq":24,"t":30`, "run"); got != want {
			t.Errorf("of %d: %q is delivered of what may have been another one's, want %q", of, got, want)
		}
	}
}
