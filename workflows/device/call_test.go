package device

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

func callEnvironment(a *Activities) *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a.Call)
	return env
}

// docs/models.md has the body of a call as it is sent, and a line for each of its keys.
func TestCallsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(raw), "\n### What is called\n")
	section, _, _ = strings.Cut(section, "\n### ")
	_, example, _ := strings.Cut(section, "```json call\n")
	example, _, ok := strings.Cut(example, "```")
	if !ok {
		t.Fatal("no example")
	}
	want := decoded(t, example)
	at, err := time.Parse(time.RFC3339Nano, want["at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	to := newReceiver(t, 0)
	model, err := devicefsm.Load("loyalty.yaml", []byte("model: loyalty\ninitial: a\nstates: {a: {}}"))
	if err != nil {
		t.Fatal(err)
	}
	a := &Activities{Models: NewRegistry(model), Receivers: map[string]string{want["to"].(string): to.URL}}
	_, err = callEnvironment(a).ExecuteActivity(a.Call, Invocation{
		Device: device.ID(want["device"].(string)), Model: model.Hash(), ID: want["id"].(string), At: at, Arrived: at.Add(time.Second),
		Input: map[string]any{"to": want["to"], "event": want["event"], "number": want["number"], "data": want["data"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := decoded(t, to.bodies[0])
	if attempted, err := time.Parse(time.RFC3339Nano, got["attempted_at"].(string)); err != nil || time.Since(attempted) > time.Minute || got["attempt"] != 1.0 {
		t.Errorf("attempt %v at %v, %v", got["attempt"], got["attempted_at"], err)
	}
	got["attempted_at"], got["attempt"], got["arrived"] = want["attempted_at"], want["attempt"], want["arrived"]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sent %v\ndocumented %v", got, want)
	}
	var described []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		described = append(described, row[1])
	}
	slices.Sort(described)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(described, keys) {
		t.Errorf("described are %q, sent are %q", described, keys)
	}
}

// A topic of Kafka answers nothing: calling it is refused, and not tried again.
func TestATopicIsNotCalled(t *testing.T) {
	k := &kafkaLog{}
	a := &Activities{Models: NewRegistry(), Records: k, Receivers: map[string]string{"billing": "kafka:notes"}}
	_, err := callEnvironment(a).ExecuteActivity(a.Call, Invocation{Device: "customer/4711", ID: "x-1", Input: map[string]any{"to": "billing"}})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || !app.NonRetryable() || !strings.Contains(app.Message(), "the topic notes of Kafka, which answers nothing") {
		t.Errorf("%v, want an end that says why", err)
	}
	if len(k.written) > 0 {
		t.Errorf("written %v", k.written)
	}
}

// The answer is the result, if it is a JSON object that is not too large.
func TestAnswersOfCalls(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		body    string
		want    map[string]any
		message string
		final   bool
	}{
		"an object":        {200, `{"balance": 5}`, map[string]any{"balance": 5.0}, "", false},
		"nothing":          {204, "", map[string]any{}, "", false},
		"a string":         {200, "thank you", map[string]any{}, "", false},
		"null":             {200, "null", map[string]any{}, "", false},
		"a large object":   {200, `{"text": "` + strings.Repeat("a", maxCallResult) + `"}`, map[string]any{}, "", false},
		"refused":          {422, `{"error": "no such account"}`, nil, `call billing for customer 4711: answered 422 Unprocessable Entity: {"error": "no such account"}`, true},
		"unavailable":      {503, "", nil, "call billing for customer 4711: answered 503 Service Unavailable", false},
		"too many":         {429, "later", nil, "call billing for customer 4711: answered 429 Too Many Requests: later", false},
		"a long complaint": {400, strings.Repeat("b", 1000), nil, "call billing for customer 4711: answered 400 Bad Request: " + strings.Repeat("b", shownCallReply-3) + "…", true},
	} {
		t.Run(name, func(t *testing.T) {
			key := ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				key = r.Header.Get("Idempotency-Key")
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			a := &Activities{Models: NewRegistry(), Receivers: map[string]string{"billing": server.URL}}
			value, err := callEnvironment(a).ExecuteActivity(a.Call, Invocation{Device: "customer/4711", ID: "x-1", Input: map[string]any{"to": "billing"}})
			if key != "x-1" {
				t.Errorf("key %q", key)
			}
			var app *temporal.ApplicationError
			switch {
			case c.message != "":
				if !errors.As(err, &app) || app.Message() != c.message || app.NonRetryable() != c.final {
					t.Errorf("%v; want %q, final %v", err, c.message, c.final)
				}
			case err != nil:
				t.Error(err)
			default:
				var got map[string]any
				if err := value.Get(&got); err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("result %v, %v; want %v", got, err, c.want)
				}
			}
		})
	}
}

func TestACallOfNobody(t *testing.T) {
	a := &Activities{Models: NewRegistry()}
	_, err := callEnvironment(a).ExecuteActivity(a.Call, Invocation{Device: "d1", ID: "x", Input: map[string]any{"to": "billing"}})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || !app.NonRetryable() || !strings.Contains(app.Message(), "no receiver of that name") {
		t.Errorf("%v", err)
	}
}

// A model may also call in a state, with invoke.
func TestAnInvokeCalls(t *testing.T) {
	h := newTwinHarness(t, `
context: {balance: 0}
initial: a
states:
  a: {on: {pay: asking}}
  asking: {invoke: {src: call, input: {to: "'billing'", data: {amount: "5"}}, onDone: {target: paid, actions: [{assign: {balance: event.balance}}]}}}
  paid: {}
`, 0)
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&body)
		_, _ = io.WriteString(w, `{"balance": 95}`)
	}))
	defer server.Close()
	h.activities.Receivers = map[string]string{"billing": server.URL}
	h.at(time.Second, event("pay"))
	view := h.runUntil(time.Minute)
	if view.StateName != "paid" || view.Snapshot.Context()["balance"] != 95.0 || !reflect.DeepEqual(body["data"], map[string]any{"amount": 5.0}) || body["event"] != nil {
		t.Errorf("in %s with %v, called with %v", view.StateName, view.Snapshot.Context(), body)
	}
}
