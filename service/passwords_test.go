package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/codec"
	"devicetwin/internal/credentials"
	"devicetwin/internal/figures"
	"devicetwin/internal/recordlog"
	"devicetwin/points"
	"devicetwin/wire"
	deviceworkflow "devicetwin/workflows/device"
)

// passing is what a bridge works with whose messages all are accepted.
type passing struct{}

func (passing) Deliver(context.Context, device.Delivery) (string, error) { return "run", nil }
func (passing) Point(ingest.Point)                                       {}
func (passing) DeadLetter(_ ingest.DeadLetter, done func()) bool         { go done(); return true }
func (passing) Ask(ingest.Question)                                      {}
func (passing) Reject(_ ingest.Rejection, done func()) bool              { go done(); return true }

// oneModel is the model of all devices.
type oneModel struct{ *devicefsm.Model }

func (m oneModel) ByHash(hash string) (*devicefsm.Model, bool) { return m.Model, hash == m.Hash() }

// loop is a broker: what the worker publishes, the bridge receives, as by its usual
// subscription.
type loop struct {
	t       *testing.T
	dialect wire.Dialect
	lane    *ingest.Lane
	sent    []string
}

func (l *loop) Publish(_ context.Context, topic string, _ byte, _ bool, payload []byte) error {
	l.sent = append(l.sent, string(payload))
	l.deliver(topic, string(payload))
	return nil
}

// deliver returns when the bridge has acknowledged.
func (l *loop) deliver(topic, payload string) {
	l.t.Helper()
	now, acked := time.Now().UTC().Truncate(time.Millisecond), make(chan struct{})
	received, err := l.dialect.Decode(topic, []byte(payload), false, now)
	arrival := ingest.Arrival{Origin: topic, Payload: []byte(payload), At: now, Ack: func() { close(acked) }}
	if err := l.lane.Deliver(l.t.Context(), arrival, received, err); err != nil {
		l.t.Fatal(err)
	}
	<-acked
}

// reprovisioned is the log of a process in which a device was reprovisioned, and the
// credentials that it was given.
func reprovisioned(t *testing.T, keys recordlog.Keys) (dir string, given deviceworkflow.Credentials) {
	t.Helper()
	source, err := os.ReadFile("../models/pump.yaml")
	if err != nil {
		t.Fatal(err)
	}
	model, err := devicefsm.Load("pump.yaml", source)
	if err != nil {
		t.Fatal(err)
	}
	dialect, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	store, err := credentials.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	quiet, dir := slog.New(slog.DiscardHandler), t.TempDir()
	journal, err := recordlog.Open(recordlog.Config{Dir: dir, MaxBytes: recordlog.MinBytes, Keys: keys}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	config := points.DefaultConfig()
	config.URL, config.CloseWithin = "http://127.0.0.1:1", time.Second
	writer, err := points.NewWriter(config, points.Deps{Log: journal, Readings: readings, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	in, err := ingest.New(ingest.DefaultConfig(), ingest.Deps{
		Model: model, WholeDevices: true, Sink: passing{}, Outlet: passing{}, Journal: journal, Name: "b", Counts: ingest.NewCounts(figures.NewSet("test_")), Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopWriting := background(writer.Run)
	stopIngest := background(func(context.Context) { in.Run(ctx, t.Context()) })

	broker := &loop{t: t, dialect: dialect, lane: in.Open("mqtt")}
	broker.lane.Online(false)
	activities := &deviceworkflow.Activities{Dialect: dialect, Publisher: broker, Points: writer, Provisioner: store, Models: oneModel{model}}
	broker.deliver("devices/pump-1/status", `{"status": "boot"}`)
	_, err = activities.Reprovision(t.Context(), deviceworkflow.Invocation{
		Device: "pump-1", Model: model.Hash(), ID: "credential-1", Input: map[string]any{"reason": "crash_loop"},
	})
	if err != nil {
		t.Fatal(err)
	}
	broker.deliver("devices/pump-1/commands/reprovision/ack", `{"id": "credential-1", "status": "succeeded"}`)
	broker.deliver("devices/pump-1/status", `{"status": "boot", "credential": "credential-1"}`)

	stop()
	for _, end := range []func(context.Context) error{stopIngest, stopWriting, func(context.Context) error { return journal.Close() }} {
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var command struct {
		Data struct{ Credentials deviceworkflow.Credentials }
	}
	if len(broker.sent) != 1 || json.Unmarshal([]byte(broker.sent[0]), &command) != nil || command.Data.Credentials.Password == "" {
		t.Fatalf("published %q", broker.sent)
	}
	return dir, command.Data.Credentials
}

// The passwords that the service gives to devices are in none of its logs: not in what the
// bridge receives, which includes its own service's commands, and not in the points of the
// worker.
func TestPasswordsAreNotInTheLog(t *testing.T) {
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed, err := codec.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]recordlog.Keys{"in clear": nil, "encrypted": sealed} {
		t.Run(name, func(t *testing.T) {
			dir, given := reprovisioned(t, keys)
			text := decodedLog(t, dir, keys)
			for _, want := range []string{`"credential": "credential-1"`, `"status": "succeeded"`, `reprovisions,`, given.ID} {
				if !strings.Contains(text, want) {
					t.Errorf("the log does not have %s:\n%s", want, text)
				}
			}
			if strings.Contains(text, given.Password) {
				t.Errorf("the log has the password %s:\n%s", given.Password, text)
			}
			err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				raw, err := os.ReadFile(path)
				if bytes.Contains(raw, []byte(given.Password)) {
					t.Errorf("%s has the password", path)
				}
				if keys != nil && bytes.Contains(raw, []byte("credential-1")) {
					t.Errorf("%s is in clear", path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// decodedLog is all that is in the records of a log.
func decodedLog(t *testing.T, dir string, keys recordlog.Keys) string {
	t.Helper()
	r, err := recordlog.OpenReader(dir, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var text strings.Builder
	for {
		e, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return text.String()
		}
		switch e.Kind {
		case points.KindLines:
			lines, err := points.Lines(e.Record)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&text, strings.Join(lines, "\n"))
		case history.KindArrival:
			a, err := history.ReadArrival(e.Data, e.At)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&text, "%s %s %+v\n", a.Origin, a.Payload, a.Outgoing)
		default:
			fmt.Fprintf(&text, "%s\n", e.Data)
		}
	}
}
