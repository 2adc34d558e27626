package bridge

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/recordlog"
)

// Two bridges with one id end each other's connections at a real broker. Both say why, and
// the one that stays is ready again.
func TestMosquittoTwoBridgesWithOneID(t *testing.T) {
	broker := startMosquitto(t)
	cfg := DefaultConfig()
	cfg.ID, cfg.MQTT = "same", broker.mqtt("")
	logs := &logLines{}
	first, _ := startBridge(t, cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: logs.logger()})
	if first.Metric("contended") != 0 {
		t.Error("contended while it is alone")
	}
	second, err := New(cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: logs.logger()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- second.Run(ctx) }()
	for _, b := range []*Bridge{first, second} {
		eventually(t, "a bridge says that another one has its id", func() bool {
			err := b.Ready()
			return err != nil && strings.Contains(err.Error(), "another client uses the client id devicetwin-bridge-same") && b.Metric("contended") == 1
		})
	}
	if logs.count("probably another client uses the same client id") < 2 {
		t.Error("the log does not say so")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "the first bridge is ready", func() bool { return first.Ready() == nil && first.Metric("contended") == 0 })
}

// A broker that restarts again and again is not taken for another client, by a bridge that
// claims its session at each connection neither.
func TestMosquittoThatRestartsIsNotContended(t *testing.T) {
	for name, log := range map[string]*recordlog.Log{"without a log": nil, "with a log": journalOf(t)} {
		t.Run(name, func(t *testing.T) {
			broker := startMosquitto(t)
			cfg := DefaultConfig()
			cfg.ID, cfg.MQTT = "alone", broker.mqtt("")
			logs := &logLines{}
			b, _ := startBridge(t, cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Journal: log, Log: logs.logger()})
			for range 4 {
				broker.Stop(9)
				eventually(t, "the loss is noticed", func() bool { return b.Ready() != nil })
				time.Sleep(3 * cfg.MQTT.BackoffMax) // it tries in vain
				broker.Start()
				eventually(t, "it is connected again", func() bool { return b.Ready() == nil })
			}
			if n := logs.count("probably another client"); n != 0 {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

// journalOf is a log for a test.
func journalOf(t *testing.T) *recordlog.Log {
	t.Helper()
	log, err := recordlog.Open(recordlog.Config{Dir: t.TempDir(), MaxBytes: recordlog.MinBytes}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}
