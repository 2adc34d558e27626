package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
	"devicetwin/wire"
)

const (
	claimOfB7  = "bridge/b7/claim"
	statusOfB7 = "bridge/b7/status"
)

// claimant is a bridge that is not run, and its log.
func claimant(t *testing.T, probe mqtt.Dialer) (*Bridge, *logLines) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.ID = "b7"
	logs := &logLines{}
	b, err := New(cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: logs.logger()})
	if err != nil {
		t.Fatal(err)
	}
	b.probe = probe
	return b, logs
}

// TestClaim: a session is the same log's only if both what was claimed and what was said of
// it since name it.
func TestClaim(t *testing.T) {
	for name, tc := range map[string]struct {
		claim, status string
		broker        *retainer // how it behaves; nil: well
		mine          bool
		logged        string        // part of it
		within        time.Duration // of which the attempt may take
		kept          bool          // the claim
	}{
		"mine":                 {claim: `{"log":"mine"}`, status: `{"status":"offline","log":"mine"}`, mine: true, kept: true},
		"mine, read late":      {claim: `{"log":"mine"}`, status: `{"status":"offline","log":"mine"}`, broker: &retainer{lags: claimGrace / 2}, mine: true, within: claimGrace, kept: true},
		"nobody's":             {within: claimGrace},
		"mine, where it ended": {claim: `{"log":"mine","position":100}`, status: `{"status":"offline","log":"mine"}`, mine: true, kept: true},
		"a later copy's": {claim: `{"log":"mine","at":"2026-01-02T03:04:05Z","position":101}`, status: `{"status":"offline","log":"mine"}`, kept: true,
			logged: "this bridge's log is an earlier copy"},
		"another's":                 {claim: `{"log":"theirs","at":"2026-01-02T03:04:05Z"}`, status: `{"status":"online","log":"theirs"}`, logged: "since=2026-01-02T03:04:05"},
		"another's, not yet online": {claim: `{"log":"theirs","at":"2026-01-02T03:04:05Z"}`, status: `{"status":"online","log":"mine"}`, logged: "since=2026-01-02T03:04:05"},
		"an earlier version's":      {claim: `{"log":"mine"}`, status: `{"status":"offline","at":"2026-02-03T04:05:06Z"}`, logged: "an earlier version of this program had this bridge's id", kept: true},
		"a status that is lost":     {claim: `{"log":"mine"}`, within: claimGrace, logged: "not retained on bridge/b7/status", kept: true},
		"a status that may not be read": {claim: `{"log":"mine"}`, status: `{"status":"offline","log":"mine"}`, broker: &retainer{hides: statusOfB7}, within: claimGrace,
			logged: "account may not read it", kept: true},
		"a claim that is lost":    {status: `{"status":"online","log":"mine"}`, within: claimGrace},
		"a claim that is broken":  {claim: `{"log":`, status: `{"status":"online","log":"mine"}`, within: claimGrace},
		"a status that is broken": {claim: `{"log":"mine"}`, status: `online`, within: claimGrace, logged: "not retained", kept: true},
		"a broker that is deaf": {claim: `{"log":"mine"}`, status: `{"status":"online","log":"mine"}`, broker: &retainer{deaf: true}, within: claimHeard,
			logged: "give the bridge's account the permission", kept: true},
		"a broker that refuses": {claim: `{"log":"mine"}`, broker: &retainer{refuses: packets.ErrorRefusedNotAuthorised}, within: time.Minute,
			logged: "give the bridge's account the permission", kept: true},
		"a broker that ends connections": {claim: `{"log":"mine"}`, broker: &retainer{loses: mqtt.ErrLost}, within: time.Minute,
			logged: "give the bridge's account the permission", kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := cmp.Or(tc.broker, &retainer{})
				for topic, payload := range map[string]string{claimOfB7: tc.claim, statusOfB7: tc.status} {
					if payload != "" {
						broker.set(topic, payload)
					}
				}
				b, logs := claimant(t, broker.Dial)
				began := time.Now()
				mine, err := b.claim(t.Context(), appended{log: "mine", to: 100}, "mine", true)
				if took := time.Since(began); mine != tc.mine || err != nil || took > tc.within {
					t.Errorf("mine %v, %v, after %v", mine, err, took)
				}
				if tc.logged == "" && len(logs.lines) != 0 || tc.logged != "" && logs.count(tc.logged) != 1 {
					t.Errorf("logged %q", logs.lines)
				}
				var now BridgeClaim
				switch got := broker.get(claimOfB7); {
				case tc.kept && got != tc.claim:
					t.Errorf("then %s is claimed", got)
				case !tc.kept && (json.Unmarshal([]byte(got), &now) != nil || now.Log != "mine" || !now.At.Equal(time.Now().Truncate(time.Millisecond))):
					t.Errorf("then %s is claimed at %v", got, time.Now())
				}
			})
		})
	}
}

// TestClaimWaitsForTheBroker as the session does.
func TestClaimWaitsForTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &retainer{refuses: errors.New("connection refused")}
		broker.set(claimOfB7, `{"log":"mine"}`)
		broker.set(statusOfB7, `{"status":"offline","log":"mine"}`)
		b, logs := claimant(t, broker.Dial)
		done := make(chan bool)
		go func() {
			mine, err := b.claim(t.Context(), appended{log: "mine", to: 100}, "mine", true)
			done <- mine && err == nil
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := logs.count("cannot claim the session yet"); n != 1 || len(logs.lines) != 1 {
			t.Errorf("logged %q", logs.lines)
		}
		if n := broker.attempts(); n < 30 || n > 1000 {
			t.Errorf("%d attempts in an hour", n)
		}
		broker.fail(nil, nil)
		if !<-done {
			t.Error("not claimed")
		}
	})
}

// TestClaimEndsWithItsContext wherever it waits.
func TestClaimEndsWithItsContext(t *testing.T) {
	for name, broker := range map[string]*retainer{
		"for a connection": {refuses: errors.New("connection refused")}, "for a message": {deaf: true}, "for what is retained": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, logs := claimant(t, broker.Dial)
				ctx, cancel := context.WithTimeout(t.Context(), claimGrace/2)
				defer cancel()
				began := time.Now()
				mine, err := b.claim(ctx, appended{log: "mine", to: 100}, "mine", true)
				if mine || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > claimGrace/2 {
					t.Errorf("%v, %v after %v", mine, err, time.Since(began))
				}
				if logs.count("permission") != 0 {
					t.Errorf("logged %q", logs.lines)
				}
			})
		})
	}
}

// TestBridgeWithoutLogClaimsEachTime, so that one with a log that comes back knows of it.
func TestBridgeWithoutLogClaimsEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &retainer{}
		seen := map[string]bool{}
		for range 3 {
			b, logs := claimant(t, broker.Dial)
			if mine, err := b.claim(t.Context(), appended{}, "", true); mine || err != nil {
				t.Errorf("%v, %v", mine, err)
			}
			var now BridgeClaim
			if err := json.Unmarshal([]byte(broker.get(claimOfB7)), &now); err != nil || now.Log == "" || now.Log != b.lineage || seen[now.Log] {
				t.Errorf("claimed %+v after %v: %v", now, seen, err)
			}
			if len(logs.lines) != 0 {
				t.Errorf("logged %q", logs.lines)
			}
			seen[now.Log] = true
			broker.set(statusOfB7, string(b.cfg.status("online", "", b.lineage)))
		}
	})
}

// TestMosquittoKeepsTheClaim runs bridges with and without a log one after the other at a
// real broker.
func TestMosquittoKeepsTheClaim(t *testing.T) {
	broker := startMosquitto(t)
	cfg := DefaultConfig()
	cfg.ID, cfg.MQTT = "b7", broker.mqtt("")
	// live is the life of a bridge: it claims, connects, and ends.
	live := func(log string, how string, want bool) {
		t.Helper()
		b, err := New(cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if mine, err := b.claim(t.Context(), appended{log: log, to: 100}, log, true); mine != want || err != nil {
			t.Fatalf("%s: mine %v, expected %v, %v", how, mine, want, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.session(ctx).Run(ctx) })
		running.Go(func() { b.ingest.Run(ctx, ctx) })
		eventually(t, "its status is retained", func() bool { return strings.Contains(string(broker.retained(statusOfB7)), b.lineage) })
		if mine, err := b.claim(t.Context(), appended{log: log, to: 100}, log, true); mine != (log != "") || err != nil {
			t.Fatalf("%s, once connected: mine %v, %v", how, mine, err)
		}
		cancel()
		running.Wait()
	}
	live("first", "nobody was there", false)
	live("first", "started again", true)
	broker.Stop(syscall.SIGTERM)
	broker.Start()
	live("first", "after the broker was started again", true)
	live("second", "with another log", false)
	live("first", "after another log", false)
	live("first", "started again", true)
	live("", "without a log", false)
	live("first", "after one without a log", false)
	out := startPublisher(t, broker.mqtt("out"))
	publish := func(topic, payload string) {
		t.Helper()
		if err := out.Publish(t.Context(), topic, 1, true, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	publish(claimOfB7, "")
	live("first", "after the claim was lost", false)
	publish(statusOfB7, `{"status":"offline","reason":"stopped","at":"2026-01-01T00:00:00Z"}`)
	live("first", "after an earlier version", false)
	live("first", "started again", true)
}

// retained is what the broker has retained on a topic.
func (m *mosquitto) retained(topic string) []byte {
	m.t.Helper()
	got := make(chan mqtt.Message, 1)
	c := m.dial(m.mqtt("reader"), got)
	defer c.Close(0)
	if _, err := c.Connect(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	if err := c.Subscribe(m.t.Context(), []string{topic}); err != nil {
		m.t.Fatal(err)
	}
	select {
	case r := <-got:
		return r.Payload
	case <-time.After(time.Second):
		return nil
	}
}

func TestClaimIsNotSubscribedTo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Subscribe = []string{"+/+/claim"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), wire.ClaimTopic("bridge")) {
		t.Errorf("%v", err)
	}
}

// TestTheClaimIsRenewed says at once how far the log is, and then as often as it has grown.
func TestTheClaimIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &mqtttest.Broker{}
		c := broker.Dial(t.Context(), func(context.Context, mqtt.Message) {})
		var position atomic.Int64
		position.Store(100)
		s := &session{cfg: DefaultConfig(), lineage: "mine", reached: position.Load, log: slog.New(slog.DiscardHandler)}
		s.cfg.ID = "b7"
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.renewClaims(ctx, c); close(ended) }()
		expect := func(want ...int64) {
			t.Helper()
			synctest.Wait()
			var got []int64
			for _, line := range broker.First().Published() {
				topic, payload, _ := strings.Cut(line, " ")
				var claim BridgeClaim
				if err := json.Unmarshal([]byte(payload), &claim); err != nil || topic != claimOfB7 || claim.Log != "mine" || claim.Probe != "" {
					t.Errorf("published %s", line)
				}
				got = append(got, claim.Position)
			}
			if !slices.Equal(got, want) {
				t.Errorf("claimed %v, want %v", got, want)
			}
		}
		expect(100)
		time.Sleep(10 * claimRenewed)
		expect(100)
		position.Store(200)
		time.Sleep(claimRenewed)
		expect(100, 200)
		broker.First().FailPublish(mqtt.ErrLost)
		position.Store(300)
		time.Sleep(2 * claimRenewed)
		broker.First().FailPublish(nil)
		time.Sleep(claimRenewed)
		expect(100, 200, 300)
		end()
		<-ended
	})
}

// TestARefusedClaimIsNotRenewed: some brokers end the connection of a client that publishes
// what it may not.
func TestARefusedClaimIsNotRenewed(t *testing.T) {
	for name, c := range map[string]struct {
		broker *retainer
		log    string
		renews bool
	}{
		"taken":         {&retainer{}, "mine", true},
		"not heard":     {&retainer{deaf: true}, "mine", false},
		"refused":       {&retainer{refuses: packets.ErrorRefusedNotAuthorised}, "mine", false},
		"without a log": {&retainer{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := claimant(t, c.broker.Dial)
				if _, err := b.claim(t.Context(), appended{log: c.log, to: 100}, c.log, true); err != nil || b.renews.Load() != c.renews {
					t.Errorf("renews: %v, %v", b.renews.Load(), err)
				}
			})
		})
	}
}

// TestWhatWaitsInAnEarlierLogIsReported: nobody else knows whether it was delivered.
func TestWhatWaitsInAnEarlierLogIsReported(t *testing.T) {
	for claim, want := range map[string]string{
		`{"log":"theirs"}`:              "or a second time",
		`{"log":"mine","position":101}`: "this bridge's log is an earlier copy",
	} {
		synctest.Test(t, func(t *testing.T) {
			broker := &retainer{}
			broker.set(claimOfB7, claim)
			broker.set(statusOfB7, `{"status":"offline","log":"mine"}`)
			b, logs := claimant(t, broker.Dial)
			if mine, err := b.claim(t.Context(), appended{"mine", 100, 7}, "mine", true); mine || err != nil {
				t.Errorf("mine %v, %v", mine, err)
			}
			if logs.count(want) != 1 || logs.count("level=WARN") != 1 || logs.count("messages_waiting=7") != 1 {
				t.Errorf("logged %q", logs.lines)
			}
		})
	}
}
