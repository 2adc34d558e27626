package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/mqtt"
	"devicetwin/wire"
)

type publisherFunc func(ctx context.Context, topic string, payload []byte) error

func (f publisherFunc) Publish(ctx context.Context, topic string, _ byte, _ bool, payload []byte) error {
	return f(ctx, topic, payload)
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.ID = "b1"
		cfg.DeadLettersKept = 3
		var letters []map[string]any
		got := make(chan map[string]any, 10)
		q := newDeadLetters(cfg, publisherFunc(func(_ context.Context, topic string, payload []byte) error {
			var l map[string]any
			if err := json.Unmarshal(payload, &l); err != nil || topic != "bridge/b1/deadletter" {
				t.Errorf("%s: %s: %v", topic, payload, err)
			}
			got <- l
			return nil
		}), newCounters(), slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go q.run(ctx)
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for range 5 {
			done := make(chan struct{})
			if !q.add(newDeadLetter(mqtt.Message{Topic: "x\xff", Payload: []byte("\xff\x00"), At: at}, wire.Refuse(wire.ReasonBadPayload, "why %d", 1)), func() { close(done) }) {
				t.Fatal("not published")
			}
			<-done
			letters = append(letters, <-got)
		}
		l := letters[0]
		if l["topic"] != "x\uFFFD" || l["reason"] != "bad_payload" || l["detail"] != "why 1" || l["payload_base64"] != "/wA=" || l["at"] != "2026-01-02T03:04:05Z" {
			t.Errorf("letter %v", l)
		}
		if n := len(q.recent()); n != 3 {
			t.Errorf("%d kept", n)
		}
		if n := q.counts.deadLetters[wire.ReasonBadPayload].Load(); n != 5 {
			t.Errorf("counted %d", n)
		}
	})
}

func TestTooLargeIsCut(t *testing.T) {
	l := newDeadLetter(mqtt.Message{Payload: []byte(strings.Repeat("x", 1<<20))}, wire.Refuse(wire.ReasonTooLarge, ""))
	if len(l.Payload) != keptPayload || l.Truncated != 1<<20 {
		t.Errorf("%d bytes of %d", len(l.Payload), l.Truncated)
	}
}

func TestDeadLettersHoldNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		logs := &logLines{}
		q := newDeadLetters(cfg, publisherFunc(func(ctx context.Context, _ string, _ []byte) error {
			<-ctx.Done() // the broker is away
			return errors.Join(mqtt.ErrLost, ctx.Err())
		}), newCounters(), logs.logger())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go q.run(ctx)
		var done atomic.Int64
		waits := 0
		for range 1000 {
			if q.add(DeadLetter{Reason: wire.ReasonBadTopic}, func() { done.Add(1) }) {
				waits++
			}
		}
		if waits > cap(q.queue)+deadLetterPublishers {
			t.Errorf("%d wait", waits)
		}
		time.Sleep(time.Hour)
		if int(done.Load()) != waits || q.counts.deadLettersUnpublished.Load() != 1000 {
			t.Errorf("%d of %d done, %d unpublished", done.Load(), waits, q.counts.deadLettersUnpublished.Load())
		}
	})
}
