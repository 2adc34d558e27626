package natsresume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	client   = "bridge-1"
	name     = "X_1"
	original = "$MQTT.sub.1"
)

// jetStream is a server with a session that has one consumer.
type jetStream struct {
	cluster    bool
	stored     string // the session; "" if there is none
	pending    int
	requeued   int       // of those
	bound      time.Time // until then the connection before is subscribed
	deaf       time.Time // until then nobody answers
	leaderless time.Time // until then nobody is the leader, and that is said
	forgetful  time.Time // until then it is said that nothing is in flight
	lag        int       // so many changes are refused because of a connection that has ended
	fails      string    // changes to this subject get no answer, and are not made
	loses      int       // so many answers to changes

	subject   string
	changes   []string
	takenOver []string
}

func (j *jetStream) ConnectedClusterName() string {
	if j.cluster {
		return "c"
	}
	return ""
}

// Publish is a client that takes the session over.
func (j *jetStream) Publish(subject string, data []byte) error {
	j.takenOver = append(j.takenOver, subject+" "+string(data))
	j.bound = time.Now().Add(20 * time.Millisecond)
	return nil
}

func (j *jetStream) RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	silence := func() (*nats.Msg, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answer := func(format string, values ...any) (*nats.Msg, error) {
		return &nats.Msg{Data: fmt.Appendf(nil, format, values...)}, nil
	}
	refuse := func(code int) (*nats.Msg, error) {
		return answer(`{"error": {"err_code": %d, "description": "x"}}`, code)
	}
	until := func(t time.Time) bool { return time.Now().Before(t) }
	if until(j.deaf) {
		return silence()
	}
	if until(j.leaderless) {
		return refuse(unavailable)
	}
	switch call, _ := strings.CutPrefix(subject, "$JS.API."); call {
	case "STREAM.MSG.GET.$MQTT_sess":
		if want := `{"last_by_subj":"$MQTT.sess.` + hash(client) + `"}`; string(data) != want {
			return nil, fmt.Errorf("asked for %s, want %s", data, want)
		}
		if j.stored == "" {
			return refuse(noMessage)
		}
		raw, _ := json.Marshal([]byte(j.stored))
		return answer(`{"message": {"seq": 7, "data": %s}}`, raw)
	case "CONSUMER.INFO.$MQTT_msgs." + name:
		switch {
		case j.subject == "":
			return refuse(noConsumer)
		case until(j.forgetful):
			return answer(`{"config": {"deliver_subject": %q}}`, j.subject)
		}
		leader := ""
		if j.cluster {
			leader = "n1"
		}
		return answer(`{"num_ack_pending": %d, "push_bound": %v, "cluster": {"leader": %q}, "config": {"deliver_subject": %q, "ack_wait": 30}}`, j.pending, until(j.bound), leader, j.subject)
	case "CONSUMER.DURABLE.CREATE.$MQTT_msgs." + name:
		var q struct {
			Stream string `json:"stream_name"`
			Action string `json:"action"`
			Config struct {
				Subject string `json:"deliver_subject"`
				AckWait int    `json:"ack_wait"`
			} `json:"config"`
		}
		if err := json.Unmarshal(data, &q); err != nil || q.Stream != "$MQTT_msgs" || q.Action != "update" || q.Config.AckWait != 30 {
			return nil, fmt.Errorf("change %s: %v", data, err)
		}
		if q.Config.Subject == j.fails {
			return silence()
		}
		if j.subject == original && (until(j.bound) || j.lag > 0) {
			j.lag--
			return refuse(bound)
		}
		if j.subject != q.Config.Subject {
			j.subject, j.requeued = q.Config.Subject, j.pending
			j.changes = append(j.changes, j.subject)
		}
		if j.loses > 0 {
			j.loses--
			return silence()
		}
		return answer(`{}`)
	}
	return nil, errors.New("unknown call " + subject)
}

const stored = `{"id": "bridge-1", "cons": {"devices.>": {"durable_name": "X_1", "deliver_subject": "$MQTT.sub.1"}, "gone": null}}`

func TestRequeues(t *testing.T) {
	there := []string{original + ".aside", original}
	for _, tt := range []struct {
		name    string
		set     func(*jetStream, time.Time)
		changes []string
		took    time.Duration // less than this
		over    bool          // the connection before was ended
	}{
		{"at once", func(*jetStream, time.Time) {}, there, 1, false},
		{"nothing in flight", func(j *jetStream, _ time.Time) { j.pending = 0 }, nil, 1, false},
		{"no consumer", func(j *jetStream, _ time.Time) { j.subject = "" }, nil, 1, false},
		{"a connection that is about to end", func(j *jetStream, now time.Time) { j.bound = now.Add(100 * time.Millisecond) }, there, 110 * time.Millisecond, false},
		{"a connection that stays", func(j *jetStream, now time.Time) { j.bound = now.Add(time.Hour) }, there, grace + jail + 10*time.Millisecond, true},
		{"nobody answers for a while", func(j *jetStream, now time.Time) { j.deaf = now.Add(3 * time.Second) }, there, 4500 * time.Millisecond, false},
		{"no leader for a while", func(j *jetStream, now time.Time) { j.leaderless = now.Add(3 * time.Second) }, there, 3100 * time.Millisecond, false},
		{"a server that has just begun", func(j *jetStream, now time.Time) { j.forgetful = now.Add(time.Second) }, there, 1100 * time.Millisecond, false},
		{"another server is late", func(j *jetStream, _ time.Time) { j.lag = 3 }, there, 10 * time.Millisecond, false},
		{"lost answers", func(j *jetStream, _ time.Time) { j.loses = 2 }, there, 3 * time.Second, false},
		{"it was left aside", func(j *jetStream, _ time.Time) { j.subject, j.pending = there[0], 0 }, there[1:], 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				j := &jetStream{cluster: true, stored: stored, pending: 5, subject: original}
				tt.set(j, began)
				b := &Broker{Conn: j, TakesOver: true}
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				s, err := b.Session(ctx, client)
				if err != nil || s == nil {
					t.Fatalf("session %+v, %v", s, err)
				}
				n, err := b.Requeue(ctx, s)
				if err != nil || n != j.requeued || !slices.Equal(j.changes, tt.changes) {
					t.Errorf("requeued %d of %d, changes %q, error %v", n, j.requeued, j.changes, err)
				}
				if took := time.Since(began); took >= tt.took {
					t.Errorf("it took %v", took)
				}
				if !tt.over && j.takenOver != nil || tt.over && (len(j.takenOver) != 1 || !strings.HasSuffix(j.takenOver[0], ` {"stream":"$MQTT_sess","seq":7}`)) {
					t.Errorf("taken over: %q", j.takenOver)
				}
				if tt.over && time.Since(began) < jail {
					t.Error("the broker would refuse the client now")
				}
			})
		})
	}
}

// What cannot be done ends with the context, and says so if the session would be silent.
func TestCannotRequeue(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   func(*jetStream, time.Time)
		aside bool
	}{
		{"a connection that stays", func(j *jetStream, now time.Time) { j.bound = now.Add(time.Hour) }, false},
		{"no leader", func(j *jetStream, now time.Time) { j.leaderless = now.Add(time.Hour) }, false},
		{"nobody answers", func(j *jetStream, now time.Time) { j.deaf = now.Add(time.Hour) }, false},
		{"no way aside", func(j *jetStream, _ time.Time) { j.fails = original + ".aside" }, false},
		{"no way back", func(j *jetStream, _ time.Time) { j.fails = original }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				j := &jetStream{stored: stored, pending: 5, subject: original}
				tt.set(j, began)
				b := &Broker{Conn: j}
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				s, err := read(client, 7, []byte(stored))
				if err != nil {
					t.Fatal(err)
				}
				_, err = b.Requeue(ctx, s)
				if err == nil || errors.Is(err, ErrAside) != tt.aside {
					t.Errorf("got error %v", err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				if (j.subject != original) != tt.aside {
					t.Errorf("it delivers to %s", j.subject)
				}
			})
		})
	}
}

func TestSessions(t *testing.T) {
	b := &Broker{Conn: &jetStream{}}
	if s, err := b.Session(t.Context(), client); s != nil || err != nil {
		t.Errorf("of a new client: %+v, %v", s, err)
	}
	for raw, want := range map[string]string{
		stored: "[{X_1 $MQTT.sub.1}]",
		`{"id": "bridge-1", "cons": {"b": {"durable_name": "2", "deliver_subject": "y"}, "a": {"durable_name": "1", "deliver_subject": "x"}}}`: "[{1 x} {2 y}]",
		`{"id": "bridge-2", "cons": {"a": {"durable_name": "1", "deliver_subject": "x"}}}`:                                                     "",
		`{"id": "bridge-1", "clean": true, "cons": {"a": {"durable_name": "1", "deliver_subject": "x"}}}`:                                      "",
		`{"id": "bridge-1", "subs": {"a": 0}}`: "",
		`{"id": 1}`:                            "error",
		"nonsense":                             "error",
	} {
		got := ""
		switch s, err := read(client, 1, []byte(raw)); {
		case err != nil:
			got = "error"
		case s != nil:
			got = fmt.Sprint(s.consumers)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
	if got, want := hash("devicetwin-bridge-1"), "bHIEmA4L"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}
