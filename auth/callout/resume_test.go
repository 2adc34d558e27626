package callout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"devicetwin/auth"
	"devicetwin/internal/natsresume"
	"devicetwin/internal/testlog"
)

// jetStream answers by the kind of call; what it does not have, it never answers.
type jetStream struct {
	answers map[string]string
	asked   []string
}

func (j *jetStream) ConnectedClusterName() string { return "" }
func (j *jetStream) Publish(string, []byte) error { return nil }

func (j *jetStream) RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	call := strings.Join(strings.Split(subject, ".")[2:4], ".")
	j.asked = append(j.asked, call)
	if strings.Contains(string(data), ".aside") {
		call = "aside"
	}
	if a, ok := j.answers[call]; ok {
		return &nats.Msg{Data: []byte(a)}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func resumerOf(j *jetStream, lines *testlog.Lines) *resumer {
	return newResumer(natsresume.Broker{Conn: j, TakesOver: true}, Options{
		Resumes: func(c auth.Client) bool { return c.Service != "" }, Log: lines.Logger(),
	})
}

// login asks for client b, now; the server waits for 9 seconds.
func login() *jwt.AuthorizationRequestClaims {
	q := jwt.NewAuthorizationRequestClaims("x")
	q.IssuedAt, q.ClientInformation.MQTT = time.Now().Unix(), "b"
	q.Expires = q.IssuedAt + 9
	return q
}

// A client is answered a second before the server would not wait any longer. It is refused
// while its session would be silent, or in the wrong order.
func TestResumes(t *testing.T) {
	const (
		session = `{"message": {"seq": 1, "data": "eyJpZCI6ImIiLCJjb25zIjp7ImEiOnsiZHVyYWJsZV9uYW1lIjoiYyIsImRlbGl2ZXJfc3ViamVjdCI6InMifX19"}}`
		info    = `{"num_ack_pending": 3, "config": {"deliver_subject": "s"}}`
	)
	bridge, pump := auth.Client{Service: "devicetwin.bridge"}, auth.Client{Device: "pump-1"}
	for _, tt := range []struct {
		name     string
		client   auth.Client
		answers  map[string]string
		calls    int // at least
		took     time.Duration
		admitted bool
		logs     string
	}{
		{"device", pump, nil, 0, 0, true, ""},
		{"first login", bridge, map[string]string{"STREAM.MSG": `{"error": {"err_code": 10037}}`}, 1, 0, true, ""},
		{"in flight", bridge, map[string]string{"STREAM.MSG": session, "CONSUMER.INFO": info, "aside": `{}`, "CONSUMER.DURABLE": `{}`}, 4, 0, true, "sent again"},
		{"no answer", bridge, nil, 4, 8 * time.Second, false, "refused for now"},
		{"fault", bridge, map[string]string{"STREAM.MSG": `{"error": {"err_code": 10039}}`}, 1, 0, true, "may arrive late"},
		{"left aside", bridge, map[string]string{"STREAM.MSG": session, "CONSUMER.INFO": info, "aside": `{}`}, 4, 8 * time.Second, false, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &jetStream{answers: tt.answers}
				var lines testlog.Lines
				r := resumerOf(j, &lines)
				began := time.Now()
				err := r.resume(t.Context(), tt.client, login(), began)
				if (err == nil) != tt.admitted || errors.Is(err, natsresume.ErrAside) != (tt.name == "left aside") {
					t.Errorf("error %v", err)
				}
				if len(j.asked) < tt.calls || tt.calls == 0 && j.asked != nil {
					t.Errorf("it asked %q", j.asked)
				}
				if took := time.Since(began); took < tt.took || took >= tt.took+time.Second {
					t.Errorf("it took %v", took)
				}
				if said := lines.String(); !strings.Contains(said, tt.logs) || tt.logs == "" && strings.Contains(said, "level") {
					t.Errorf("it logged %s", said)
				}
				if len(r.slots) > 0 {
					t.Error("it is not over")
				}
			})
		})
	}
}

// A client whose messages would come in the wrong order is refused for a minute, again after
// it was admitted, and from the beginning after a long pause.
func TestRefusesForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &jetStream{}
		var lines testlog.Lines
		r := resumerOf(j, &lines)
		bridge := auth.Client{Service: "devicetwin.bridge"}
		admittedAfter := func() (refused int) {
			for r.resume(t.Context(), bridge, login(), time.Now()) != nil {
				refused++
				time.Sleep(time.Second)
			}
			return refused
		}
		// A login takes 8 seconds, and the next one comes a second later: the 8th begins after 63.
		for range 2 {
			if n := admittedAfter(); n != 7 {
				t.Errorf("admitted after %d refusals, want 7", n)
			}
		}
		_ = r.resume(t.Context(), bridge, login(), time.Now())
		time.Sleep(3 * outOfOrder)
		if n := admittedAfter(); n != 7 {
			t.Errorf("admitted after %d refusals, want 7", n)
		}
		// Leaders are there again.
		_ = r.resume(t.Context(), bridge, login(), time.Now())
		j.answers = map[string]string{"STREAM.MSG": `{"error": {"err_code": 10037}}`}
		if err := r.resume(t.Context(), bridge, login(), time.Now()); err != nil || len(r.first) != 0 {
			t.Errorf("%v, remembered %v", err, r.first)
		}
	})
}
