package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	deviceworkflow "devicetwin/workflows/device"
)

// billing is who is called for each event. It fails at random, before it has done what it is asked
// for and after it, and it keeps a ledger.
type billing struct {
	t      *testing.T
	reject func(id string, n int) bool // permanently
	away   func(id string) bool        // for now; nil: for nobody

	mu       sync.Mutex
	random   *rand.Rand
	busy     map[string]bool     // entities with a call that is under way
	ledger   map[string][]booked // of each entity, each event once, in the order in which it was done or refused
	known    map[string]bool     // ids
	attempts int
	failed   int // calls that were answered as if the receiver were down, before or after it did what it was asked for
	repeated int // calls for what was done before
}

type booked struct {
	number  int
	source  string
	n       int
	refused bool
}

// refused are the numbers of an entity's events that were refused, in the order in which they were.
func (b *billing) refused(id string) []uint64 {
	var numbers []uint64
	for _, e := range b.ledger[id] {
		if e.refused {
			numbers = append(numbers, uint64(e.number))
		}
	}
	return numbers
}

func (b *billing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call struct {
		ID, Device, Event string
		Number            int
		Data              struct {
			N      int
			Source string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil || call.ID != r.Header.Get("Idempotency-Key") || call.Event != "book" {
		b.t.Errorf("call %+v: %v", call, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.attempts++
	if b.busy[call.Device] {
		b.t.Errorf("%s: two calls at once", call.Device)
	}
	b.busy[call.Device] = true
	fate, pause := b.random.IntN(100), time.Duration(b.random.IntN(4))*time.Millisecond
	b.mu.Unlock()
	time.Sleep(pause)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy[call.Device] = false
	if fate < 10 || b.away != nil && b.away(call.Device) {
		b.failed++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	refused := b.reject(call.Device, call.Data.N)
	if b.known[call.ID] {
		b.repeated++
	} else {
		b.known[call.ID] = true
		b.ledger[call.Device] = append(b.ledger[call.Device], booked{call.Number, call.Data.Source, call.Data.N, refused})
	}
	switch {
	case fate < 20: // it is done, or refused, and nobody hears of it
		b.failed++
		w.WriteHeader(http.StatusBadGateway)
		return
	case refused:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	_, _ = fmt.Fprintf(w, `{"entries": %d}`, len(b.ledger[call.Device]))
}

func newBilling(t *testing.T, reject func(id string, n int) bool) *billing {
	return &billing{
		t: t, reject: reject, random: rand.New(rand.NewPCG(1, 2)), busy: map[string]bool{},
		ledger: map[string][]booked{}, known: map[string]bool{},
	}
}

// permanent is whether an event is refused: about one in thirty, the same ones in every run.
func permanent(id string, n int) bool {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s %d", id, n)
	return h.Sum32()%30 == 0
}

// sizeOf is a number of the environment: what CI affords is the default.
func sizeOf(t *testing.T, variable string, usual int) int {
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: expected an integer of at least 1", variable, text)
	}
	return n
}

// Two bridges deliver the messages of the same devices at once, to workers one of which is killed,
// in runs that end again and again, while a receiver fails at random, and for some events permanently. Each
// event is processed once, in the order of the numbers that it was given, and none at the time of another of
// the same device; of each bridge, they are in the order in which they were sent. What failed
// permanently is in the state that the model has for it, and among the device's failures.
//
// ONE_ENTITIES and ONE_EVENTS, of each bridge for each entity, are its size: docs/performance.md.
func TestMessagesOfTwoBridgesAreProcessedOneByOne(t *testing.T) {
	devices, each := sizeOf(t, "ONE_ENTITIES", 60), sizeOf(t, "ONE_EVENTS", 10)
	b := newBilling(t, permanent)
	receiver := httptest.NewServer(b)
	defer receiver.Close()
	const model = "testdata/book.yaml"
	s := startSystemWriting(t, stack.Options{}, nil, 8, func(c *service.Config) { // several runs
		c.Model.Model = model
		c.MQTT.TopicPrefix = "left"
		c.Worker.Notify = map[string]string{"billing": receiver.URL}
	})
	program := func(name string, args ...string) (*process.Process, string) {
		http := "127.0.0.1:" + freePort(t)
		return background(t, "devicetwin", append([]string{name, "--http-listen", http, "--temporal-address", s.Temporal.Addr(), "--temporal-namespace", stack.Namespace,
			"--influx-url", "", "--model", "deploy/devstack/e2e/" + model, "--mqtt-url", s.MQTT.URL()}, args...)...), http
	}
	bridge, bridgeHTTP := program("bridge", "--bridge-id", "right", "--mqtt-topic-prefix", "right", "--bridge-quota-rate", "0")
	worker, workerHTTP := program("worker", "--worker-credentials", t.TempDir(), "--worker-notify", "billing="+receiver.URL, "--worker-run-events", "8", "--mqtt-topic-prefix", "left")
	awaitReady(t, bridgeHTTP)
	awaitReady(t, workerHTTP)

	name := func(i int) string { return fmt.Sprintf("till-%d", i) }
	var sending sync.WaitGroup
	began := time.Now()
	half := make(chan struct{}, 2)
	for _, source := range []string{"left", "right"} {
		publisher := connect(t, s.MQTT.URL(), "tills-"+source)
		sending.Go(func() {
			for n := 1; n <= each; n++ {
				for i := range devices {
					token := publisher.client.Publish(fmt.Sprintf("%s/%s/events/book", source, name(i)), 1, false, fmt.Sprintf(`{"n":%d,"source":%q}`, n, source))
					if !token.WaitTimeout(patience) || token.Error() != nil {
						t.Errorf("publish: %v", token.Error())
						return
					}
				}
				if n == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	<-half
	worker.Kill()
	worker, workerHTTP = program("worker", "--worker-credentials", t.TempDir(), "--worker-notify", "billing="+receiver.URL, "--worker-run-events", "8", "--mqtt-topic-prefix", "left")
	<-half
	bridge.Kill()
	bridge, bridgeHTTP = program("bridge", "--bridge-id", "right", "--mqtt-topic-prefix", "right", "--bridge-quota-rate", "0")
	awaitReady(t, bridgeHTTP)
	awaitReady(t, workerHTTP)
	sending.Wait()

	runs, failures := 0, 0
	for i := range devices {
		id := name(i)
		eventuallyWithin(t, 3*time.Minute, 200*time.Millisecond, id+" has processed everything", func(ctx context.Context) bool {
			view, err := s.twins.Describe(ctx, device.ID(id))
			if err != nil || view.Process == nil || view.Process.Number < uint64(2*each) || len(view.Process.Queue) > 0 {
				return false
			}
			runs += view.Runs
			p, of := view.Process, view.Snapshot.Context()
			b.mu.Lock()
			defer b.mu.Unlock()
			refused := b.refused(id)
			failed := uint64(len(refused))
			failures += len(refused)
			if p.Number != uint64(2*each) || p.Failed != failed || p.Done != uint64(2*each)-failed || of["done"] != float64(p.Done) || (view.StateName == "trouble") != (failed > 0) {
				t.Errorf("%s: %+v, in %s with %v, %d were refused", id, p, view.StateName, of, failed)
			}
			var kept []uint64
			for _, f := range p.Failures {
				kept = append(kept, f.Number)
				if !strings.Contains(f.Message, "422") {
					t.Errorf("%s: event %d failed with %q", id, f.Number, f.Message)
				}
			}
			if last := refused[max(0, len(refused)-16):]; !slices.Equal(kept, last) || failed > 0 && !strings.Contains(fmt.Sprint(of["failed"]), "422") {
				t.Errorf("%s: failed %v, %v; the last that were refused: %v", id, of["failed"], kept, last)
			}
			return true
		})
	}
	took := time.Since(began)
	b.mu.Lock()
	defer b.mu.Unlock()
	total := 0
	for i := range devices {
		id := name(i)
		last, of := 0, map[string]int{}
		for _, e := range b.ledger[id] {
			if e.number != last+1 {
				t.Errorf("%s: event %d after event %d", id, e.number, last)
			}
			if e.n != of[e.source]+1 {
				t.Errorf("%s: of the bridge of %s, message %d, want %d", id, e.source, e.n, of[e.source]+1)
			}
			last, of[e.source] = e.number, e.n
			total++
		}
		if of["left"] != each || of["right"] != each {
			t.Errorf("%s: processed up to %v of each bridge, want %d", id, of, each)
		}
	}
	if b.repeated == 0 || runs < devices || failures == 0 {
		t.Errorf("%d repetitions, %d ends of runs, %d permanent failures: too few to show anything", b.repeated, runs, failures)
	}
	t.Logf("%d events of %d entities from two bridges in %v (%.0f a second): %d calls, %d of them failed, %d came again after they had been done; %d events failed permanently; %d ends of runs",
		total, devices, took.Round(time.Second), float64(total)/took.Seconds(), b.attempts, b.failed, b.repeated, failures, runs)
	_, _ = bridge, worker
}

// TestRecordProcessed is TestRecordHistories for a device whose events are processed one by one, over
// the ends of runs, with calls that fail and one that fails permanently.
func TestRecordProcessed(t *testing.T) {
	const name, events, model = "processed", 20, "testdata/book.yaml"
	b := newBilling(t, func(_ string, n int) bool { return n == 5 })
	receiver := httptest.NewServer(b)
	defer receiver.Close()
	s := startSystemWriting(t, stack.Options{}, nil, 6, func(c *service.Config) {
		c.Model.Model = model
		c.Worker.Notify = map[string]string{"billing": receiver.URL}
	})
	d := connect(t, s.MQTT.URL(), name)
	for n := 1; n <= events; n++ {
		d.publish("devices/"+name+"/events/book", fmt.Sprintf(`{"epoch":1,"seq":%d,"n":%d,"source":"it"}`, n, n))
	}
	eventually(t, "everything is processed", func(ctx context.Context) bool {
		view, err := s.twins.Describe(ctx, name)
		return err == nil && view.Process != nil && view.Process.Done == events-1 && view.Process.Failed == 1 && view.Runs > 0 && view.StateName == "trouble"
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attempts == events {
		t.Error("no call has failed")
	}
	if *record {
		recordRuns(t, s, deviceworkflow.WorkflowID(name), filepath.Join(historiesDir, name))
		recordModel(t, model)
	}
}

// TestRecordDecided is TestRecordHistories for a device whose queue holds at what failed permanently: people
// find it by search, have one event tried again, and skip another.
func TestRecordDecided(t *testing.T) {
	const name, events, model = "decided", 12, "testdata/held.yaml"
	var opened atomic.Bool
	b := newBilling(t, func(_ string, n int) bool { return n == 2 && !opened.Load() || n == 9 })
	receiver := httptest.NewServer(b)
	defer receiver.Close()
	s := startSystemWriting(t, stack.Options{}, nil, 4, func(c *service.Config) {
		c.Model.Model = model
		c.Worker.Notify = map[string]string{"billing": receiver.URL}
	})
	operator := operatorOf(t, s, "")
	d := connect(t, s.MQTT.URL(), name)
	for n := 1; n <= events; n++ {
		d.publish("devices/"+name+"/events/book", fmt.Sprintf(`{"epoch":1,"seq":%d,"n":%d,"source":"it"}`, n, n))
	}
	// held is the device when an event holds its queue, as people find it.
	held := func(number uint64) (p api.Processing) {
		t.Helper()
		eventually(t, fmt.Sprintf("event %d holds the queue", number), func(ctx context.Context) bool {
			shown, err := operator.Device(ctx, name)
			if err != nil || shown.Processing == nil || shown.Processing.Held == "" || shown.Processing.First.Number != number {
				return false
			}
			p = *shown.Processing
			page, err := operator.Devices(ctx, "processing:held process_failed>=1 state:trouble", 10, "")
			return err == nil && len(page.Devices) == 1 && page.Devices[0].ID == name && page.Devices[0].Processing == api.ProcessingHeld
		})
		return p
	}
	first := held(2)
	if len(first.Queue) == 0 || first.Queue[0].Number != 2 || first.Done != 1 {
		t.Errorf("held: %+v", first)
	}
	_, err := operator.DecideProcess(t.Context(), name, api.ProcessDecision{ID: "another", Do: "retry"})
	expectStatus(t, err, http.StatusPreconditionFailed)
	opened.Store(true)
	if decided, err := operator.DecideProcess(t.Context(), name, api.ProcessDecision{ID: first.First.ID, Do: "retry", Note: "the account is open"}); err != nil || decided.Number != 2 {
		t.Fatalf("decided %+v, %v", decided, err)
	}
	second := held(9)
	if decided, err := operator.DecideProcess(t.Context(), name, api.ProcessDecision{Do: "skip", Note: "booked by hand"}); err != nil || decided.Number != 9 || decided.ID != second.First.ID {
		t.Fatalf("decided %+v, %v", decided, err)
	}
	var shown api.Device
	eventually(t, "everything is processed", func(ctx context.Context) bool {
		var err error
		shown, err = operator.Device(ctx, name)
		return err == nil && shown.Processing.Done == events-1 && shown.Processing.Waiting == 0
	})
	p := shown.Processing
	if p.Failed != 2 || p.Skipped != 1 || p.State != "" || len(p.Failures) != 2 || p.Failures[0].Decision == nil || p.Failures[0].Decision.Note != "the account is open" ||
		p.Failures[1].Decision == nil || p.Failures[1].Decision.Do != "skip" || shown.State != "fine" || string(shown.Context) != fmt.Sprintf(`{"decided":"skip by anonymous","done":%d}`, events-1) {
		t.Errorf("%+v, in %s with %s", p, shown.State, shown.Context)
	}
	why, err := operator.Why(t.Context(), name, 20)
	told := slices.DeleteFunc(why.Transitions, func(r api.Transition) bool { return r.Event != device.EventProcess })
	if err != nil || len(told) != 2 || told[0].To != "fine" || told[1].To != "trouble" || told[0].Cause.Name != "process" || told[0].Cause.Who != "anonymous" {
		t.Errorf("why %+v, %v", told, err)
	}
	view, err := s.twins.Describe(t.Context(), name)
	if err != nil || view.Runs == 0 {
		t.Errorf("%d ends of runs, %v", view.Runs, err)
	}
	if *record {
		recordRuns(t, s, deviceworkflow.WorkflowID(name), filepath.Join(historiesDir, name))
		recordModel(t, model)
	}
}
