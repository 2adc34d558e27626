package device

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// receiver keeps the bodies that were posted to it; it answers 503 to the first few.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	away   int
	bodies []string
}

func newReceiver(t *testing.T, away int) *receiver {
	r := &receiver{away: away}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies = append(r.bodies, string(raw))
		if len(r.bodies) <= r.away {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func decoded(t *testing.T, body string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

// activityEnvironment runs one activity.
func activityEnvironment(activity any) *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(activity)
	return env
}

func TestNotificationsAreDocumented(t *testing.T) {
	postIsDocumented(t, "Notifications", "notification", func(a *Activities) any { return a.Notify }, "to", "data")
}

// postIsDocumented tests that a section of docs/models.md has the body that an activity posts, as it
// is sent, in a block of JSON with a mark, and a line for each of its keys. Some keys are those of the
// activity's input.
func postIsDocumented(t *testing.T, section, mark string, of func(*Activities) any, inputs ...string) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(raw), "\n### "+section+"\n")
	text, _, _ = strings.Cut(text, "\n### ")
	_, example, _ := strings.Cut(text, "```json "+mark+"\n")
	example, _, ok := strings.Cut(example, "```")
	if !ok {
		t.Fatal("no example")
	}
	want := decoded(t, example)
	word := func(key string) string {
		s, _ := want[key].(string)
		return s
	}
	moment := func(key string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, word(key))
		if err != nil {
			t.Error(err)
		}
		return at
	}
	to := newReceiver(t, 0)
	model, err := devicefsm.Load("model.yaml", []byte("model: "+word("model")+"\ninitial: a\nstates: {a: {}}"))
	if err != nil {
		t.Fatal(err)
	}
	a := &Activities{Models: NewRegistry(model), Receivers: map[string]string{word("to"): to.URL}}
	in := Invocation{
		Device: device.ID(word("device")), Model: model.Hash(), ID: word("id"), At: moment("at"), Arrived: moment("arrived"), Input: map[string]any{},
	}
	for _, key := range inputs {
		in.Input[key] = want[key]
	}
	if _, err := activityEnvironment(of(a)).ExecuteActivity(of(a), in); err != nil {
		t.Fatal(err)
	}
	got := decoded(t, to.bodies[0])
	if at, err := time.Parse(time.RFC3339Nano, got["attempted_at"].(string)); err != nil || time.Since(at) > time.Minute || got["attempt"] != 1.0 {
		t.Errorf("attempt %v at %v, %v", got["attempt"], got["attempted_at"], err)
	}
	got["attempted_at"], got["attempt"] = want["attempted_at"], want["attempt"]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sent %v\ndocumented %v", got, want)
	}
	var described []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(text, -1) {
		described = append(described, row[1])
	}
	slices.Sort(described)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(described, keys) {
		t.Errorf("described are %q, sent are %q", described, keys)
	}
}

const alarmModel = `
model: alarms
initial: fine
states:
  fine: {on: {hot: {target: alarm, actions: [{notify: {to: on_call, data: {what: "'hot'"}}}]}}}
  alarm: {after: {10m: {target: late, actions: [{notify: {to: on_call, data: {what: "'late'"}}}]}}}
  late: {}
`

// A notification has the time of what it is about, on the device's clock or by the
// timer, whenever it is sent: also in the second attempt.
func TestNotificationsHaveTheTimeOfTheAlarm(t *testing.T) {
	h := newTwinHarness(t, alarmModel, 0)
	to := newReceiver(t, 2)
	h.activities.Receivers = map[string]string{"on_call": to.URL}
	var sent, arrived time.Time
	h.RegisterDelayedCallback(func() {
		m := event("hot")
		arrived = h.Now().UTC().Truncate(time.Millisecond)
		sent = arrived.Add(-90 * time.Second)
		m.Time, m.Sent, m.Epoch, m.Seq = arrived, sent, 1, 1
		h.signalRaw(m)
	}, time.Second)
	h.runUntil(time.Hour)
	type body struct {
		At, Arrived time.Time
		AttemptedAt time.Time `json:"attempted_at"`
		Attempt     int
		ID          string
		Data        struct{ What string }
	}
	var bodies []body
	for _, text := range to.bodies {
		var b body
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	if len(bodies) != 4 {
		t.Fatalf("%d attempts: %q", len(bodies), to.bodies)
	}
	for i, b := range bodies[:3] {
		if b.Data.What != "hot" || !b.At.Equal(sent) || !b.Arrived.Equal(arrived) || b.Attempt != i+1 || b.ID != bodies[0].ID {
			t.Errorf("attempt %d: %s; want at %v, arrived %v", i+1, to.bodies[i], sent, arrived)
		}
		if i > 0 && !b.AttemptedAt.After(bodies[i-1].AttemptedAt) {
			t.Errorf("attempt %d has the time %v, after %v", i+1, b.AttemptedAt, bodies[i-1].AttemptedAt)
		}
	}
	due := sent.Add(10 * time.Minute)
	if b := bodies[3]; b.Data.What != "late" || !b.At.Equal(due) && !b.Arrived.Equal(due) || b.ID == bodies[0].ID || b.Attempt != 1 {
		t.Errorf("of the timer: %s; want at %v", to.bodies[3], due)
	}
}

// A notification of a run that kept no time has none, rather than another one.
func TestNotificationsWithoutATime(t *testing.T) {
	to := newReceiver(t, 0)
	a := &Activities{Models: NewRegistry(), Receivers: map[string]string{"on_call": to.URL}}
	if err := a.Notify(context.Background(), Invocation{Device: "d1", ID: "x", Input: map[string]any{"to": "on_call"}}); err != nil {
		t.Fatal(err)
	}
	if b := decoded(t, to.bodies[0]); b["at"] != nil || b["arrived"] != nil || b["attempted_at"] == nil || b["data"] != nil {
		t.Errorf("body %v", b)
	}
}
