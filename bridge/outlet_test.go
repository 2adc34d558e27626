package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/points"
	"devicetwin/wire"
)

type publisherFunc func(ctx context.Context, topic string, payload []byte) error

func (f publisherFunc) Publish(ctx context.Context, topic string, _ byte, _ bool, payload []byte) error {
	return f(ctx, topic, payload)
}

func letterOf(origin string, payload []byte, at time.Time, refused *wire.Refused) ingest.DeadLetter {
	return ingest.DeadLetter{Arrival: ingest.Arrival{Origin: origin, Payload: payload, At: at}, Refused: *refused}
}

// Whatever was refused can be read back from its dead letter.
func FuzzDeadLetter(f *testing.F) {
	f.Add("devices/d/telemetry", []byte(`[[`), "detail")
	f.Add("devices/\xff", []byte{0xff, 0}, "\xff")
	f.Fuzz(func(t *testing.T, topic string, payload []byte, detail string) {
		letter := newDeadLetter(letterOf(topic, payload, time.Time{}, &wire.Refused{Reason: wire.ReasonBadPayload, Detail: detail}))
		text, err := json.Marshal(letter)
		if err != nil {
			t.Fatalf("dead letter: %v", err)
		}
		var back DeadLetter
		if err := json.Unmarshal(text, &back); err != nil || string(back.Payload) != string(letter.Payload) {
			t.Fatalf("dead letter read back: %v", err)
		}
	})
}

// Whatever is decoded becomes a line of a point, or none.
func FuzzPoint(f *testing.F) {
	f.Add([]byte(`{"epoch":1,"seq":2,"ts":3,"a":{"b":[1,"x",null,true]}}`))
	f.Add([]byte(`{"a":"\u00e4\n<>&"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		dialect, err := Deps{}.dialect(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		received, _ := dialect.Decode("devices/d/telemetry", payload, false, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		for _, r := range received {
			p := points.Reading{Model: "m", Device: string(r.ID), Object: r.Object, Except: notReadings, Time: r.PointTime}
			if line, ok := p.Line(); ok && (!utf8.ValidString(line) || !strings.HasPrefix(line, "m,device=d,model=m ")) {
				t.Fatalf("line %q", line)
			}
		}
	})
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.ID = "b1"
		var letters []map[string]any
		got := make(chan map[string]any, 10)
		q := newOutlet(cfg, Deps{DeadLetters: publisherFunc(func(_ context.Context, topic string, payload []byte) error {
			var l map[string]any
			if err := json.Unmarshal(payload, &l); err != nil || topic != "bridge/b1/deadletter" {
				t.Errorf("%s: %s: %v", topic, payload, err)
			}
			got <- l
			return nil
		})}, nil, newCounters(), slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go q.run(ctx)
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for range 5 {
			done := make(chan struct{})
			if !q.DeadLetter(letterOf("x\xff", []byte("\xff\x00"), at, wire.Refuse(wire.ReasonBadPayload, "why %d", 1)), func() { close(done) }) {
				t.Fatal("not published")
			}
			<-done
			letters = append(letters, <-got)
		}
		l := letters[0]
		if l["topic"] != "x\uFFFD" || l["reason"] != "bad_payload" || l["detail"] != "why 1" || l["payload_base64"] != "/wA=" || l["at"] != "2026-01-02T03:04:05Z" {
			t.Errorf("letter %v", l)
		}
	})
}

func TestTooLargeIsCut(t *testing.T) {
	l := newDeadLetter(letterOf("", []byte(strings.Repeat("x", 1<<20)), time.Time{}, wire.Refuse(wire.ReasonTooLarge, "")))
	if len(l.Payload) != keptPayload || l.Truncated != 1<<20 {
		t.Errorf("%d bytes of %d", len(l.Payload), l.Truncated)
	}
}

func TestDeadLettersHoldNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		logs := &logLines{}
		q := newOutlet(cfg, Deps{DeadLetters: publisherFunc(func(ctx context.Context, _ string, _ []byte) error {
			<-ctx.Done() // the broker is down
			return errors.Join(mqtt.ErrLost, ctx.Err())
		})}, nil, newCounters(), logs.logger())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go q.run(ctx)
		var done atomic.Int64
		waits := 0
		for range 1000 {
			if q.DeadLetter(letterOf("", nil, time.Time{}, wire.Refuse(wire.ReasonBadTopic, "")), func() { done.Add(1) }) {
				waits++
			}
		}
		if waits > cap(q.letters)+letterPublishers {
			t.Errorf("%d wait", waits)
		}
		time.Sleep(time.Hour)
		if int(done.Load()) != waits || q.counts.deadLettersUnpublished.Load() != 1000 {
			t.Errorf("%d of %d done, %d unpublished", done.Load(), waits, q.counts.deadLettersUnpublished.Load())
		}
	})
}

// asking is a dialect that asks devices and, at the beginning, all of them.
type asking struct{ wire.Dialect }

func (asking) Questions(id device.ID, to *device.Address) []wire.Publication {
	return []wire.Publication{{Topic: to.Dialect + "/" + string(id) + "/ask", QoS: 1, Payload: []byte("?")}, {Topic: "second"}}
}

func (asking) Opening() []wire.Publication { return []wire.Publication{{Topic: "all/ask", QoS: 1}} }

// What devices are asked is published, with what the dialect says of it; nothing waits for
// it, and what there is no room for, or no broker, is counted.
func TestQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var published []string
		down := false
		publish := fullPublisher(func(ctx context.Context, p wire.Publication) error {
			if down {
				<-ctx.Done()
				return errors.Join(mqtt.ErrLost, ctx.Err())
			}
			published = append(published, fmt.Sprintf("%s %d %s", p.Topic, p.QoS, p.Payload))
			return nil
		})
		q := newOutlet(DefaultConfig(), Deps{Questions: publish}, asking{}, newCounters(), slog.New(slog.DiscardHandler))
		q.open()
		question := ingest.Question{ID: "d1", To: &device.Address{Dialect: "own"}}
		q.Ask(question)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go publishAll(ctx, q.questions, q.publishQuestion)
		synctest.Wait()
		if got := strings.Join(published, ", "); got != "all/ask 1 , own/d1/ask 1 ?, second 0 " || q.counts.asked.Load() != 3 {
			t.Errorf("published %s, %d counted", got, q.counts.asked.Load())
		}
		down = true
		for range questionRoom {
			q.Ask(question)
		}
		if n := q.counts.unasked.Load(); n < questionRoom-1 || n > questionRoom {
			t.Errorf("%d dropped, want half of them", n)
		}
		time.Sleep((questionRoom + 2) * DefaultConfig().DeadLetterTimeout)
		if n := q.counts.unasked.Load() + q.counts.asked.Load(); n != 2*questionRoom+3 {
			t.Errorf("%d counted, want all", n)
		}
	})
	silent := newOutlet(DefaultConfig(), Deps{}, asking{}, newCounters(), slog.New(slog.DiscardHandler))
	silent.open()
	silent.Ask(ingest.Question{ID: "d1", To: &device.Address{}})
	if len(silent.questions) != 0 {
		t.Error("without a publisher, questions wait")
	}
}

type fullPublisher func(ctx context.Context, p wire.Publication) error

func (f fullPublisher) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	return f(ctx, wire.Publication{Topic: topic, QoS: qos, Retained: retained, Payload: payload})
}
