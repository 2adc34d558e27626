package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/recordlog"
)

const boiler = `
model: boiler
events:
  reading: {channel: telemetry, when: "has(msg.t)"}
initial: cool
states:
  cool: {on: {reading: {guard: "event.t > 90", target: hot}}}
  hot:  {on: {reading: {guard: "event.t < 80", target: cool}}}
`

// workflowSink accepts what was not delivered before, by its position.
type workflowSink struct {
	fakeSink
	had map[string]int64 // by log
}

func (s *workflowSink) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	fresh := d.Batch.Messages[:0:0]
	s.mu.Lock()
	for _, m := range d.Batch.Messages {
		if m.Pos > s.had[d.Batch.Log] {
			s.had[d.Batch.Log] = m.Pos
			fresh = append(fresh, m)
		}
	}
	s.mu.Unlock()
	d.Batch.Messages = fresh
	return s.fakeSink.Deliver(ctx, d)
}

// A bridge leaves nothing out because of what the workflows, or its log, do not have any more:
// where either is restored to an earlier time than the other.
func TestMosquittoAfterARestore(t *testing.T) {
	model, err := devicefsm.Load("boiler.yaml", []byte(boiler))
	if err != nil {
		t.Fatal(err)
	}
	has := func(yes bool) func(context.Context, ingest.Accepted) (bool, error) {
		return func(_ context.Context, a ingest.Accepted) (bool, error) {
			if a.ID != "d" || a.Log == "" || a.Pos == 0 {
				return false, fmt.Errorf("asked for %+v", a)
			}
			return yes, nil
		}
	}
	for name, c := range map[string]struct {
		earlier bool // the log
		took    func(context.Context, ingest.Accepted) (bool, error)
		says    int // after it was 96
		want    bool
		logged  string
	}{
		"nothing is earlier":        {false, has(true), 97, false, ""},
		"nobody is asked":           {false, nil, 97, false, ""},
		"Temporal is earlier":       {false, has(false), 97, true, "its database is of an earlier time"},
		"the log is earlier":        {true, has(true), 22, true, "this bridge's log is an earlier copy"},
		"Temporal does not answer":  {false, func(context.Context, ingest.Accepted) (bool, error) { return false, errDown }, 97, false, ""},
		"both are, and neither has": {true, has(false), 97, true, "its database is of an earlier time"},
	} {
		t.Run(name, func(t *testing.T) {
			broker, sink, logs := startMosquitto(t), &workflowSink{had: map[string]int64{}}, &logLines{}
			sender := startPublisher(t, broker.mqtt("d"))
			dir := filepath.Join(t.TempDir(), "log")
			cfg := DefaultConfig()
			cfg.ID, cfg.MQTT = "b7", broker.mqtt("")
			var b *Bridge
			run := func(dir string, took func(context.Context, ingest.Accepted) (bool, error)) (stop func()) {
				log, err := recordlog.Open(recordlog.Config{Dir: dir, MaxBytes: recordlog.MinBytes}, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				end := func() {}
				b, end = startBridge(t, cfg, Deps{Model: model, Sink: sink, Took: took, Journal: log, Log: logs.logger()})
				return func() {
					end()
					if err := log.Close(); err != nil {
						t.Error(err)
					}
				}
			}
			want := ""
			say := func(temperature int, signalled bool) {
				t.Helper()
				before := b.Metric("messages_total")
				if err := sender.Publish(t.Context(), "devices/d/telemetry", 1, false, fmt.Appendf(nil, `{"t":%d,"id":%d}`, temperature, temperature)); err != nil {
					t.Fatal(err)
				}
				if signalled {
					want += fmt.Sprintf("d:%d ", temperature)
				}
				eventually(t, fmt.Sprintf("%d is received", temperature), func() bool { return b.Metric("messages_total") > before })
				if signalled {
					eventually(t, fmt.Sprintf("%d is delivered", temperature), func() bool { return sink.got()+" " == want })
				}
			}
			stop := run(dir, nil)
			say(20, true)
			stop() // which writes a checkpoint
			stop = run(dir, nil)
			say(21, false)
			copied := filepath.Join(t.TempDir(), "log")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			say(95, true)
			say(96, false)
			stop()
			if c.earlier {
				dir = copied
			}
			stop = run(dir, c.took)
			say(c.says, c.want)
			stop() // which delivers what is to be
			if got := sink.got(); got+" " != want {
				t.Errorf("delivered %q, want %q", got, want)
			}
			for _, line := range []string{"its database is of an earlier time", "this bridge's log is an earlier copy"} {
				if found := logs.count(line) > 0; found != (line == c.logged || c.earlier && line == "this bridge's log is an earlier copy") {
					t.Errorf("%q: logged %v", line, found)
				}
			}
		})
	}
}

// Where Temporal has no answer at first, it is asked again.
func TestTemporalIsAskedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		took   bool
		logged int
	}{"it has it": {true, 0}, "it lacks it": {false, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, logs := 0, &logLines{}
				cfg := DefaultConfig()
				cfg.ID = "b7"
				b, err := New(cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: logs.logger(), Took: func(context.Context, ingest.Accepted) (bool, error) {
					if asked++; asked < 4 {
						return false, errors.New("no worker")
					}
					return c.took, nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { b.ingest.Run(ctx, ctx); close(ended) }()
				began := time.Now()
				b.askAgain(ctx, ingest.Accepted{ID: "d", Log: "l", Pos: 40})
				if took := time.Since(began); asked != 4 || took != 4*askedAgain {
					t.Errorf("asked %d times in %v", asked, took)
				}
				if n := logs.count("its database is of an earlier time"); n != c.logged {
					t.Errorf("logged %d times", n)
				}
				cancel()
				<-ended
			})
		})
	}
}
