package device

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// sentLog keeps everything that was published, in order.
type sentLog struct {
	mu   sync.Mutex
	sent []sentMessage
	hear func(topic string, payload []byte)
}

type sentMessage struct {
	topic    string
	retained bool
	payload  string
}

func (w *sentLog) Publish(_ context.Context, topic string, _ byte, retained bool, payload []byte) error {
	w.mu.Lock()
	w.sent = append(w.sent, sentMessage{topic, retained, string(payload)})
	hear := w.hear
	w.mu.Unlock()
	if hear != nil {
		hear(topic, payload)
	}
	return nil
}

// topics are those published to, up to now.
func (w *sentLog) topics() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, m := range w.sent {
		list = append(list, m.topic)
	}
	return strings.Join(list, "\n")
}

// forget makes the next call of topics begin here.
func (w *sentLog) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = nil
}

// payload is the last one published to a topic, as JSON values.
func (w *sentLog) payload(t *testing.T, topic string) map[string]any {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.sent) - 1; i >= 0; i-- {
		if w.sent[i].topic == topic {
			var v map[string]any
			if err := json.Unmarshal([]byte(w.sent[i].payload), &v); err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
			return v
		}
	}
	t.Errorf("nothing was published to %s", topic)
	return nil
}

// twinHarness is a harness of a model with a log of what was sent in place of the world.
type twinHarness struct {
	*harness
	wire *sentLog
	ids  int
}

const (
	shadowBase = "$aws/things/pump-1/shadow"
	twinBase   = "devices/pump-1/twin"
)

func newTwinHarness(t *testing.T, model string, runEvents int) *twinHarness {
	t.Helper()
	loaded, err := devicefsm.Load("twin.yaml", []byte(model))
	if err != nil {
		t.Fatal(err)
	}
	h := &twinHarness{harness: newHarnessFor(t, loaded, runEvents), wire: &sentLog{}}
	h.activities.Publisher = h.wire
	return h
}

// ask sends a request of the shadow protocol, on the protocol's own topics.
func (h *twinHarness) ask(after time.Duration, shadow, method, payload string) {
	h.RegisterDelayedCallback(func() { h.signalRaw(h.request(shadow, method, payload)) }, after)
}

func (h *twinHarness) request(shadow, method, payload string) device.Message {
	base := shadowBase
	if shadow != "" {
		base += "/name/" + shadow
	}
	h.ids++
	return device.Message{
		Channel: device.ChannelTwin, Name: method, Time: h.Now().UTC().Truncate(time.Millisecond),
		Twin: &device.TwinRequest{
			Shadow: shadow, Reply: base, Payload: []byte(payload), Reports: strings.Contains(payload, "reported"),
		},
	}
}

// signalRaw signals messages as they are.
func (h *twinHarness) signalRaw(messages ...device.Message) {
	h.SignalWorkflow(SignalEvents, device.Batch{Messages: messages})
}

// operate sends operations after a time; results has them when they are there.
func (h *twinHarness) operate(after time.Duration, list ...Operation) *asked {
	a := &asked{}
	h.RegisterDelayedCallback(func() { h.operateNow(a, list...) }, after)
	return a
}

func (h *twinHarness) operateNow(a *asked, list ...Operation) {
	for i := range list {
		if list[i].ID == "" {
			h.ids++
			list[i].ID = string(rune('a'+h.ids%26)) + time.Duration(h.ids).String()
		}
		if list[i].Who == "" {
			list[i].Who = "ann"
		}
	}
	h.UpdateWorkflow(UpdateOperate, "", a, Operations{List: list})
}

// asked is an update that was sent.
type asked struct {
	results  []OperationResult
	answered bool
	err      error
}

func (a *asked) Accept()          {}
func (a *asked) Reject(err error) { a.err = err }
func (a *asked) Complete(success any, err error) {
	a.answered, a.err = true, err
	if r, ok := success.(OperationResults); ok {
		a.results = r.List
	}
}

// only is the result of an update with one operation.
func (a *asked) only(t *testing.T) OperationResult {
	t.Helper()
	if a.err != nil || len(a.results) != 1 {
		t.Fatalf("results %+v, error %v; want one", a.results, a.err)
	}
	return a.results[0]
}

// code is that of a refusal, or 0.
func code(r OperationResult) int {
	if r.Refused == nil {
		return 0
	}
	return r.Refused.Code
}

func text(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func status(s string) device.Message {
	return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": s}}
}

func ack(name, id, status string) device.Message {
	return device.Message{Channel: device.ChannelAck, Name: name, Data: map[string]any{"id": id, "status": status}}
}
