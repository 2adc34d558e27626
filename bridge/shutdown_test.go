package bridge

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestShutdownObeysTheTimeOfItsCaller(t *testing.T) {
	for name, take := range map[string]time.Duration{"all is well": 500 * time.Millisecond, "never": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startRig(t, DefaultConfig())
				r.temp.takes = take
				r.deliver("d", 1, false)
				synctest.Wait()
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if err := r.Shutdown(ctx); err != nil {
					t.Errorf("shut down: %v", err)
				}
				if took := time.Since(began); took > 3*time.Second || err(<-r.ended) {
					t.Errorf("ended after %v", took)
				}
				if acked := r.acks() == "1"; acked != (take < time.Hour) {
					t.Errorf("acknowledged %q", r.acks())
				}
				if last := r.broker.Last().Published(); !strings.Contains(last[len(last)-1], `"offline","reason":"stopped"`) {
					t.Errorf("the last status is %q", last)
				}
			})
		})
	}
}
func err(err error) bool { return err != nil }

func TestTwinFilters(t *testing.T) {
	cfg := DefaultConfig()
	b, err := New(DefaultConfig(), Deps{Model: testModel{}, Sink: &fakeSink{}})
	if err != nil || !slices.Equal(b.cfg.Subscribe, []string{"devices/#", "$aws/things/+/shadow/#"}) {
		t.Errorf("subscriptions %q, %v", b.cfg.Subscribe, err)
	}
	cfg.Wire.ShadowTopics = []string{"things/{id}", "bad"}
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "topic template") != 2 {
		t.Errorf("bad templates: %v", err)
	}
	cfg.Wire.ShadowTopics = []string{"devices/{id}[/{shadow}]", "bridge/{id}[/{shadow}]"}
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "it takes in") != 5 {
		t.Errorf("templates that take in other topics: %v", err)
	}
}
func TestStopWaitsForWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		r.temp.takes = 3 * time.Second
		for id := 1; id <= 3; id++ {
			r.deliver("d", id, false)
		}
		synctest.Wait()
		r.end()
		if got := r.acks(); got != "1 2 3" {
			t.Errorf("acknowledged: %s", got)
		}
	})
}
func TestStopGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		r := startRig(t, cfg)
		r.temp.setDown(true)
		r.deliver("d", 1, false)
		synctest.Wait()
		began := time.Now()
		r.end()
		if took := time.Since(began); took > cfg.DrainTimeout+2*time.Second {
			t.Errorf("stopped after %v", took)
		}
		if got := r.acks(); got != "" {
			t.Errorf("acknowledged: %s", got)
		}
	})
}
