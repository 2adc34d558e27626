package simulator

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/dialects"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// readsTasmota is what a bridge with the dialect tasmota reads.
func readsTasmota(t *testing.T) *dialect.Set {
	t.Helper()
	tasmota, err := dialects.Load("tasmota")
	if err != nil {
		t.Fatal(err)
	}
	set, err := dialect.NewSet(wire.DefaultConfig(), tasmota)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func plugModel(t *testing.T) *devicefsm.Model {
	t.Helper()
	const file = "../models/plug.yaml"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := devicefsm.Load(file, src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// handlePlug is handle for plugs.
func (w *world) handlePlug(t *worldTwin, topic string, payload []byte) {
	received, err := w.tasmota.Decode(topic, payload, false, time.Now())
	switch {
	case errors.Is(err, wire.ErrUnmapped), errors.Is(err, wire.ErrNotInput):
	case err != nil:
		w.refuse(topic, payload)
	}
	for _, r := range received {
		r.Complete()
		if !w.applies(t, r.Message) {
			continue
		}
		digest, err := readDigest(r.Message)
		if err != nil {
			panic(err)
		}
		t.apply(number{}, digest)
		t.stepPlug(r.Message)
	}
}

// stepPlug is the model plug, in short.
func (t *worldTwin) stepPlug(m device.Message) {
	if m.Name != "restarted" {
		return
	}
	switch m.Data["reason"] {
	case "Hardware Watchdog":
		t.boots = append(t.boots, m.Time)
	case "Software/System restart":
		if t.state == "awaiting_birth" {
			t.timer.Stop()
			t.state = "online"
		}
		return
	default:
		return
	}
	if k := len(t.boots); k < 3 || m.Time.Sub(t.boots[k-3]) > 10*time.Minute {
		return
	}
	t.boots = nil
	if t.state != "online" {
		return
	}
	if b := &t.world.broken; b.mute > 0 {
		if b.mute--; b.mute == 0 {
			return
		}
	}
	t.attempts = 0
	t.attempt()
}

// plugs makes the fleet one of plugs, in a world of plugs.
func plugs(t *testing.T, seed uint64) func(*Options, *world) {
	reader, scenario, model := readsTasmota(t), plugScenario(t), plugModel(t)
	return func(o *Options, w *world) {
		o.Seed, o.Speech, o.Scenario, o.Model, o.Prefix = seed, Tasmota(reader), scenario, model, "plug"
		w.tasmota, w.sift = reader, model
	}
}

func TestRunOfPlugsIsClean(t *testing.T) {
	for seed := range uint64(4) {
		r := play(t, sabotage{}, plugs(t, seed))
		if !r.Clean || r.AppliedAgain > 0 || r.ReprovisionsUncertain > 2 {
			t.Errorf("seed %d: a run in a sound world has violations: %+v", seed, r)
		}
		if r.ReprovisionsDone < 20 || r.Relevant*2 > r.Sent || r.Reconnects < 20 || r.Unnumbered != r.Sent || r.Crossings < 5 {
			t.Errorf("seed %d: too little to show: %+v", seed, r)
		}
	}
}

// What a world gets wrong shows for plugs as well.
func TestRunOfPlugsFindsFaults(t *testing.T) {
	findsFaults(t, false, func(o *Options, w *world) {
		plugs(t, 1)(o, w)
		o.Scenario.Churn.PerMinute = 0
	})
}

// recorder remembers what a device says of commands.
type recorder struct {
	Reader
	own   string // the beginning of its topics
	mutex sync.Mutex
	said  []string
}

func (r *recorder) Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	if strings.HasPrefix(topic, r.own) {
		r.mutex.Lock()
		r.said = append(r.said, strings.TrimPrefix(topic, r.own)+" "+string(payload))
		r.mutex.Unlock()
	}
	return r.Reader.Decode(topic, payload, dup, at)
}

// A command that has no id is obeyed each time, and one that has one, once. All that there is
// to say about it is published.
func TestPlugsObey(t *testing.T) {
	const id = "plug-0001"
	heard := &recorder{own: "stat/" + id + "/"}
	play(t, sabotage{}, func(o *Options, w *world) {
		plugs(t, 1)(o, w)
		heard.Reader = w.tasmota
		w.tasmota = heard
		o.Devices, o.Duration = 1, 40*time.Second
		o.Scenario.Faults, o.Scenario.Churn, o.Scenario.Answers = nil, Churn{}, []Answer{{Kind: Obey, Weight: 1}}
		for i, c := range [][2]string{
			{"Power", "TOGGLE"}, {"Power", "TOGGLE"},
			{"Backlog", "MqttUser plug; MqttPassword2 one"}, {"Backlog", "MqttUser plug; MqttPassword2 one"},
		} {
			time.AfterFunc(time.Duration(5+5*i)*time.Second, func() {
				w.mutex.Lock()
				l := w.twin(id).link
				w.mutex.Unlock()
				l.receive("cmnd/"+id+"/"+c[0], []byte(c[1]))
			})
		}
	})
	want := []string{
		`RESULT {"POWER":"OFF"}`, `POWER OFF`, `RESULT {"POWER":"ON"}`, `POWER ON`,
		`RESULT {"MqttUser":"plug"}`, `RESULT {"MqttPassword":"****"}`,
	}
	if !slices.Equal(heard.said, want) {
		t.Errorf("it says %q, want %q", heard.said, want)
	}
}

// asMeant is a message as a device means it, without what the service adds.
func asMeant(m device.Message) device.Message {
	meant := device.Message{Channel: m.Channel, Name: m.Name, Data: m.Data, Digest: m.Digest}
	if m.Twin != nil {
		meant.Data = reportedBy(m)
	}
	return meant
}

// What a device of a fleet says is read by the dialect as what it means, whatever happens to
// it, and whatever its readings are.
func TestPlugsAreReadAsTheyMean(t *testing.T) {
	reader, scenario := readsTasmota(t), plugScenario(t)
	speech := Tasmota(reader)
	scenario = scenario.spokenBy(speech)
	scenario.Mixed = 0.3
	now, random := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), rand.New(rand.NewPCG(1, 2))
	kinds := map[string]int{}
	for i := range 40 {
		id := device.ID("plug-" + strconv.Itoa(i))
		plan := NewPlan(scenario, PlanOptions{Seed: 3, Device: i, Rate: 1, Length: 3 * time.Minute})
		voice := speech.Voice(id, plan.Identity)
		say := func(m device.Message) {
			t.Helper()
			m.Time = now
			said, err := voice.Say(m, time.Time{})
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			for _, u := range said {
				checkRead(t, reader, id, u)
				kinds[strings.Join(append(strings.Split(u.Topic, "/")[:1], strings.Split(u.Topic, "/")[2:]...), "/")]++
			}
		}
		say(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "site": "north"}})
		for act, ok := plan.Next(); ok; act, ok = plan.Next() {
			now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
			switch act.Kind {
			case ActReading, ActFault:
				say(device.Message{Channel: act.Channel, Name: act.Name, Data: act.Data})
			case ActChurn:
				say(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "offline"}})
				say(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "online"}})
			}
			for _, m := range voice.Answer(Command{Name: "POWER", Argument: []string{"ON", "toggle", "0", ""}[random.IntN(4)]}, "succeeded", "") {
				say(m)
			}
		}
		will, err := voice.Will()
		if err != nil {
			t.Fatal(err)
		}
		checkRead(t, reader, id, will)
		if _, err := reader.Decode(voice.Noise("poison").Topic, voice.Noise("poison").Payload, false, now); !errors.As(err, new(*wire.Refused)) {
			t.Errorf("noise is read: %v", err)
		}
	}
	for _, kind := range []string{"tele/LWT", "tele/INFO1", "tele/INFO3", "tele/STATE", "tele/SENSOR", "stat/RESULT", "stat/POWER"} {
		if kinds[kind] < 40 {
			t.Errorf("%d of %s, too few to show something", kinds[kind], kind)
		}
	}
}

func checkRead(t *testing.T, reader Reader, id device.ID, u Utterance) {
	t.Helper()
	received, err := reader.Decode(u.Topic, u.Payload, false, time.Now())
	if err != nil && len(u.Means) > 0 {
		t.Fatalf("%s %s: %v", u.Topic, u.Payload, err)
	}
	var read, meant []device.Message
	for _, r := range received {
		r.Complete()
		if r.ID != id {
			t.Errorf("%s is of %s", u.Topic, r.ID)
		}
		read = append(read, asMeant(r.Message))
	}
	for _, m := range u.Means {
		meant = append(meant, asMeant(m))
	}
	if !reflect.DeepEqual(read, meant) {
		t.Errorf("%s %s\nis read as %+v\nand means  %+v", u.Topic, u.Payload, read, meant)
	}
}

// A plug says the same words whoever reads them: this is what Tasmota publishes.
func TestWordsOfPlugs(t *testing.T) {
	voice := Tasmota(readsTasmota(t)).Voice("plug-1", Identity{Firmware: "13.4.0(tasmota)"})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var got []string
	say := func(messages ...device.Message) {
		t.Helper()
		for _, m := range messages {
			m.Time, now = now, now.Add(4*time.Second)
			said, err := voice.Say(m, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range said {
				line := u.Topic + " " + string(u.Payload)
				if u.Retained {
					line += " retained"
				}
				got = append(got, line)
			}
		}
	}
	reading := device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"ENERGY.Power": 12.5, "ENERGY.Voltage": 230.0, "TempUnit": "C"}}
	say(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot"}}, reading, reading)
	c, err := voice.Hear("cmnd/plug-1/power", []byte("OFF"), now)
	if err != nil {
		t.Fatal(err)
	}
	say(voice.Answer(c, "succeeded", "")...)
	c, err = voice.Hear("cmnd/plug-1/Backlog", []byte("MqttUser plug-1; MqttPassword2 s3cret"), now)
	if err != nil || c.Name != "reprovision" || c.Credentials != (Credentials{c.ID, "plug-1", "s3cret"}) || c.ID == "" {
		t.Fatalf("new credentials: %+v, %v", c, err)
	}
	say(voice.Answer(c, "accepted", "")...)
	say(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "credential": c.ID}})
	say(voice.Answer(c, "rejected", "busy")...)
	say(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "offline"}})
	read, err := readsTasmota(t).Decode("stat/plug-1/RESULT", []byte(`{"POWER":"OFF"}`), false, now)
	if err != nil || !reported(read) {
		t.Errorf("the answer to Power is read as %+v, %v", read, err)
	}
	want := []string{
		`tele/plug-1/LWT Online retained`,
		`tele/plug-1/INFO1 {"Info1":{"GroupTopic":"cmnd/tasmotas/","Module":"Generic","Version":"13.4.0(tasmota)"}}`,
		`tele/plug-1/INFO3 {"Info3":{"BootCount":1,"RestartReason":"Power On"}}`,
		`tele/plug-1/STATE {"Heap":27,"LoadAvg":19,"MqttCount":1,"POWER":"ON","Sleep":50,"SleepMode":"Dynamic","Time":"2026-03-01T12:00:04","Uptime":"0T00:00:04","UptimeSec":4,"Wifi":{"AP":1,"LinkCount":1,"RSSI":74,"Signal":-63}}`,
		`tele/plug-1/SENSOR {"COUNTER":{"C1":1},"ENERGY":{"Power":12.5,"Voltage":230},"TempUnit":"C","Time":"2026-03-01T12:00:04"}`,
		`tele/plug-1/SENSOR {"COUNTER":{"C1":2},"ENERGY":{"Power":12.5,"Voltage":230},"TempUnit":"C","Time":"2026-03-01T12:00:08"}`,
		`stat/plug-1/RESULT {"POWER":"OFF"}`,
		`stat/plug-1/POWER OFF`,
		`stat/plug-1/RESULT {"MqttUser":"plug-1"}`,
		`stat/plug-1/RESULT {"MqttPassword":"****"}`,
		`tele/plug-1/LWT Online retained`,
		`tele/plug-1/INFO1 {"Info1":{"GroupTopic":"cmnd/tasmotas/","Module":"Generic","Version":"13.4.0(tasmota)"}}`,
		`tele/plug-1/INFO3 {"Info3":{"BootCount":2,"RestartReason":"Software/System restart"}}`,
		`stat/plug-1/RESULT {"Command":"Unknown"}`,
		`tele/plug-1/LWT Offline retained`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// reported reports whether one of the messages reports POWER.
func reported(read []wire.Received) bool {
	return slices.ContainsFunc(read, func(r wire.Received) bool {
		return r.Message.Channel == device.ChannelTwin && asMeant(r.Message).Data["POWER"] == "OFF"
	})
}

func TestPlugsHear(t *testing.T) {
	speech := Tasmota(readsTasmota(t))
	voice := speech.Voice("plug-1", Identity{})
	hear := func(topic, payload string) Command {
		t.Helper()
		c, err := voice.Hear(topic, []byte(payload), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := "MqttUser plug-1; MqttPassword one", "Backlog0"
	first := hear("cmnd/plug-1/BACKLOG", one)
	if again := hear("cmnd/plug-1/"+two, one); again != first {
		t.Errorf("the same again: %+v, and first %+v", again, first)
	}
	if other := hear("cmnd/plug-1/Backlog", "mqttuser plug-1;mqttpassword two"); other.ID == first.ID || other.Credentials.Password != "two" {
		t.Errorf("other credentials: %+v, and first %+v", other, first)
	}
	if c := hear("cmnd/plug-1/Backlog", "Power ON; Delay 10"); c.ID != "" || c.Name != "BACKLOG" {
		t.Errorf("a backlog without credentials: %+v", c)
	}
	if got := voice.Answer(hear("cmnd/plug-1/Dimmer", "40"), "succeeded", "")[0].Data; !maps.Equal(got, map[string]any{"Command": "Unknown"}) {
		t.Errorf("a command that it does not know: %v", got)
	}
	if got := voice.Answer(hear("cmnd/plug-1/STATE", ""), "succeeded", "")[0].Data["POWER"]; got != "ON" {
		t.Errorf("asked for its state: %v", got)
	}
	for _, topic := range []string{"cmnd/plug-1/", "cmnd/plug-2/Power", "cmnd/plug-1/a/b", "devices/plug-1/commands/reprovision"} {
		if c, err := voice.Hear(topic, nil, time.Time{}); err == nil {
			t.Errorf("%s is read as %+v", topic, c)
		}
	}
	if !speech.Owns("plug-", "tele/plug-1/SENSOR") || speech.Owns("plug-", "tele/pump-1/SENSOR") || speech.Owns("plug-", "devices/plug-1/status") {
		t.Error("whose topics are whose")
	}
}

// New credentials reach a plug in the words of the dialect, with what the workflow sends.
func TestPlugsHearTheDialect(t *testing.T) {
	set := readsTasmota(t)
	id := device.ID("plug-1")
	sending, err := set.Encode(id, &device.Address{Dialect: "tasmota"}, wire.Command{ID: "x-1", Name: "reprovision", At: time.Now(), Data: map[string]any{
		"credentials": Credentials{ID: "x-1", Username: "plug-1", Password: "0123abcd"}, "config": map[string]any{"a": 1}, "reason": "crash_loop",
	}})
	if err != nil || len(sending.Publications) != 1 {
		t.Fatalf("sent %+v, %v", sending, err)
	}
	p := sending.Publications[0]
	c, err := Tasmota(set).Voice(id, Identity{}).Hear(p.Topic, p.Payload, time.Time{})
	if err != nil || c.Name != "reprovision" || c.Credentials.Username != "plug-1" || c.Credentials.Password != "0123abcd" || p.Retained {
		t.Errorf("%s %s is read as %+v, %v", p.Topic, p.Payload, c, err)
	}
}

// What a plug cannot say is a fault of the scenario, before anything is sent.
func TestUnspeakableScenario(t *testing.T) {
	o := testOptions(t, newWorld(sabotage{}))
	o.Speech, o.Scenario = Tasmota(readsTasmota(t)), plugScenario(t)
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	o.Scenario.Faults[0].Messages = []FaultMessage{
		{Channel: device.ChannelEvents, Name: "alarm"},
		{Channel: device.ChannelEvents, Name: "restarted", Data: map[string]any{"cause": "none"}},
		{Channel: device.ChannelStatus, Data: map[string]any{"status": "sleeping"}},
	}
	err := o.Validate()
	for _, want := range []string{"events/alarm", "a reason", "sleeping"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
