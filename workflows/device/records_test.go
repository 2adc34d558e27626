package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin/command"
)

// kafkaLog keeps what was written to Kafka, in order.
type kafkaLog struct {
	mu       sync.Mutex
	written  []KafkaRecord
	attempts int
	fails    func(attempt int, r KafkaRecord) error // before anything is written; nil: never
}

var errKafkaDown = errors.New("kafka is down")

func (k *kafkaLog) WriteRecord(_ context.Context, r KafkaRecord) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempts++
	if k.fails != nil {
		if err := k.fails(k.attempts, r); err != nil {
			return err
		}
	}
	k.written = append(k.written, r)
	return nil
}

// lines are the records, in a line each, without their ids and times.
func (k *kafkaLog) lines(t *testing.T) string {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, r := range k.written {
		line := []string{r.Topic, r.Key}
		for _, h := range r.Headers {
			line = append(line, h.Value)
		}
		var value map[string]any
		if err := json.Unmarshal(r.Value, &value); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		for _, key := range []string{"from", "to", "event", "name", "status", "reason", "level"} {
			if v, ok := value[key]; ok {
				line = append(line, fmt.Sprintf("%s=%v", key, v))
			}
		}
		all = append(all, strings.Join(line, " "))
	}
	return strings.Join(all, "\n")
}

// numbers are the numbers of the records, in the order in which they were written.
func (k *kafkaLog) numbers() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.written {
		for _, h := range r.Headers {
			if h.Key == HeaderNumber {
				all = append(all, h.Value)
			}
		}
	}
	return all
}

func upTo(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i+1))
	}
	return all
}

const buyerModel = `
model: buyer
initial: bronze
states:
  bronze:
    on:
      up: {target: silver, actions: [{publish: {topic: "kafka:levels", data: {level: "'silver'"}}}, {command: {name: welcome, ttl: 1h}}]}
      hello: {actions: [{publish: {topic: "kafka:levels"}}]}
  silver:
    on:
      up: bronze
      note: {actions: [{notify: {to: crm, data: {level: "'silver'"}}}]}
`

// newBuyer is a workflow whose worker writes all records.
func newBuyer(t *testing.T, runEvents int) (*twinHarness, *kafkaLog) {
	t.Helper()
	h, k := newTwinHarness(t, buyerModel, runEvents), &kafkaLog{}
	h.workflow.Records = RecordSettings{Transitions: true, Commands: true}
	h.activities.Records = k
	h.activities.RecordTopics = RecordTopics{Transitions: "moves", Commands: "ends", Published: []string{"levels"}}
	h.activities.Receivers = map[string]string{"crm": "kafka:notes"}
	return h, k
}

func (h *twinHarness) events(after time.Duration, names ...string) {
	h.RegisterDelayedCallback(func() {
		for _, name := range names {
			m := event(name)
			m.Time = h.Now().UTC().Truncate(time.Millisecond)
			h.signalRaw(m)
		}
	}, after)
}

func TestRecordsOfAnEntity(t *testing.T) {
	h, k := newBuyer(t, 0)
	h.events(time.Second, "hello", "up")
	h.wire.hear = func(_ string, payload []byte) {
		var c struct{ ID string }
		if json.Unmarshal(payload, &c) == nil && c.ID != "" {
			h.RegisterDelayedCallback(func() {
				m := ack("welcome", c.ID, "rejected")
				m.Time = h.Now().UTC().Truncate(time.Millisecond)
				h.signalRaw(m)
			}, time.Second)
		}
	}
	h.events(10*time.Second, "note", "up")
	view := h.runUntil(time.Minute)
	want := strings.Join([]string{
		"levels pump-1 published pump-1 1",
		"moves pump-1 transition pump-1 2 from=bronze to=silver event=up",
		"levels pump-1 published pump-1 3 level=silver",
		"ends pump-1 command pump-1 4 name=welcome status=rejected",
		"moves pump-1 transition pump-1 5 from=silver to=bronze event=up",
		"notes pump-1 notification pump-1 to=crm",
	}, "\n")
	got := strings.Split(k.lines(t), "\n")
	slices.Sort(got) // a notification is an activity of its own
	sorted := strings.Split(want, "\n")
	slices.Sort(sorted)
	if strings.Join(got, "\n") != strings.Join(sorted, "\n") {
		t.Errorf("written\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(sorted, "\n"))
	}
	if numbers := k.numbers(); !slices.Equal(numbers, upTo(5)) {
		t.Errorf("numbers %v, want 1 to 5", numbers)
	}
	seen := map[string]bool{}
	for _, r := range k.written {
		if r.ID == "" || seen[r.ID] || !strings.HasPrefix(r.ID, view.Instance+"-") {
			t.Errorf("the id %q: expected one of its own, that begins with %s", r.ID, view.Instance)
		}
		seen[r.ID] = true
	}
	if len(view.Records.List) != 0 || view.ReportCount != 0 {
		t.Errorf("%d records wait, %d faults", len(view.Records.List), view.ReportCount)
	}
	var end commandRecord
	if err := json.Unmarshal(k.written[slices.IndexFunc(k.written, func(r KafkaRecord) bool { return r.Topic == "ends" })].Value, &end); err != nil {
		t.Fatal(err)
	}
	if end.ID == "" || end.Entity != testDevice || end.Model != "buyer" || end.Command == "" || end.By != "model" || end.Ended.IsZero() || end.Created.IsZero() {
		t.Errorf("end of a command: %+v", end)
	}
}

// While Kafka is down, commands leave and the state changes; then all is written, in order, and under
// the ids of the first attempts.
func TestRecordsWaitForKafka(t *testing.T) {
	h, k := newBuyer(t, 0)
	up := h.Now().Add(10 * time.Minute)
	ids := map[string]string{} // by number, of all attempts
	k.fails = func(_ int, r KafkaRecord) error {
		n := r.Headers[2].Value
		if before, ok := ids[n]; ok && before != r.ID {
			t.Errorf("record %s has the id %s, and had %s", n, r.ID, before)
		}
		ids[n] = r.ID
		if h.Now().Before(up) {
			return errKafkaDown
		}
		return nil
	}
	for i := range 6 {
		h.events(time.Duration(i+1)*time.Second, "up")
	}
	var meanwhile View
	sent := ""
	h.RegisterDelayedCallback(func() { meanwhile, sent = h.view(), h.wire.topics() }, 5*time.Minute)
	view := h.runUntil(30 * time.Minute)
	if meanwhile.StateName != "bronze" || len(meanwhile.Records.List) == 0 || strings.Count(sent, "/commands/welcome") == 0 {
		t.Errorf("while Kafka is down: state %s, %d records wait, sent\n%s", meanwhile.StateName, len(meanwhile.Records.List), sent)
	}
	numbers := k.numbers()
	if len(view.Records.List) != 0 || !slices.Equal(numbers, upTo(len(numbers))) || len(numbers) < 6+3 {
		t.Errorf("%d records wait, numbers %v", len(view.Records.List), numbers)
	}
}

// Of several records, those after one that fails are not written before it.
func TestNoRecordIsWrittenBeforeAnEarlierOne(t *testing.T) {
	h, k := newBuyer(t, 0)
	k.fails = func(attempt int, _ KafkaRecord) error {
		if attempt%3 == 2 {
			return errKafkaDown
		}
		return nil
	}
	for i := range 10 {
		h.events(time.Duration(i+1)*time.Minute, "hello", "up", "up", "hello")
	}
	view := h.runUntil(2 * time.Hour)
	if numbers := k.numbers(); len(view.Records.List) != 0 || !slices.Equal(numbers, upTo(len(numbers))) || len(numbers) < 50 {
		t.Errorf("%d records wait, numbers %v", len(view.Records.List), numbers)
	}
}

// A run hands what waits to the next, which writes it under the same ids.
func TestContinueAsNewCarriesRecords(t *testing.T) {
	first, down := newBuyer(t, 2)
	down.fails = func(int, KafkaRecord) error { return errKafkaDown }
	first.events(time.Second, "up", "up")
	first.run(Input{Device: testDevice, Model: first.model.Hash()})
	in := first.nextInput()
	waiting := in.State.Records.List
	if len(waiting) != 3 {
		t.Fatalf("%d records wait", len(waiting))
	}
	second, k := newBuyer(t, 0)
	second.SetStartTime(first.Now())
	second.state = in.State
	second.events(time.Second, "up")
	second.runUntil(time.Minute)
	for i, r := range waiting {
		if i >= len(k.written) || k.written[i].ID != r.ID {
			t.Errorf("record %d: not written under the id %s", i, r.ID)
		}
	}
	if numbers := k.numbers(); !slices.Equal(numbers, upTo(len(numbers))) || len(numbers) <= len(waiting) {
		t.Errorf("numbers %v", numbers)
	}
}

// So many records wait at most; then nothing is taken in before there is room.
func TestRecordsAreBounded(t *testing.T) {
	h, k := newBuyer(t, 0)
	up := h.Now().Add(time.Hour)
	k.fails = func(int, KafkaRecord) error {
		if h.Now().Before(up) {
			return errKafkaDown
		}
		return nil
	}
	const messages = 2 * fullRecords
	for i := range messages {
		h.events(time.Duration(i+1)*time.Second, "hello")
	}
	var meanwhile View
	h.RegisterDelayedCallback(func() { meanwhile = h.view() }, 50*time.Minute)
	view := h.runUntil(2 * time.Hour)
	if n := len(meanwhile.Records.List); n != fullRecords {
		t.Errorf("%d records wait, want %d", n, fullRecords)
	}
	if numbers := k.numbers(); !slices.Equal(numbers, upTo(messages)) || view.Delivery.Applied != messages {
		t.Errorf("%d applied; numbers up to %v, want %d", view.Delivery.Applied, numbers[max(0, len(numbers)-1):], messages)
	}
}

// What Kafka never takes, or the configuration does not allow, is a fault, and holds up nothing.
func TestRecordsThatAreRefused(t *testing.T) {
	h, k := newBuyer(t, 0)
	h.activities.RecordTopics.Published = []string{"others"}
	k.fails = func(_ int, r KafkaRecord) error {
		if r.Topic == "ends" {
			return fmt.Errorf("%w: too large", ErrRecordRefused)
		}
		return nil
	}
	h.events(time.Second, "up")
	h.operate(5*time.Second, order("x"))
	view := h.runUntil(3 * time.Hour) // the commands expire
	if got := k.lines(t); strings.Contains(got, "levels") || strings.Contains(got, "ends") || !strings.Contains(got, "to=silver") {
		t.Errorf("written\n%s", got)
	}
	reported := text(view.Reports)
	if len(view.Records.List) != 0 || !strings.Contains(reported, "publish to kafka:levels: not among the topics of Kafka") || !strings.Contains(reported, "too large") {
		t.Errorf("%d records wait, reports %s", len(view.Records.List), reported)
	}
}

// Without topics of their own, transitions and ends of commands make no records; a worker that lost its
// topics since says so.
func TestRecordsThatNobodyWants(t *testing.T) {
	h, k := newBuyer(t, 0)
	h.workflow.Records = RecordSettings{}
	h.events(time.Second, "up", "up")
	if view := h.runUntil(time.Minute); view.Records.Last != 1 || len(k.written) != 1 || k.written[0].Topic != "levels" {
		t.Errorf("%d records, written %v", view.Records.Last, k.written)
	}
	a := &Activities{}
	n, refused, err := a.writeRecords(t.Context(), Emission{Device: testDevice, Records: []Record{{Kind: RecordTransition}, {Kind: RecordCommand}, {Kind: RecordPublished, Topic: "x"}}})
	if n != 3 || len(refused) != 3 || err != nil {
		t.Errorf("%d done, refused %q, %v; want all refused", n, refused, err)
	}
}

// The last records of an entity are written before its workflow ends; if that is not possible, it
// ends nevertheless.
func TestTheLastRecordsOfAnEntity(t *testing.T) {
	for name, c := range map[string]struct {
		down time.Duration
		want bool
	}{
		"a short outage": {lastRecords / 2, true},
		"a long outage":  {24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, k := newBuyer(t, 0)
			up := h.Now().Add(c.down)
			k.fails = func(int, KafkaRecord) error {
				if h.Now().Before(up) {
					return errKafkaDown
				}
				return nil
			}
			h.events(time.Second, "up")
			h.operate(2*time.Second, Operation{Delete: true})
			h.run(Input{Device: testDevice, Model: h.model.Hash()})
			if err := h.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(k.lines(t), "to=silver"); got != c.want {
				t.Errorf("written: %t, want %t:\n%s", got, c.want, k.lines(t))
			}
		})
	}
}

// A run that began under an earlier release makes no records, and what a model publishes to Kafka is
// refused.
func TestRecordsUnderAnEarlierRelease(t *testing.T) {
	d := newCounting(t, rulesNow)
	d.recordTransition(devicefsm.Transition{From: "a", To: "b"})
	d.recordEnd(command.Command{ID: "x"})
	if d.state.Records.Last != 0 {
		t.Errorf("%d records", d.state.Records.Last)
	}
	a := &Activities{Dialect: standardDialect(), Topics: []string{"#", "+", "kafka:levels"}}
	if l, refused := a.publicationOf(testDevice, Outgoing{Topic: "kafka:levels"}); refused == "" || len(l.publications) != 0 {
		t.Errorf("published %v", l.publications)
	}
}

// A value that is too large is a fault, and no record.
func TestARecordThatIsTooLarge(t *testing.T) {
	d := newKeeping(t)
	d.recordPublished("levels", map[string]any{"x": strings.Repeat("x", maxRecordValue)})
	d.recordPublished("levels", nil)
	if len(d.state.Records.List) != 1 || d.state.Records.Last != 1 || string(d.state.Records.List[0].Value) != "{}" || d.state.ReportCount != 1 {
		t.Errorf("%d records, %d faults; want 1 and 1", len(d.state.Records.List), d.state.ReportCount)
	}
}

// Whatever is decided, and however much of each attempt is written: nothing is left out or
// passed over, no attempt is too large, and no more waits than has not been written.
func TestTheOutboxOfRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newKeeping(t)
		var written []uint64
		decided := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			for range rapid.IntRange(0, 5).Draw(t, "decided") {
				decided++
				size := rapid.SampledFrom([]int{0, 10, 1000, maxRecordValue - 100}).Draw(t, "size")
				d.recordPublished("t", map[string]any{"x": strings.Repeat("x", size)})
			}
			tried := d.state.Records.next()
			size := 0
			for _, r := range tried {
				size += len(r.Value)
			}
			if len(tried) > maxRecordCount || len(tried) > 1 && size > maxRecordBytes || len(tried) == 0 && len(d.state.Records.List) > 0 {
				t.Fatalf("%d records of %d bytes are tried", len(tried), size)
			}
			for range rapid.IntRange(0, 2).Draw(t, "decided meanwhile") {
				decided++
				d.recordPublished("t", nil)
			}
			n := rapid.IntRange(0, len(tried)).Draw(t, "written")
			for _, r := range tried[:n] {
				written = append(written, r.N)
			}
			d.state.Records.written(tried, n)
			if rapid.Bool().Draw(t, "continued as new") {
				d = continued(t, d)
			}
		}
		for i, n := range written {
			if n != uint64(i+1) {
				t.Fatalf("written %v", written)
			}
		}
		if len(written)+len(d.state.Records.List) != decided {
			t.Errorf("%d written and %d wait, of %d", len(written), len(d.state.Records.List), decided)
		}
	})
}

func TestNotificationsByKafka(t *testing.T) {
	k := &kafkaLog{}
	a := &Activities{Models: NewRegistry(), Records: k, Receivers: map[string]string{"crm": "kafka:notes"}}
	in := Invocation{ID: "x-1", Device: device.ID("customer/4711"), At: time.UnixMilli(5).UTC(), Arrived: time.UnixMilli(7).UTC(), Input: map[string]any{"to": "crm", "data": map[string]any{"level": "gold"}}}
	if err := a.Notify(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	r := k.written[0]
	if r.Topic != "notes" || r.Key != "customer/4711" || r.ID != "x-1" || !r.At.Equal(in.Arrived) || decoded(t, string(r.Value))["id"] != "x-1" {
		t.Errorf("%+v %s", r, r.Value)
	}
	k.fails = func(int, KafkaRecord) error { return errKafkaDown }
	if err := a.Notify(t.Context(), in); !errors.Is(err, errKafkaDown) {
		t.Errorf("%v, want it tried again", err)
	}
	k.fails = func(int, KafkaRecord) error { return ErrRecordRefused }
	if err := a.Notify(t.Context(), in); err == nil || !isFinal(err) {
		t.Errorf("%v, want an end", err)
	}
	a.Records = nil
	if err := a.Notify(t.Context(), in); err == nil || !isFinal(err) {
		t.Errorf("without Kafka: %v, want an end", err)
	}
}

// docs/kafka.md has records as they are written.
func TestRecordsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, value := range map[string]any{RecordTransition: &transitionRecord{}, RecordCommand: &commandRecord{}} {
		_, example, _ := strings.Cut(string(page), "```json "+kind+"\n")
		example, _, _ = strings.Cut(example, "```")
		d := json.NewDecoder(strings.NewReader(example))
		d.DisallowUnknownFields()
		if err := d.Decode(value); err != nil {
			t.Errorf("the example of a %s: %v", kind, err)
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := decoded(t, string(raw)), decoded(t, example); !reflect.DeepEqual(got, want) {
			t.Errorf("the example of a %s is\n%v\nand is written as\n%v", kind, want, got)
		}
		if !strings.Contains(string(page), "`"+kind+"`") {
			t.Errorf("the page does not name the kind %s", kind)
		}
	}
	for _, name := range []string{HeaderKind, HeaderNumber, HeaderEntity, RecordPublished, RecordNotification} {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("the page does not name %s", name)
		}
	}
}
