package twin_test

import (
	"encoding/json"
	"fmt"
	"time"

	"devicetwin/twin"
)

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// An application sets a desired property, the device hears of it as a delta, and
// reports it.
func Example() {
	limits := twin.DefaultLimits()
	var doc twin.Document // no shadow yet

	doc, answers, refused := twin.Update(doc, []byte(`{"state": {"desired": {"interval": 10}}}`), now, limits)
	if refused != nil {
		fmt.Println(refused)
		return
	}
	for _, m := range answers.Messages() { // publish each to {base}/{topic}
		fmt.Println(m.Topic)
	}
	fmt.Println(string(answers.Delta))

	before := doc
	doc, answers, _ = twin.Update(doc, []byte(`{"state": {"reported": {"interval": 10.0}}}`), now, limits)
	fmt.Println("version", doc.Version(), "delta", answers.Delta == nil, "reported", twin.ChangedPaths(before, doc).Reported)
	// Output:
	// update/delta
	// update/documents
	// update/accepted
	// {"metadata":{"interval":{"timestamp":1795420800}},"state":{"interval":10},"timestamp":1795420800,"version":1}
	// version 2 delta true reported [interval]
}

func ExampleUpdate_refused() {
	_, _, refused := twin.Update(twin.Document{}, []byte(`{"state": {"wanted": {}}, "clientToken": "t1"}`), now, twin.DefaultLimits())
	fmt.Println(refused)
	fmt.Println(string(refused.Payload(now))) // publish it to {base}/update/rejected
	// Output:
	// 400 State contains an invalid node: state has a section 'wanted'
	// {"clientToken":"t1","code":400,"message":"State contains an invalid node","timestamp":1795420800}
}

// Desire is the update that a state machine makes. A device that comes back asks
// for what it missed: Delta.
func ExampleDesire() {
	doc, _, _ := twin.Desire(twin.Document{}, map[string]any{"light": "red"}, now, twin.DefaultLimits())
	fmt.Println(string(twin.Delta(doc, now.Add(time.Hour))))
	fmt.Println(twin.DeltaPaths(doc), twin.Diverged(doc, []string{"light"}))
	// Output:
	// {"metadata":{"light":{"timestamp":1795420800}},"state":{"light":"red"},"timestamp":1795424400,"version":1}
	// [light] [light]
}

func ExampleGet() {
	limits := twin.DefaultLimits()
	_, refused := twin.Get(twin.Document{}, "pump-7", nil, now, limits)
	fmt.Println(refused)

	doc, _, _ := twin.Update(twin.Document{}, []byte(`{"state": {"reported": {"on": true}}}`), now, limits)
	accepted, _ := twin.Get(doc, "pump-7", nil, now, limits)
	fmt.Println(string(accepted))
	// Output:
	// 404 No shadow exists with name: 'pump-7'
	// {"metadata":{"reported":{"on":{"timestamp":1795420800}}},"state":{"reported":{"on":true}},"timestamp":1795420800,"version":1}
}

// A deleted shadow leaves its version behind for Limits.Tombstone.
func ExampleDelete() {
	limits := twin.DefaultLimits()
	doc, _, _ := twin.Update(twin.Document{}, []byte(`{"state": {"reported": {"on": true}}}`), now, limits)
	doc, accepted, _ := twin.Delete(doc, "pump-7", nil, now, limits)
	fmt.Println(string(accepted), doc.Exists(), doc.Version())
	fmt.Println(twin.Prune(doc, now.Add(49*time.Hour), limits).Version())
	// Output:
	// {"timestamp":1795420800,"version":1} false 1
	// 0
}

// A document is stored as JSON, and read back as it was.
func ExampleDocument() {
	doc, _, _ := twin.Update(twin.Document{}, []byte(`{"state": {"desired": {"a": 1.0}}}`), now, twin.DefaultLimits())
	stored, err := json.Marshal(doc)
	fmt.Println(string(stored), err)
	var again twin.Document
	fmt.Println(json.Unmarshal(stored, &again), again.Values()["desired"])
	// Output:
	// {"desired":{"a":1.0},"desiredAt":1795420800,"v":1,"version":1} <nil>
	// <nil> map[a:1]
}
