package device

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

const bookModel = `
model: book
process:
  event: [book, later]
  src: call
  to: billing
  input: {n: event.n}
  attempt_timeout: 10s
  deadline: 5m
  retry: {initial_interval: 1s, max_attempts: 4}
  queue: 10
context: {done: "", failed: ""}
initial: a
states:
  a:
    on: {error.process: {target: b, actions: [{assign: {failed: "string(event.number) + ': ' + event.message"}}]}}
  b: {}
on: {done.process: {actions: [{assign: {done: "context.done + string(event.number) + ' '"}}]}}
`

// counterparty is who is called.
type counterparty struct {
	mu      sync.Mutex
	calls   []bookCall
	running int
	atOnce  bool // two calls
	fail    func(number, attempt int) error
}

type bookCall struct {
	number, attempt int
	id              string
	n               float64
}

func (c *counterparty) call(_ context.Context, in Invocation) (map[string]any, error) {
	number := int(in.Input["number"].(float64))
	c.mu.Lock()
	c.running++
	c.atOnce = c.atOnce || c.running > 1
	attempt := 1
	for _, b := range c.calls {
		if b.number == number {
			attempt++
		}
	}
	n, _ := in.Input["data"].(map[string]any)["n"].(float64)
	c.calls = append(c.calls, bookCall{number, attempt, in.ID, n})
	fail := c.fail
	c.mu.Unlock()
	time.Sleep(time.Millisecond) // so that a second call at this time is seen
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if fail != nil {
		if err := fail(number, attempt); err != nil {
			return nil, err
		}
	}
	return map[string]any{"balance": 100 - n}, nil
}

// numbers are those called, each attempt on its own.
func (c *counterparty) numbers() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []int
	for _, b := range c.calls {
		list = append(list, b.number)
	}
	return list
}

// inOrder reports faults in the order of the calls, or in their ids.
func (c *counterparty) inOrder(t *testing.T, first, last int) {
	t.Helper()
	numbers := c.numbers()
	if !slices.IsSorted(numbers) {
		t.Errorf("called in the order %v", numbers)
	}
	want := []int{}
	for n := first; n <= last; n++ {
		want = append(want, n)
	}
	if got := slices.Compact(slices.Clone(numbers)); !slices.Equal(got, want) {
		t.Errorf("called for %v, want %v", got, want)
	}
	if c.atOnce {
		t.Error("two calls at once")
	}
	ids := map[string]int{}
	for _, b := range c.calls {
		if n, ok := ids[b.id]; ok && n != b.number {
			t.Errorf("events %d and %d have the id %s", n, b.number, b.id)
		}
		ids[b.id] = b.number
	}
	if len(ids) != len(want) {
		t.Errorf("%d ids of %d events", len(ids), len(want))
	}
}

func newBook(t *testing.T, replace, with string, runEvents int) (*twinHarness, *counterparty) {
	t.Helper()
	h := newTwinHarness(t, strings.Replace(bookModel, replace, with, 1), runEvents)
	c := &counterparty{}
	h.OnActivity(ActivityCall, mock.Anything, mock.Anything).Return(c.call)
	return h, c
}

func books(n ...float64) []device.Message {
	var list []device.Message
	for _, v := range n {
		list = append(list, device.Message{Channel: device.ChannelEvents, Name: "book", Data: map[string]any{"n": v}})
	}
	return list
}

func (h *twinHarness) room() Room {
	h.t.Helper()
	value, err := h.QueryWorkflow(QueryRoom)
	if err != nil {
		h.t.Fatal(err)
	}
	var room Room
	if err := value.Get(&room); err != nil {
		h.t.Fatal(err)
	}
	return room
}

var errAway = errors.New("the receiver does not answer")

// Each event is called for until it succeeds, in the order of the events, and never two at once.
func TestEventsAreProcessedOneByOne(t *testing.T) {
	h, c := newBook(t, "", "", 0)
	c.fail = func(number, attempt int) error {
		if attempt < 1+number%4 { // 1 to 4 attempts
			return errAway
		}
		return nil
	}
	h.at(time.Second, books(1, 2, 3, 4, 5)...)
	h.at(1500*time.Millisecond, books(6, 7, 8)...)
	view := h.runUntil(10 * time.Minute)
	c.inOrder(t, 1, 8)
	if got, want := len(c.calls), 2+3+4+1+2+3+4+1; got != want {
		t.Errorf("%d attempts, want %d", got, want)
	}
	for _, b := range c.calls {
		if b.n != float64(b.number) {
			t.Errorf("event %d is called with n %v", b.number, b.n)
		}
	}
	p := view.Process
	if p == nil || p.Done != 8 || p.Failed != 0 || len(p.Queue) != 0 || !p.Began.IsZero() || view.Snapshot.Context()["done"] != "1 2 3 4 5 6 7 8 " {
		t.Errorf("%+v, context %v", p, view.Snapshot.Context())
	}
}

// What fails permanently is an event for the chart, and the next has its turn.
func TestAnEventThatFailsPermanently(t *testing.T) {
	h, c := newBook(t, "", "", 0)
	c.fail = func(number, attempt int) error {
		switch number {
		case 2:
			return temporal.NewNonRetryableApplicationError("no such account", "refused", nil)
		case 4:
			return errAway
		}
		return nil
	}
	h.at(time.Second, books(1, 2, 3, 4, 5)...)
	view := h.runUntil(time.Hour)
	c.inOrder(t, 1, 5)
	if got := c.numbers(); !slices.Equal(got, []int{1, 2, 3, 4, 4, 4, 4, 5}) {
		t.Errorf("called for %v", got)
	}
	p := view.Process
	if p.Done != 3 || p.Failed != 2 || len(p.Queue) != 0 || p.Held != "" || len(p.Failures) != 2 || p.Failures[0].Number != 2 || p.Failures[0].Message != "no such account" || p.Failures[1].Message != errAway.Error() {
		t.Errorf("%+v", p)
	}
	if view.StateName != "b" || view.Snapshot.Context()["failed"] != "2: no such account" || view.Snapshot.Context()["done"] != "1 3 5 " {
		t.Errorf("in %s with %v", view.StateName, view.Snapshot.Context())
	}
	if len(view.Reports) != 2 || view.Reports[0].Reason != device.FaultAction || !strings.Contains(view.Reports[0].Detail, "event book, number 2, was not processed: no such account") {
		t.Errorf("faults %+v", view.Reports)
	}
	why := view.Why[len(view.Why)-1]
	if why.Event != "error.process" || why.Cause.Kind != CauseActivity || why.Cause.Name != ActivityCall || why.Cause.ID != p.Failures[0].ID {
		t.Errorf("why %+v", why)
	}
}

// An event whose input cannot be made fails in its turn, without a call.
func TestAnEventWithoutAnInput(t *testing.T) {
	h, c := newBook(t, "", "", 0)
	messages := books(1, 2, 3)
	messages[1].Data = map[string]any{"m": 1.0}
	h.at(time.Second, messages...)
	view := h.runUntil(time.Minute)
	if got := c.numbers(); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("called for %v", got)
	}
	if p := view.Process; p.Done != 2 || p.Failed != 1 || !strings.Contains(p.Failures[0].Message, "n") || view.Snapshot.Context()["done"] != "1 3 " {
		t.Errorf("%+v, context %v", p, view.Snapshot.Context())
	}
}

// The deadline is of all attempts, and begins with an event's turn.
func TestTheDeadlineOfAnEvent(t *testing.T) {
	h, c := newBook(t, "retry: {initial_interval: 1s, max_attempts: 4}", "retry: {initial_interval: 1m, backoff: 1}", 0)
	c.fail = func(number, _ int) error {
		if number == 1 {
			return errAway
		}
		return nil
	}
	h.at(time.Second, books(1, 2)...)
	var before View
	h.RegisterDelayedCallback(func() { before = h.view() }, 4*time.Minute)
	view := h.runUntil(time.Hour)
	if p := before.Process; p.Failed != 0 || len(p.Queue) != 2 {
		t.Errorf("before the deadline: %+v", p)
	}
	if p := view.Process; p.Done != 1 || p.Failed != 1 || p.Failures[0].At.Sub(before.Process.Began) > 5*time.Minute {
		t.Errorf("%+v, began %v", p, before.Process.Began)
	}
	if got := c.numbers(); len(got) < 6 || len(got) > 7 {
		t.Errorf("called for %v; want an attempt each minute, five or six, and then the next event", got)
	}
}

// A queue that holds waits for an operator, who has the event tried again, or skips it.
func TestAQueueThatHolds(t *testing.T) {
	h, c := newBook(t, "  queue: 10", "  queue: 10\n  on_failure: hold", 0)
	wrong := true
	c.fail = func(number, attempt int) error {
		if number == 2 && wrong || number == 4 {
			return temporal.NewNonRetryableApplicationError("no such account", "refused", nil)
		}
		return nil
	}
	decide := func(after time.Duration, d ProcessDecision) *asked {
		return h.operate(after, Operation{Process: &d})
	}
	early := decide(500*time.Millisecond, ProcessDecision{Do: ProcessRetry})
	h.at(time.Second, books(1, 2, 3, 4, 5)...)
	var held View
	h.RegisterDelayedCallback(func() { held = h.view() }, time.Hour)
	other := decide(time.Hour+time.Second, ProcessDecision{ID: "another", Do: ProcessRetry})
	strange := decide(time.Hour+2*time.Second, ProcessDecision{Do: "forget"})
	h.RegisterDelayedCallback(func() { c.mu.Lock(); defer c.mu.Unlock(); wrong = false }, time.Hour+3*time.Second)
	retry := decide(time.Hour+4*time.Second, ProcessDecision{Do: ProcessRetry})
	skip := decide(2*time.Hour, ProcessDecision{Do: ProcessSkip})
	view := h.runUntil(3 * time.Hour)

	if p := held.Process; p.Held != "no such account" || len(p.Queue) != 4 || p.Queue[0].Number != 2 || p.Failed != 1 || held.StateName != "b" {
		t.Errorf("held: %+v in %s", p, held.StateName)
	}
	for what, c := range map[string]struct {
		a    *asked
		code int
	}{"nothing is held": {early, 409}, "another event": {other, 412}, "another word": {strange, 400}, "retry": {retry, 0}, "skip": {skip, 0}} {
		if got := code(c.a.only(t)); got != c.code {
			t.Errorf("%s: code %d, want %d", what, got, c.code)
		}
	}
	if d := retry.only(t).Decided; d == nil || d.Number != 2 || d.Event != "book" || d.Waiting != 4 {
		t.Errorf("decided %+v", d)
	}
	if got := c.numbers(); !slices.Equal(got, []int{1, 2, 2, 3, 4, 5}) || c.atOnce {
		t.Errorf("called for %v", got)
	}
	if p := view.Process; p.Done != 4 || p.Failed != 2 || p.Skipped != 1 || len(p.Queue) != 0 || p.Held != "" || view.Snapshot.Context()["done"] != "1 2 3 5 " {
		t.Errorf("%+v, context %v", p, view.Snapshot.Context())
	}
}

// newHeld is newBook with a queue that holds, and a chart that goes on when an event is skipped.
func newHeld(t *testing.T) (*twinHarness, *counterparty) {
	t.Helper()
	model := strings.NewReplacer(
		"  queue: 10", "  queue: 10\n  on_failure: hold",
		"  b: {}", "  b: {on: {operator.process: {guard: \"event.do == 'skip'\", target: a}}}",
	).Replace(bookModel)
	h := newTwinHarness(t, model, 0)
	c := &counterparty{}
	h.OnActivity(ActivityCall, mock.Anything, mock.Anything).Return(c.call)
	return h, c
}

// A decision is an event for the chart. It is kept with the failure that it is about, and among the
// reasons, also if the chart does not take it; repeated with its key, it is made once.
func TestADecisionIsToldAndKept(t *testing.T) {
	h, c := newHeld(t)
	c.fail = func(number, _ int) error {
		if number == 1 {
			return temporal.NewNonRetryableApplicationError("no such account", "refused", nil)
		}
		return nil
	}
	h.at(time.Second, books(1)...)
	var held, tried View
	h.RegisterDelayedCallback(func() { held = h.view() }, 30*time.Minute)
	retry := Operation{ID: "k1", Who: "ann", Process: &ProcessDecision{Do: ProcessRetry, Note: "the account is there now"}}
	first := h.operate(time.Hour, retry)
	again := h.operate(time.Hour+time.Second, retry)
	h.RegisterDelayedCallback(func() { tried = h.view() }, 90*time.Minute)
	skip := h.operate(2*time.Hour, Operation{ID: "k2", Who: "bob", Process: &ProcessDecision{Do: ProcessSkip, Note: "booked by hand"}})
	view := h.runUntil(3 * time.Hour)

	if got := c.numbers(); !slices.Equal(got, []int{1, 1}) {
		t.Errorf("called for %v: a repeated decision is another one", got)
	}
	for what, a := range map[string]*asked{"retry": first, "again": again, "skip": skip} {
		if d := a.only(t).Decided; d == nil || d.Number != 1 {
			t.Errorf("%s: %+v", what, a.only(t))
		}
	}
	p := view.Process
	if len(p.Failures) != 2 || p.Failures[0].Decision == nil || p.Failures[1].Decision == nil {
		t.Fatalf("failures %+v", p.Failures)
	}
	if d := *p.Failures[0].Decision; d.Do != ProcessRetry || d.Who != "ann" || d.Note != "the account is there now" || d.At.IsZero() {
		t.Errorf("the first decision: %+v", d)
	}
	if d := *p.Failures[1].Decision; d.Do != ProcessSkip || d.Who != "bob" || d.Note != "booked by hand" {
		t.Errorf("the second decision: %+v", d)
	}
	var told []string
	for _, r := range view.Why {
		if r.Event == device.EventProcess {
			told = append(told, fmt.Sprintf("%s>%s %s %s %s", r.From, r.To, r.Cause.Kind, r.Cause.Name, r.Cause.Who))
			if !strings.Contains(string(r.Data), `"event":"book"`) || !strings.Contains(string(r.Data), `"note":"`) {
				t.Errorf("data %s", r.Data)
			}
		}
	}
	if want := []string{"b>b operation process ann", "b>a operation process bob"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if view.StateName != "a" || p.Skipped != 1 || len(p.Queue) != 0 {
		t.Errorf("in %s, %+v", view.StateName, p)
	}
	for what, v := range map[string]struct {
		view   View
		word   string
		failed int64
	}{"held": {held, ProcessingHeld, 1}, "tried again": {tried, ProcessingHeld, 2}, "skipped": {view, "", 2}} {
		if a := v.view.Attributes; a.Processing != v.word || a.ProcessFailed != v.failed {
			t.Errorf("%s: search attributes %q, %d failed; want %q, %d", what, a.Processing, a.ProcessFailed, v.word, v.failed)
		}
	}
}

// Lists show what waits for a minute, or fills the queue, until the queue is empty.
func TestWhatWaitsIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		events []float64
		until  time.Duration // there is no receiver
		want   []string      // after 30 s, 90 s and 4 min
	}{
		"soon done":  {[]float64{1, 2}, 20 * time.Second, []string{"", "", ""}},
		"one waits":  {[]float64{1}, 3 * time.Minute, []string{"", ProcessingWaiting, ""}},
		"full":       {[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 3 * time.Minute, []string{ProcessingWaiting, ProcessingWaiting, ""}},
		"none comes": {nil, 0, []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			h, p := newBook(t, "retry: {initial_interval: 1s, max_attempts: 4}", "retry: {initial_interval: 25s, backoff: 1}", 0)
			away := true
			p.fail = func(int, int) error {
				if away {
					return errAway
				}
				return nil
			}
			h.at(time.Second, books(c.events...)...)
			var got []string
			for _, after := range []time.Duration{30 * time.Second, 90 * time.Second, 4 * time.Minute} {
				h.RegisterDelayedCallback(func() { got = append(got, h.view().Attributes.Processing) }, after)
			}
			h.RegisterDelayedCallback(func() { p.mu.Lock(); defer p.mu.Unlock(); away = false }, c.until)
			h.runUntil(5 * time.Minute)
			if !slices.Equal(got, c.want) {
				t.Errorf("shown %q, want %q", got, c.want)
			}
		})
	}
}

// A run that began before decisions were events goes on as it did.
func TestARunBeforeDecisionsWereEvents(t *testing.T) {
	model, err := devicefsm.Load("book.yaml", []byte(bookModel))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, version := range []int{0, processShown} {
		snapshot, _ := model.Start(now)
		d := &run{model: model, settings: runSettings{Rules: rulesNow, Process: version}, state: &State{Snapshot: snapshot, Process: &Processing{
			Queue: []Queued{{ID: "e1", Number: 1, Event: "book"}}, Number: 1, Held: "no", Failed: 1, Failures: []ProcessFailure{{ID: "e1", Number: 1}},
		}}}
		r := d.operateProcess(ProcessDecision{Do: ProcessSkip}, now, Cause{Kind: CauseOperation, Who: "ann"})
		told := version >= processShown
		if r.Decided == nil || (len(d.state.Why) > 0) != told || (d.state.Process.Failures[0].Decision != nil) != told {
			t.Errorf("version %d: %+v, reasons %+v, %+v", version, r, d.state.Why, d.state.Process)
		}
		d.state.Process.Queue, d.state.Process.Began = []Queued{{ID: "e2"}}, now
		if _, due := d.waitingDue(); due != told {
			t.Errorf("version %d: a timer for what waits: %v", version, due)
		}
	}
}

// A full queue has no room for bridges, and refuses operators; what is delivered nevertheless is
// taken.
func TestAFullQueue(t *testing.T) {
	h, c := newBook(t, "retry: {initial_interval: 1s, max_attempts: 4}", "retry: {initial_interval: 1s, backoff: 1}", 0)
	away := true
	c.fail = func(int, int) error {
		if away {
			return errAway
		}
		return nil
	}
	var empty, some, full Room
	h.RegisterDelayedCallback(func() { empty = h.room() }, 500*time.Millisecond)
	h.at(time.Second, books(1, 2, 3)...)
	h.RegisterDelayedCallback(func() { some = h.room() }, 1500*time.Millisecond)
	h.at(2*time.Second, books(4, 5, 6, 7, 8, 9, 10, 11, 12)...)
	h.RegisterDelayedCallback(func() { full = h.room() }, 3*time.Second)
	refused := h.operate(4*time.Second, Operation{Event: &OperatorEvent{Name: "later", Data: map[string]any{"n": 1.0}}})
	h.RegisterDelayedCallback(func() { c.mu.Lock(); defer c.mu.Unlock(); away = false }, 5*time.Second)
	taken := h.operate(time.Minute, Operation{Event: &OperatorEvent{Name: "later", Data: map[string]any{"n": 13.0}}})
	view := h.runUntil(2 * time.Minute)
	if empty != (Room{Free: 10}) || some != (Room{Free: 7, Waiting: 3}) || full != (Room{Free: 0, Waiting: 12}) {
		t.Errorf("room %+v, %+v, %+v", empty, some, full)
	}
	if r := refused.only(t); code(r) != 429 {
		t.Errorf("an event for which there is no room: %+v", r)
	}
	if r := taken.only(t); r.Taken == nil {
		t.Errorf("an event for which there is room: %+v", r)
	}
	c.inOrder(t, 1, 13)
	if p := view.Process; p.Done != 13 || p.Failed != 0 {
		t.Errorf("%+v", p)
	}
}

func TestRoomInBytes(t *testing.T) {
	d := &run{state: &State{}, model: loadText(t, bookModel)}
	d.state.Process = &Processing{Policy: mustProcess(t, d), Queue: []Queued{{Data: []byte(strings.Repeat("1", maxQueueBytes))}}}
	if room := d.room(); room.Free != 0 || room.Unbounded || d.state.Process.hasTooMany() {
		t.Errorf("room %+v of a queue with %d bytes", room, maxQueueBytes)
	}
	d.state.Process.Queue = append(d.state.Process.Queue, d.state.Process.Queue[0])
	if !d.state.Process.hasTooMany() {
		t.Error("signals are taken into a queue of a MiB")
	}
	d.state.Process.Queue = make([]Queued, hardQueue)
	if !d.state.Process.hasTooMany() {
		t.Errorf("signals are taken into a queue of %d", hardQueue)
	}
	// An entity whose model processes nothing any more.
	d.model = loadText(t, "{initial: a, states: {a: {}}}")
	if d.room().Unbounded {
		t.Error("what waits of the model before is not bounded")
	}
	if d.state.Process.Queue = nil; !d.room().Unbounded {
		t.Error("the model processes nothing, and has bounds")
	}
}

// A run that is long ends when the call under way has, and the next goes on with the queue.
func TestAQueueGoesOnInTheNextRun(t *testing.T) {
	h := newTwinHarness(t, bookModel, 5)
	first := &counterparty{}
	h.OnActivity(ActivityCall, mock.Anything, mock.Anything).Return(first.call).After(10 * time.Second)
	h.at(time.Second, books(1)...)
	h.at(2*time.Second, books(2, 3, 4, 5, 6, 7, 8)...)
	var during View
	h.RegisterDelayedCallback(func() { during = h.view() }, 5*time.Second)
	h.run(Input{Device: h.id, Model: h.model.Hash()})
	in := h.nextInput()
	if p := during.Process; p == nil || len(p.Queue) != 8 || during.Runs != 0 {
		t.Errorf("while the call is under way: %+v in run %d", p, during.Runs)
	}
	if p := in.State.Process; len(p.Queue) != 7 || p.Queue[0].Number != 2 || p.Done != 1 || !p.Began.IsZero() || p.Number != 8 {
		t.Errorf("handed over: %+v", p)
	}
	first.inOrder(t, 1, 1)

	next, second := newBook(t, "", "", 1000)
	next.state, next.seq = in.State, 8
	next.at(time.Second, books(9)...)
	view := next.runUntil(time.Minute)
	second.inOrder(t, 2, 9)
	if p := view.Process; p.Done != 9 || len(p.Queue) != 0 || view.Snapshot.Context()["done"] != "1 2 3 4 5 6 7 8 9 " {
		t.Errorf("%+v, context %v", p, view.Snapshot.Context())
	}
	if second.calls[0].id == first.calls[0].id {
		t.Error("two events with one id")
	}
}

// A run that has to end at its last bound recalls the call under way: the next run goes on with
// the same event, under its id and within its deadline.
func TestACallIsRecalled(t *testing.T) {
	h, c := newBook(t, "retry: {initial_interval: 1s, max_attempts: 4}", "retry: {initial_interval: 1m, backoff: 1}", 0)
	c.fail = func(int, int) error { return errAway }
	h.at(time.Second, books(1, 2)...)
	h.RegisterDelayedCallback(func() { h.SetCurrentHistoryLength(hardHistory) }, 90*time.Second)
	h.at(91*time.Second, books(3)...)
	h.run(Input{Device: h.id, Model: h.model.Hash()})
	in := h.nextInput()
	p := in.State.Process
	if len(p.Queue) != 3 || p.Queue[0].Number != 1 || p.Failed != 0 || p.Began.IsZero() {
		t.Fatalf("handed over: %+v", p)
	}
	calls := len(c.calls)

	next, again := newBook(t, "retry: {initial_interval: 1s, max_attempts: 4}", "retry: {initial_interval: 1m, backoff: 1}", 0)
	next.SetStartTime(p.Began.Add(4 * time.Minute))
	again.fail = func(number, _ int) error {
		if number == 1 {
			return errAway
		}
		return nil
	}
	next.state = in.State
	view := next.runUntil(time.Hour)
	if calls == 0 || again.calls[0].id != c.calls[0].id {
		t.Errorf("called again as %s, before as %s", again.calls[0].id, c.calls[0].id)
	}
	if p := view.Process; p.Failed != 1 || p.Done != 2 {
		t.Errorf("%+v", p)
	}
	if failed := view.Process.Failures[0].At; failed.Sub(in.State.Process.Began) > 5*time.Minute+time.Second {
		t.Errorf("failed %v after its turn came, with a deadline of 5m", failed.Sub(in.State.Process.Began))
	}
}

// What is deleted is not processed any more.
func TestADeletedEntityProcessesNothing(t *testing.T) {
	h, c := newBook(t, "retry: {initial_interval: 1s, max_attempts: 4}", "retry: {initial_interval: 1m}", 0)
	c.fail = func(int, int) error { return errAway }
	h.at(time.Second, books(1, 2)...)
	h.operate(2*time.Second, Operation{Delete: true})
	h.run(Input{Device: h.id, Model: h.model.Hash()})
	if err := h.GetWorkflowError(); err != nil {
		t.Error(err)
	}
	if got := c.numbers(); !slices.Equal(got, []int{1}) {
		t.Errorf("called for %v", got)
	}
}

func TestProcessIsCounted(t *testing.T) {
	h, c := newBook(t, "", "", 0)
	h.workflow.Counts = NewCounts()
	c.fail = func(number, _ int) error {
		if number == 2 {
			return temporal.NewNonRetryableApplicationError("no", "refused", nil)
		}
		return nil
	}
	h.at(time.Second, books(1, 2, 3)...)
	h.runUntil(time.Minute)
	for outcome, want := range map[string]uint64{outcomeDone: 2, outcomeFailed: 1, outcomeSkipped: 0} {
		if got := h.workflow.Counts.Processed[outcome].Load(); got != want {
			t.Errorf("%d %s, want %d", got, outcome, want)
		}
	}
	if got := fmt.Sprint(h.workflow.Counts); !strings.Contains(got, "process") {
		t.Errorf("counted:\n%s", got)
	}
}

func loadText(t *testing.T, src string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("book.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustProcess(t *testing.T, d *run) devicefsm.Process {
	t.Helper()
	p, ok := d.model.Process()
	if !ok {
		t.Fatal("the model processes nothing")
	}
	return p
}

// What waits when the device gets another model is processed as it was queued, by the retries and the
// deadline of the model before if the new one processes nothing.
func TestTheQueueOfAModelThatWasChanged(t *testing.T) {
	h, c := newBook(t, "", "", 0)
	valve := loadValve(t)
	h.workflow.Models = NewRegistry(valve, h.model)
	away := true
	c.fail = func(number, _ int) error {
		if away || number == 3 {
			return errAway
		}
		return nil
	}
	h.at(time.Second, books(1, 2, 3, 4)...)
	h.RegisterDelayedCallback(func() { c.mu.Lock(); defer c.mu.Unlock(); away = false }, 3*time.Second)
	h.at(2500*time.Millisecond, named(valve))
	h.at(2600*time.Millisecond, books(5)...) // the valve does not process it
	view := h.runNamed(true, 10*time.Minute)
	if got := slices.Compact(c.numbers()); !slices.Equal(got, []int{1, 2, 3, 4}) || c.atOnce {
		t.Errorf("called for %v", got)
	}
	if p := view.Process; view.ModelName != "valve" || p.Done != 3 || p.Failed != 1 || len(p.Queue) != 0 || p.Failures[0].Number != 3 {
		t.Errorf("model %s, %+v", view.ModelName, p)
	}
}
