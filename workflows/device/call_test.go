package device

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
)

func TestCallsAreDocumented(t *testing.T) {
	postIsDocumented(t, "What is called", "call", func(a *Activities) any { return a.Call }, "to", "event", "number", "data")
}

// A topic of Kafka answers nothing: calling it is refused, and not tried again.
func TestATopicIsNotCalled(t *testing.T) {
	k := &kafkaLog{}
	a := &Activities{Models: NewRegistry(), Records: k, Receivers: map[string]string{"billing": "kafka:notes"}}
	_, err := activityEnvironment(a.Call).ExecuteActivity(a.Call, Invocation{Device: "customer/4711", ID: "x-1", Input: map[string]any{"to": "billing"}})
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
			value, err := activityEnvironment(a.Call).ExecuteActivity(a.Call, Invocation{Device: "customer/4711", ID: "x-1", Input: map[string]any{"to": "billing"}})
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
	_, err := activityEnvironment(a.Call).ExecuteActivity(a.Call, Invocation{Device: "d1", ID: "x", Input: map[string]any{"to": "billing"}})
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
