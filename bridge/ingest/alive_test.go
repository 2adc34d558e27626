package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// renewals are the devices whose leases were renewed, with whether that starts a
// workflow.
func (b *bench) renewed() string {
	var list []string
	for _, s := range b.out.signals {
		what := s.device + " " + s.ids()
		if s.existing {
			what += " if it is there"
		}
		list = append(list, what)
	}
	b.out.signals = nil
	return strings.Join(list, ", ")
}

// Whatever arrives of a device is a sign of life, whether it can be used or not.
// It starts no workflow.
func TestARefusedMessageIsASignOfLife(t *testing.T) {
	for name, test := range map[string]struct {
		topic, payload, want string
	}{
		"unreadable":                {"devices/d/telemetry", `{"temperature": NaN}`, "d device.seen if it is there"},
		"too large":                 {"devices/d/telemetry", `{"a":"` + strings.Repeat("x", 200<<10) + `"}`, "d device.seen if it is there"},
		"bad reserved key":          {"devices/d/events/door", `{"seq":"one"}`, "d device.seen if it is there"},
		"reserved event":            {"devices/d/events/device.silent", `{}`, "d device.seen if it is there"},
		"unreadable birth":          {"devices/d/status", `boot`, "d device.seen if it is there"},
		"unreadable last will":      {"devices/d/status", `OFFLINE`, ""},
		"a topic of nobody":         {"devices/d/telemetri", `{}`, ""},
		"no device":                 {"devices/not an id/telemetry", `{`, ""},
		"of another partition":      {"devices/other/telemetry", `{`, ""},
		"an irrelevant, to compare": {"devices/d/telemetry", `{}`, "d device.seen"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Partition = Partition{Index: 1, Of: 2}
			if !cfg.Partition.Owns("d") {
				cfg.Partition.Index = 2
			}
			foreign := "a"
			for cfg.Partition.Owns(foreign) {
				foreign += "a"
			}
			test.topic = strings.Replace(test.topic, "other", foreign, 1)
			topics := wire.DefaultConfig()
			b := newBenchOf(cfg, true, topics, testModel{silentAfter: time.Minute, tolerance: 10 * time.Second})
			b.deliver(test.topic, test.payload, "first", false)
			// Reports of faults renew nothing: see fault_test.go.
			if got := strings.NewReplacer(" device.seen device.fault", " device.seen", "d device.fault if it is there", "").Replace(b.renewed()); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			b.acceptAllOf("d")
			if got := b.acks(); got != "first" || !b.idle() {
				t.Errorf("acknowledged %q", got)
			}
		})
	}
}

func (b *bench) acceptAllOf(name string) {
	for b.inFlight > 0 {
		b.accept(name)
	}
}

// A device that publishes only what cannot be read is up all the time, and costs
// one signal in a tolerance.
func TestNaNsAreNotSilence(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{silentAfter: 5 * time.Minute, tolerance: 30 * time.Second})
	var last time.Time
	renewals := 0
	for range 30 * 20 { // twenty minutes
		b.deliver("devices/d/telemetry", `{"temperature": NaN}`, "", false)
		for _, s := range b.out.signals {
			if s.ids() == device.MessageFault { // which renews nothing
				continue
			}
			at := s.batch.Messages[0].Time
			if !last.IsZero() && (at.Sub(last) < 30*time.Second || at.Sub(last) > 32*time.Second) {
				t.Errorf("renewed after %v", at.Sub(last))
			}
			last = at
			renewals++
		}
		b.out.signals = nil
		b.acceptAllOf("d")
		b.advance(2 * time.Second)
	}
	if renewals < 37 || renewals > 40 || b.silent(b.now) != 0 {
		t.Errorf("%d renewals in twenty minutes, %d devices silent", renewals, b.silent(b.now))
	}
}

// A device that nobody has a workflow for is asked for once in a tolerance, and its
// first message that can be read starts it.
func TestRefusedMessagesStartNoWorkflow(t *testing.T) {
	for _, startOnAny := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.StartOnAny = startOnAny
		b := newBench(cfg, testModel{silentAfter: 5 * time.Minute, tolerance: 30 * time.Second})
		tries := 0
		for range 60 {
			b.deliver("devices/d/telemetry", `{"temperature": NaN}`, "", false)
			for _, s := range b.out.signals {
				if s.ids() != device.MessageFault {
					tries++
				}
				if !s.existing {
					t.Fatalf("%s starts a workflow", s.ids())
				}
				b.fail("d", device.ErrNoTwin)
			}
			b.out.signals = nil
			b.now = b.now.Add(time.Second)
		}
		if tries != 2 || len(b.out.letters) != 60 {
			t.Errorf("%d tries in a minute, %d dead letters", tries, len(b.out.letters))
		}
		b.deliver("devices/d/telemetry", `{}`, "", false)
		if got := b.renewed(); got != "d device.seen device.fault" {
			t.Errorf("a message that can be read: %q", got)
		}
	}
}

// What is beyond the quota is a sign of life too, and so is a reported shadow that
// is refused for it; a request of an application is not.
func TestMessagesBeyondTheQuotaAreSignsOfLife(t *testing.T) {
	cfg := quotaConfig(1, 1, 0)
	b := newBench(cfg, testModel{silentAfter: time.Hour, tolerance: 10 * time.Second})
	b.hot("d", 1)
	b.acceptAllOf("d")
	b.renewed()
	b.bucketOf("d").tokens = -1000
	for i, test := range []struct {
		topic, payload, want string
	}{
		{"devices/d/telemetry", `{"hot":1}`, "d device.seen device.fault if it is there"},
		{"devices/d/telemetry", `{"hot":1}`, ""}, // within the tolerance
		{"devices/d/status", `{"status":"offline"}`, ""},
		{"devices/d/twin/get", ``, ""},
		{"devices/d/twin/update", `{"state":{"desired":{"a":1}}}`, ""},
		{"devices/d/twin/update", `{"state":{"reported":{"a":1}}}`, "d device.seen if it is there"},
	} {
		if test.want != "" || i > 1 {
			b.now = b.now.Add(11 * time.Second)
		}
		b.bucketOf("d").tokens, b.bucketOf("d").at = -1000, b.now.UnixNano()
		b.deliver(test.topic, test.payload, fmt.Sprint(i), false)
		if got := b.renewed(); got != test.want {
			t.Errorf("%s %s: %q, want %q", test.topic, test.payload, got, test.want)
		}
		b.acceptAllOf("d")
	}
	if got := b.acks(); got != "1 0 1 2 3 4 5" || len(b.out.letters)+len(b.out.answers) != 6 {
		t.Errorf("acknowledged %s, %d dead letters, %d rejections", got, len(b.out.letters), len(b.out.answers))
	}
}

func (b *bench) bucketOf(name string) *bucket { return &b.devices.byID[device.ID(name)].bucket }

// A device that the broker's last will has as offline talks: the first message heals
// that, whether it can be read or not, and with a model that watches for silence or not.
func TestARefusedMessageEndsALateLastWill(t *testing.T) {
	for _, model := range []testModel{{}, {silentAfter: time.Hour, tolerance: time.Minute}} {
		b := newBench(DefaultConfig(), model)
		b.deliver("devices/d/status", `{"status":"boot"}`, "", false)
		b.acceptAllOf("d")
		b.deliver("devices/d/status", `{"status":"Offline"}`, "", false)
		b.acceptAllOf("d")
		b.renewed()
		b.now = b.now.Add(time.Second)
		for i, want := range []int{1, 0} {
			b.deliver("devices/d/telemetry", `{"temperature": NaN}`, "", false)
			b.acceptAllOf("d")
			if got := strings.Count(b.renewed(), device.MessageSeen); got != want {
				t.Errorf("silent after %v, message %d after the last will: renewed %d times, want %d", model.silentAfter, i+1, got, want)
			}
		}
	}
}
