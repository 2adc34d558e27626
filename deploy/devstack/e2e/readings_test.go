package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"devicetwin/bridge"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/points"
)

// acceptAll stands for the workflows.
type acceptAll struct{}

func (acceptAll) Deliver(context.Context, device.Delivery) (string, error) { return "run", nil }

// startReadings runs a bridge that takes telemetry of devices of a model to an
// InfluxDB. The function ends it, and returns once its points are written.
func startReadings(t *testing.T, broker string, target influxTarget, model string) (stop func()) {
	t.Helper()
	loaded, err := devicefsm.Load("model.yaml", []byte("model: "+model+"\ninitial: on\nstates: {on: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := points.NewWriter(target.points(), points.Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	config := bridge.DefaultConfig()
	config.ID, config.QuotaRate = "readings", 0
	config.MQTT.Brokers = []string{broker}
	b, err := bridge.New(config, bridge.Deps{Model: loaded, Sink: acceptAll{}, Points: w, Log: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended, written := make(chan error, 1), make(chan struct{})
	go func() { ended <- b.Run(ctx) }()
	writing, flush := context.WithCancel(context.Background())
	go func() { w.Run(writing); close(written) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		end()
		if err := <-ended; err != nil {
			t.Errorf("bridge: %v", err)
		}
		flush()
		<-written
		if n := w.Metric("points_dropped_total") + w.Metric("points_refused_total"); n != 0 {
			t.Errorf("%v points were dropped or refused", n)
		}
	}
	t.Cleanup(stop)
	eventually(t, "the bridge is connected", func(context.Context) bool { return b.Ready() == nil })
	return stop
}

// readingsOf are all points of a measurement: of each device, the fields of each time.
func (i influxTarget) readingsOf(t *testing.T, measurement string) map[string]map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]map[string]any{}
	for _, s := range i.series(t, url.Values{"epoch": {"ns"}, "q": {`SELECT * FROM "` + measurement + `" GROUP BY "device", "model"`}}) {
		times := map[string]map[string]any{}
		for _, row := range s.Values {
			fields := map[string]any{}
			for i, value := range row[1:] {
				if number, ok := value.(json.Number); ok {
					f, err := number.Float64()
					if err != nil {
						t.Fatal(err)
					}
					value = f
				}
				if value != nil {
					fields[s.Columns[i+1]] = value
				}
			}
			times[fmt.Sprint(row[0])] = fields
		}
		all[s.Tags["device"]] = times
	}
	return all
}

// Each message is a point of its own: messages without numbers and times that the
// broker kept while the bridge was down, and a burst of them.
func TestEveryMessageIsAPoint(t *testing.T) {
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			target := open(t, 0)
			broker := start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT}})
			startReadings(t, broker.MQTT.URL(), target, "counted")()
			pump := connect(t, broker.MQTT.URL(), "sender")
			send := func(n int, payload string) {
				var tokens []mqtt.Token
				for range n {
					tokens = append(tokens, pump.client.Publish("devices/p1/telemetry", 1, false, payload))
				}
				for _, token := range tokens {
					pump.await("publish", token)
				}
			}
			send(300, `{"temperature":20}`)
			stop := startReadings(t, broker.MQTT.URL(), target, "counted")
			awaitReadings(t, target, "counted", 300)
			send(3000, `{"temperature":20}`)
			awaitReadings(t, target, "counted", 3300)
			stop()
			send(300, `{"temperature":20}`)
			startReadings(t, broker.MQTT.URL(), target, "counted")
			awaitReadings(t, target, "counted", 3600)
		})
	}
}

func awaitReadings(t *testing.T, target influxTarget, measurement string, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d points", want), func(context.Context) bool {
		n := 0
		for _, times := range target.readingsOf(t, measurement) {
			n += len(times)
		}
		if n > want {
			t.Fatalf("%d points, want %d", n, want)
		}
		return n == want
	})
}

// A field that has another type in the database, as an earlier release may have left
// it, costs no value: neither the device's that has it, nor another one's.
func TestNoDeviceCostsAnotherOneItsReadings(t *testing.T) {
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			target := open(t, 0)
			legacy := points.Point{Measurement: "mixed", Tags: map[string]string{"device": "old", "model": "mixed"},
				Fields: map[string]any{"humidity": "nan", "on": 1.0}, Time: time.Now()}
			if err := writeDirectly(t, target, legacy); err != nil {
				t.Fatal(err)
			}
			broker := start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT}})
			startReadings(t, broker.MQTT.URL(), target, "mixed")
			sender := connect(t, broker.MQTT.URL(), "sender")
			for device, payload := range map[string]string{
				"p1": `{"humidity":"nan","temperature":20}`,
				"p2": `{"humidity":55,"temperature":21,"on":true}`,
				"p3": `{"temperature":"hot","device":"x","model":3,"time":"now"}`,
				"p4": `{"temperature":22,"device":1,"time":2}`,
			} {
				sender.publish("devices/"+device+"/telemetry", payload)
			}
			awaitReadings(t, target, "mixed", 5)
			want := map[string]map[string]any{
				"old": {"humidity": "nan", "on": 1.0},
				"p1":  {"humidity:string": "nan", "temperature": 20.0},
				"p2":  {"humidity:number": 55.0, "temperature": 21.0, "on:bool": true},
				"p3":  {"temperature:string": "hot", "device:string": "x", "model:number": 3.0, "time:string": "now"},
				"p4":  {"temperature": 22.0, "device:number": 1.0, "time:number": 2.0},
			}
			for device, times := range target.readingsOf(t, "mixed") {
				for _, fields := range times {
					if !reflect.DeepEqual(fields, want[device]) {
						t.Errorf("%s: %v, want %v", device, fields, want[device])
					}
				}
			}
			if rows := target.query(t, `SELECT mean(*) FROM mixed WHERE device = 'p2'`); len(rows) != 1 {
				t.Errorf("the numbers of a dashboard: %v", rows)
			}
		})
	}
}

// Whatever objects several devices publish, in whatever order, with and without
// times and numbers: each scalar is found under its documented name, at a time that is
// its message's alone.
func TestEveryScalarIsFoundUnderItsName(t *testing.T) {
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			target := open(t, 0)
			broker := start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT}})
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			g := &objects{Rand: rand.New(rand.NewPCG(seed, 0)), now: time.Now().UnixMilli()}
			const devices, messages = 6, 400
			startReadings(t, broker.MQTT.URL(), target, "random")
			sender := connect(t, broker.MQTT.URL(), "sender")
			want := map[string]map[string]any{}
			var sent []string
			seq := map[string]int{}
			for n := range messages {
				id := fmt.Sprint("p", g.IntN(devices))
				object := g.object(3)
				object["n"] = float64(n) // finds the point
				want[fmt.Sprint(id, " ", n)] = documentedFields(object)
				if g.IntN(2) == 0 {
					object["ts"] = g.now + g.Int64N(3)
				}
				if g.IntN(2) == 0 {
					seq[id]++
					object["seq"] = seq[id]
				}
				payload, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				sent = append(sent, string(payload))
				sender.publish("devices/"+id+"/telemetry", string(payload))
			}
			awaitReadings(t, target, "random", messages)
			for id, times := range target.readingsOf(t, "random") {
				for at, fields := range times {
					n, _ := fields["n"].(float64)
					if key := fmt.Sprint(id, " ", n); !reflect.DeepEqual(fields, want[key]) {
						t.Errorf("%s at %s:\n%s\n     %v\nwant %v", key, at, sent[int(n)], fields, want[key])
					}
					delete(want, fmt.Sprint(id, " ", n))
				}
			}
			if len(want) != 0 {
				t.Errorf("%d messages without a point", len(want))
			}
		})
	}
}

// objects makes random JSON objects.
type objects struct {
	*rand.Rand
	now int64
}

var oddKeys = []string{
	"temperature", "humidity", "device", "model", "site", "time", "_time", "_field", "_measurement", "_value", "_start", "_stop",
	"a", "b", "a.b", "a b", "a,b", "a=b", `a\b`, `a"b`, "a\nb", "a_b", "a/b", "a'b", "", ".", "ä", "日本", "\u2028", "\x7f", "\x00", "%", "%2E", "%2", "%%2E", "%FF",
	"x:string", "x:bool", "x:number", "x", ":string", "0", "1", "#", "=", ",", " ", "state", "$a", "$timeFilter", "null", "true",
}

var oddStrings = []string{"", "nan", "a b,c=d", `q"u`, `back\`, "line\nend", "日本", "1", "true", `\"`, "\t", "x' or 1=1", strings.Repeat("long ", 500)}

func (g *objects) object(depth int) map[string]any {
	object := map[string]any{}
	for range g.IntN(6) {
		object[oddKeys[g.IntN(len(oddKeys))]] = g.value(depth)
	}
	return object
}

func (g *objects) value(depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch g.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return g.IntN(2) == 0
	case 2:
		return oddStrings[g.IntN(len(oddStrings))]
	case 3:
		return float64(g.IntN(2_000_000) - 1_000_000)
	case 4:
		return []float64{0, 0.1, -1.5e-7, 1e21, 1.7e308, 5e-324, 123456.789, -273.15}[g.IntN(8)]
	case 5:
		var array []any
		for range g.IntN(4) {
			array = append(array, g.value(depth-1))
		}
		return array
	}
	return g.object(depth - 1)
}

// documentedFields are the fields of an object by the rules in docs/telemetry.md,
// without the code that writes them.
func documentedFields(object map[string]any) map[string]any {
	fields := map[string]any{}
	var walk func(path []string, value any)
	walk = func(path []string, value any) {
		name := strings.Join(path, ".")
		switch v := value.(type) {
		case map[string]any:
			for key, member := range v {
				walk(append(path[:len(path):len(path)], documentedKey(key)), member)
			}
		case []any:
			for i, element := range v {
				walk(append(path[:len(path):len(path)], fmt.Sprint(i)), element)
			}
		case string:
			fields[name+":string"] = v
		case bool:
			fields[name+":bool"] = v
		case float64:
			if reservedName.MatchString(name) {
				name += ":number"
			}
			fields[name] = v
		}
	}
	walk(nil, object)
	return fields
}

var (
	reservedName   = regexp.MustCompile(`(?s)^(device|model|site|time|_time|_start|_stop|_field|_measurement|_value)$|:(string|bool|number)$`)
	percentEncoded = regexp.MustCompile(`%([0-9A-F]{2})`)
	encoded        = regexp.MustCompile(`[.\\\x00-\x1f\x7f]`)
)

func documentedKey(key string) string {
	if key == "" {
		return "%FF"
	}
	key = percentEncoded.ReplaceAllString(key, "%25$1")
	return encoded.ReplaceAllStringFunc(key, func(c string) string { return fmt.Sprintf("%%%02X", c[0]) })
}
