package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"devicetwin/device"
	"devicetwin/dialects"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// lessons is a dialect that learns.
type lessons struct {
	*wire.Standard
	filters []string
	decoded []string
}

func (l *lessons) Lessons() []string { return l.filters }

func (l *lessons) Decode(topic string, _ []byte, _ bool, _ time.Time) ([]wire.Received, error) {
	l.decoded = append(l.decoded, topic)
	return nil, wire.ErrNotInput
}

// What a dialect learns from is read before the session is opened, however the broker is.
func TestLearnFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		filters []string
		broker  *retainer
		decoded string
		logged  string
		within  time.Duration
	}{
		"retained":            {filters: []string{"l/1", "l/2"}, broker: &retainer{}, decoded: "l/1 l/2", within: learnQuiet},
		"retained, read late": {filters: []string{"l/1", "l/2"}, broker: &retainer{lags: learnQuiet / 2}, decoded: "l/1 l/2", within: 2 * learnQuiet},
		"nothing retained":    {filters: []string{"l/3"}, broker: &retainer{}, within: learnQuiet},
		"nothing to learn":    {broker: &retainer{}},
		"a broker that refuses": {filters: []string{"l/1"}, broker: &retainer{refuses: packets.ErrorRefusedNotAuthorised}, within: time.Minute,
			logged: "cannot read the retained messages that dialects learn from"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.broker.set("l/1", "x")
				tc.broker.set("l/2", "x")
				b, logs := claimant(t, tc.broker.Dial)
				l := &lessons{Standard: b.dialect.(*wire.Standard), filters: tc.filters}
				b.dialect = l
				began := time.Now()
				err := b.learnFirst(t.Context())
				slices.Sort(l.decoded)
				if got := strings.Join(l.decoded, " "); got != tc.decoded || err != nil || time.Since(began) > tc.within {
					t.Errorf("decoded %s, %v, after %v", got, err, time.Since(began))
				}
				if tc.logged != "" && logs.count(tc.logged) != 1 {
					t.Errorf("logged %q", logs.lines)
				}
			})
		})
	}
}

// A broker that is down is waited for.
func TestLearnWaitsForTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &retainer{}
		broker.set("l/1", "x")
		broker.fail(errors.New("connection refused"), nil)
		b, logs := claimant(t, broker.Dial)
		l := &lessons{Standard: b.dialect.(*wire.Standard), filters: []string{"l/1"}}
		b.dialect = l
		done := make(chan error, 1)
		go func() { done <- b.learnFirst(t.Context()) }()
		time.Sleep(time.Hour)
		if len(l.decoded) > 0 || len(done) > 0 {
			t.Error("it goes on without the broker")
		}
		if n := logs.count("cannot read the retained messages yet"); n != 1 || len(logs.lines) != 1 {
			t.Errorf("logged %q", logs.lines)
		}
		broker.fail(nil, nil)
		if err := <-done; err != nil || len(l.decoded) != 1 {
			t.Errorf("decoded %q, %v", l.decoded, err)
		}
	})
}

// On a real broker: a bridge learns from retained discovery messages, and after a restart it reads those first, so that
// what was queued for it meanwhile is of the same device.
func TestMosquittoDiscovery(t *testing.T) {
	broker := startMosquitto(t)
	p := startPublisher(t, broker.mqtt("announced"))
	publish := func(retained bool, topic, payload string) {
		t.Helper()
		if err := p.Publish(t.Context(), topic, 1, retained, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		publish(true, fmt.Sprintf("homeassistant/sensor/other-%d/config", i), fmt.Sprintf(`{"stat_t":"home/other/%d","dev":{"ids":"other-%d"}}`, i, i))
	}
	publish(true, "homeassistant/sensor/meter/power/config", `{"stat_t":"home/meter","val_tpl":"{{ value_json.w }}","dev":{"ids":["meter 1"]}}`)
	publish(true, "homeassistant/switch/meter/relay/config", `{"stat_t":"home/relay","cmd_t":"home/relay/set","dev":{"ids":["meter 1"]}}`)
	publish(true, "home/relay", "ON")
	publish(true, "home/meter", `{"w":1}`)

	cfg := DefaultConfig()
	cfg.ID, cfg.MQTT = "discovery", broker.mqtt("")
	readings, sink := &readingList{}, &reports{}
	start := func() (*Bridge, func()) {
		d, err := dialects.Load("home-assistant")
		if err != nil {
			t.Fatal(err)
		}
		set, err := dialect.NewSet(cfg.Reading(), d)
		if err != nil {
			t.Fatal(err)
		}
		return startBridge(t, cfg, Deps{Model: testModel{}, Sink: sink, Dialect: set, Points: readings})
	}
	b, stop := start()
	eventually(t, "it is connected", func() bool { return b.Ready() == nil })
	publish(false, "home/meter", `{"w":2}`)
	eventually(t, "the reading arrives", func() bool { return slices.Contains(readings.all(), `meter--201 {"power":2}`) })
	eventually(t, "the state arrives", func() bool {
		return sink.has(`meter--201 {"state":{"reported":{"relay":true}}} map[relay:{"c":"switch","t":"home/relay/set","s":true}]`)
	})
	stop()

	publish(false, "home/meter", `{"w":3}`) // queued for the session
	b, stop = start()
	defer stop()
	eventually(t, "it is connected again", func() bool { return b.Ready() == nil })
	eventually(t, "the reading that was queued arrives", func() bool { return slices.Contains(readings.all(), `meter--201 {"power":3}`) })
	publish(false, "home/meter", `{"w":4}`)
	eventually(t, "the next reading arrives", func() bool { return slices.Contains(readings.all(), `meter--201 {"power":4}`) })
	if slices.Contains(readings.all(), `meter--201 {"power":1}`) {
		t.Error("a retained copy of a reading counts")
	}
}

// reports keeps what devices reported of their state.
type reports struct {
	mutex sync.Mutex
	list  []string
}

func (r *reports) Deliver(_ context.Context, d device.Delivery) (string, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, m := range d.Batch.Messages {
		if m.Twin != nil {
			r.list = append(r.list, d.ID.Name()+" "+string(m.Twin.Payload)+" "+fmt.Sprint(m.From.Vars))
		}
	}
	return "run", nil
}

func (r *reports) has(report string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Contains(r.list, report)
}
