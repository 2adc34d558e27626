package device

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	"devicetwin/wire"
)

func standardDialect() Dialect {
	d, err := wire.New(wire.DefaultConfig())
	if err != nil {
		panic(err)
	}
	return d
}

func TestPublishObeysTheConfiguration(t *testing.T) {
	w := &world{}
	a := &Activities{Dialect: standardDialect(), Publisher: publishAnything{w}, Points: &world{}, Topics: []string{"plant/{id}/#", "alarms"}}
	done, err := a.Emit(t.Context(), Emission{Device: "d1", Messages: []Outgoing{
		{ID: "1", Topic: "plant/{id}/state", Data: map[string]any{"x": 1.0}},
		{ID: "2", Topic: "plant/d2/state"},
		{ID: "3", Command: "reset"},
		{ID: "4", Topic: "alarms", Retain: true},
		{ID: "5", Topic: "plant/d1/#"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.measurements(); got != "plant/d1/state devices/d1/commands/reset alarms" {
		t.Errorf("published to %s", got)
	}
	if len(done.Refused) != 2 || !strings.Contains(done.Refused[0], "plant/d2/state") {
		t.Errorf("refused: %q, want the second and the fifth", done.Refused)
	}
}

// publishAnything notes topics in the order of publication.
type publishAnything struct{ *world }

func (p publishAnything) Publish(_ context.Context, topic string, _ byte, _ bool, _ []byte) error {
	p.WritePoint(topic, nil, nil, time.Time{})
	return nil
}

func TestNotify(t *testing.T) {
	var got posted
	var header http.Header
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		header = r.Header
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	a := &Activities{Models: NewRegistry(), Receivers: map[string]string{"on_call": server.URL}}
	in := Invocation{Device: "d1", ID: "x-1", Input: map[string]any{"to": "on_call", "data": map[string]any{"text": "hot"}}}
	if err := a.Notify(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if got.ID != "x-1" || got.Device != "d1" || got.To != "on_call" || got.Data.(map[string]any)["text"] != "hot" ||
		header.Get("Idempotency-Key") != "x-1" || header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v with header %v", got, header)
	}
	for _, tt := range []struct {
		status int
		final  bool
	}{{400, true}, {404, true}, {408, false}, {429, false}, {500, false}, {503, false}} {
		status = tt.status
		if err := a.Notify(t.Context(), in); isFinal(err) != tt.final || err == nil {
			t.Errorf("status %d: %v, final %v; want final %v", tt.status, err, isFinal(err), tt.final)
		}
	}
	in.Input["to"] = "nobody"
	if err := a.Notify(t.Context(), in); !isFinal(err) {
		t.Errorf("an unknown receiver: %v, want a final error", err)
	}
	server.Close()
	in.Input["to"] = "on_call"
	if err := a.Notify(t.Context(), in); err == nil || isFinal(err) {
		t.Errorf("a receiver that is down: %v, want an error that is tried again", err)
	}
}

func isFinal(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
}

// issued counts the credentials that were issued.
type issued struct{ n int }

func (i *issued) Issue(context.Context, device.ID, string) (string, error) {
	i.n++
	return "secret", nil
}

// A device of another dialect is reprovisioned in its words. Without any, there are no
// credentials that nobody gets, and it is not tried again; without the dialect it is.
func TestReprovisioningInADialect(t *testing.T) {
	model := loadPump(t)
	speech, sent, store := &spoken{Dialect: standardDialect()}, &sentLog{}, &issued{}
	a := &Activities{Dialect: speech, Publisher: sent, Points: &world{}, Provisioner: store, Models: NewRegistry(model)}
	in := Invocation{Device: "d1", Model: model.Hash(), ID: "x-1", Address: addressed("own", nil)}
	if _, err := a.Reprovision(t.Context(), in); err != nil || sent.topics() != "own/reprovision" || store.n != 1 {
		t.Errorf("sent %s, issued %d, error %v", sent.topics(), store.n, err)
	}
	if p := sent.payload(t, "own/reprovision")["credentials"].(map[string]any); p["password"] != "secret" || p["username"] != "d1" {
		t.Errorf("sent %v", p)
	}
	speech.missing = true
	if _, err := a.Reprovision(t.Context(), in); err == nil || isFinal(err) || store.n != 1 {
		t.Errorf("without the dialect: issued %d, error %v", store.n, err)
	}
	a.Dialect = speechless{speech}
	if _, err := a.Reprovision(t.Context(), in); !isFinal(err) || !strings.Contains(err.Error(), "no words") || store.n != 1 {
		t.Errorf("without words: issued %d, error %v", store.n, err)
	}
}

type speechless struct{ *spoken }

func (speechless) Encode(device.ID, *device.Address, wire.Command) (wire.Sending, error) {
	return wire.Sending{}, wire.ErrNoWords
}
