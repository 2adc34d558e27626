package hooks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"devicetwin/auth"
)

// vernemqRemembers is how long VerneMQ may remember that a client may use a topic,
// which does not change while this process runs: else each message would be a
// request. Logins it may not remember.
const vernemqRemembers = time.Minute

// vernemqRequest is what VerneMQ sends, of all hooks:
// https://docs.vernemq.com/plugin-development/webhookplugins.
type vernemqRequest struct {
	ClientID   string         `json:"client_id"`
	Mountpoint string         `json:"mountpoint"`
	Username   *string        `json:"username"`
	Password   *string        `json:"password"`
	Topic      string         `json:"topic"`
	Topics     []vernemqTopic `json:"topics"`
}

type vernemqTopic struct {
	Topic string `json:"topic"`
	QoS   int    `json:"qos"`
}

// Grants of QoS that are refusals: MQTT 3.1.1, section 3.9.3, and MQTT 5, section
// 3.9.3.
const (
	vernemqFailure       = 128
	vernemqNotAuthorized = 135
)

func (s *Server) vernemq(r *http.Request) (answer, error) {
	var q vernemqRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errNotAsked, err)
	}
	hook := r.Header.Get("vernemq-hook")
	kind, five := strings.CutSuffix(hook, "_m5")
	switch kind {
	case "auth_on_register":
		_, ok := s.login(r, auth.Login{Client: q.ClientID, Username: orEmpty(q.Username), Password: orEmpty(q.Password)})
		return vernemqDecided(ok, 0)
	case "auth_on_publish":
		c, known := s.decider.Known(orEmpty(q.Username), "")
		may := known && s.decider.MayPublish(c, q.Topic)
		if !may {
			s.denied(r, c, "publish", q.Topic)
		}
		return vernemqDecided(may, vernemqRemembers)
	case "auth_on_subscribe":
		return s.vernemqSubscribe(r, q, five)
	}
	return answer{}, fmt.Errorf("%w: header vernemq-hook %q: expected auth_on_register, auth_on_publish or auth_on_subscribe, also with _m5", errNotAsked, auth.Shown(hook))
}

// vernemqSubscribe refuses those of several filters that a client may not use.
func (s *Server) vernemqSubscribe(r *http.Request, q vernemqRequest, five bool) (answer, error) {
	c, known := s.decider.Known(orEmpty(q.Username), "")
	allowed := 0
	topics := make([]vernemqTopic, len(q.Topics))
	for i, t := range q.Topics {
		topics[i] = t
		switch {
		case known && s.decider.MaySubscribe(c, t.Topic):
			allowed++
			continue
		case five:
			topics[i].QoS = vernemqNotAuthorized
		default:
			topics[i].QoS = vernemqFailure
		}
		s.denied(r, c, "subscribe", t.Topic)
	}
	switch {
	case allowed == len(topics):
		return vernemqDecided(known && allowed > 0, vernemqRemembers)
	case allowed == 0:
		return vernemqDecided(false, 0)
	}
	body := map[string]any{"result": "ok", "topics": topics}
	if five {
		body = map[string]any{"result": "ok", "modifiers": map[string]any{"topics": topics}}
	}
	raw, err := json.Marshal(body)
	return answer{body: string(raw), json: true, cache: vernemqRemembers}, err // counted as denied: a part is
}

// vernemqDecided is the answer to a whole request. A refusal is never remembered.
func vernemqDecided(allowed bool, remember time.Duration) (answer, error) {
	if allowed {
		return answer{body: `{"result":"ok"}`, json: true, allowed: true, cache: remember}, nil
	}
	return answer{body: `{"result":{"error":"not_allowed"}}`, json: true}, nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
