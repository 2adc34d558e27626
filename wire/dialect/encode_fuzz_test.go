package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// anywhere has topics of which the first level, or all of them, are variables.
const anywhere = `
dialect: anywhere
topics: [{topic: '{id...}/up', channel: telemetry}, {topic: '{a}/{id}/s', channel: telemetry, id: '{a}:{id}'}]
commands:
  - {command: a*, topic: '{id...}/{command}'}
  - {command: b*, topic: '{first}/{id...}', vars: {first: command.data}}
  - {command: c*, topic: 'x{v}y/{w...}', vars: {v: command.data.v, w: command.data.w}}
  - {id: '{a}:{id}', topic: '{a}/{id}/{command}', each: command.data}
desired:
  - {property: a*, topic: '{id...}/{property}'}
  - {topic: '{v...}', vars: {v: desired.v}}
`

// FuzzEncode looks for ids, addresses and commands by which something is sent to another topic
// than a template means, or that break the promises about what is sent.
func FuzzEncode(f *testing.F) {
	sets := append(fuzzed(f), load(f, sends), load(f, answering), load(f, anywhere))
	f.Add("plug-1", "", "room", "hall", "Power1", []byte(`"ON"`))
	f.Add("g:m", "{id}:{mac}", "room", "+", "x", []byte(`{"a":1}`))
	f.Add("m:a--2fb--23", "m:{name}", "", "", "x", []byte(`null`))
	f.Add("v:--00", "v:{eui}", "hub", "$SYS", "", []byte(``))
	f.Add("devices", "", "id", "x", "all", []byte(`[{"led":"#"},{"led":"a/b"},{"led":"\u0000"}]`))
	f.Add("p", "", "command", "x/y", "to", []byte(`{"path":"a//b","value":1}`))
	f.Add("--24aws", "", "", "", "at", []byte(`"telemetry"`))
	f.Add("--24SYS", "", "", "", "a", []byte(`{"v":"devices/d/telemetry","a":1}`))
	f.Add("d--2ftelemetry", "", "", "", "b", []byte(`"devices"`))
	f.Add("bridge--2fb", "", "", "", "astatus", []byte(`{"astatus":1,"v":"$aws/things/x/shadow/update"}`))
	f.Add("z--2f--2fz", "", "", "", "c", []byte(`{"v":"y/x","w":"/"}`))
	f.Add("--24share:g", "{a}:{id}", "", "", "up", []byte(`[1]`))
	f.Add("x:y", "{a}:{id}", "", "", "s", []byte(`{}`))
	f.Fuzz(func(t *testing.T, id, template, name, value, command string, data []byte) {
		for _, set := range sets {
			for _, d := range set.dialects {
				to := &device.Address{Dialect: d.name, ID: template, Vars: map[string]string{name: value}}
				c := wire.Command{ID: "c-1", Name: command, At: now, TTL: time.Second, Data: json.RawMessage(data)}
				got, err := set.Encode(device.ID(id), to, c)
				again, errAgain := set.Encode(device.ID(id), to, c)
				if !reflect.DeepEqual(got, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
					t.Fatalf("encoded twice:\n%+v, %v\n%+v, %v", got, err, again, errAgain)
				}
				checkSent(t, set, d, got.Publications, err)
				if err == nil && len(got.Publications) == 0 {
					t.Fatal("a command of which nothing is sent")
				}
				if shows := map[string]any(nil); got.Shows != nil && (json.Unmarshal(got.Shows, &shows) != nil || len(shows) == 0 || got.Done) {
					t.Fatalf("shows %s, done %v", got.Shows, got.Done)
				}
				desired, err := set.EncodeDesired(device.ID(id), to, data)
				checkSent(t, set, d, desired, err)
				checkSent(t, set, d, set.Questions(device.ID(id), to), nil)
			}
		}
	})
}

// checkSent holds what is sent to what brokers and devices rely on.
func checkSent(t *testing.T, set *Set, d *Dialect, all []wire.Publication, err error) {
	refused := (*wire.Refused)(nil)
	if err != nil && !errors.As(err, &refused) && !errors.Is(err, wire.ErrNoWords) {
		t.Fatal(err)
	}
	size := 0
	for _, p := range all {
		size += len(p.Payload)
		if err := mqtt.CheckTopic(p.Topic); err != nil || set.Standard.Knows(p.Topic) || ofService(p.Topic) || p.QoS > 1 {
			t.Fatalf("sent to %q, %v", p.Topic, err)
		}
		if rule := d.find(p.Topic); rule != nil && !rule.ignored() {
			t.Fatalf("sent to %q, which is read by %s", p.Topic, rule.topic.text)
		}
		means := false
		for _, o := range d.outgoing() {
			same := o.topic.many >= 0 || strings.Count(o.topic.text, "/") == strings.Count(p.Topic, "/")
			means = means || same && o.topic.match(p.Topic, make([]string, len(o.topic.names)))
		}
		if !means || strings.HasPrefix(p.Topic, "$") {
			t.Fatalf("sent to %q, which no entry means", p.Topic)
		}
	}
	if size > 2*maxMade*len(d.desired)+maxMade {
		t.Fatalf("%d bytes", size)
	}
}
