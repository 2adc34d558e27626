package bridge

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/dialects"
	"devicetwin/internal/testserver"
	"devicetwin/wire/dialect"
)

// The plug and the sensor of the README, word by word, with Debian's clients as the devices,
// on Mosquitto.
func TestREADMEOfDialects(t *testing.T) {
	if _, err := exec.LookPath("mosquitto_pub"); err != nil {
		testserver.Missing(t, "mosquitto_pub is not installed (Debian: mosquitto-clients)")
	}
	broker := startMosquitto(t)
	cfg := DefaultConfig()
	cfg.MQTT = broker.mqtt("")
	var all []*dialect.Dialect
	names, commands := readmeOfDialects(t)
	for _, name := range names {
		d, err := dialects.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	set, err := dialect.NewSet(cfg.Reading(), all...)
	if err != nil {
		t.Fatal(err)
	}
	readings := &readingList{}
	b, _ := startBridge(t, cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Dialect: set, Points: readings})
	eventually(t, "it is connected", func() bool { return b.Ready() == nil })

	commands = strings.ReplaceAll(commands, "-h 127.0.0.1", "-h 127.0.0.1 -p "+broker.Port)
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", commands).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the readings arrive", func() bool {
		got := readings.all()
		return slices.Contains(got, `plug-1 {"ENERGY":{"Power":2400}}`) && slices.Contains(got, `window-1 {"battery":97,"contact":false}`)
	})
}

// readmeOfDialects are the dialects that the README sets, and its commands of their devices.
func readmeOfDialects(t *testing.T) (names []string, commands string) {
	t.Helper()
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(raw), "```") {
		if i%2 == 0 {
			continue
		}
		if _, after, found := strings.Cut(block, "DEVICETWIN_MQTT_DIALECT="); found {
			value, _, _ := strings.Cut(after, " ")
			names = strings.Split(value, ",")
		}
		if strings.Contains(block, "zigbee2mqtt/") {
			commands = block
		}
	}
	if len(names) < 2 || commands == "" {
		t.Fatalf("the README sets the dialects %q, and has the commands %q", names, commands)
	}
	return names, commands
}

// readingList keeps readings, with their members in the order of their names.
type readingList struct {
	mutex sync.Mutex
	list  []string
}

func (l *readingList) WriteReading(_, id string, object []byte, _ []string, _ time.Time) {
	var data map[string]any
	if json.Unmarshal(object, &data) == nil {
		object, _ = json.Marshal(data)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.list = append(l.list, id+" "+string(object))
}

func (l *readingList) all() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.list)
}
