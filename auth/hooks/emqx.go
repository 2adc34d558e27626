package hooks

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"devicetwin/auth"
)

// emqxRequest is what EMQX is set to send, under these keys:
// https://docs.emqx.com/en/emqx/latest/access-control/authn/http.html and
// https://docs.emqx.com/en/emqx/latest/access-control/authz/http.html.
type emqxRequest struct {
	ClientID   string `json:"clientid"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	CommonName string `json:"cert_common_name"`
	Action     string `json:"action"` // publish or subscribe
	Topic      string `json:"topic"`
}

// emqxAnswer is how EMQX is answered. ACL, which EMQX 5.8 and later read, saves a
// request for each topic.
type emqxAnswer struct {
	Result    string    `json:"result"`
	Superuser *bool     `json:"is_superuser,omitempty"`
	ACL       []emqxACL `json:"acl,omitempty"`
}

// emqxACL is one permission:
// https://docs.emqx.com/en/emqx/latest/access-control/authn/acl.html.
type emqxACL struct {
	Permission string `json:"permission"`
	Action     string `json:"action"`
	Topic      string `json:"topic"`
}

func (s *Server) emqxLogin(r *http.Request) (answer, error) {
	q, err := readEMQX(r)
	if err != nil {
		return answer{}, err
	}
	c, ok := s.login(r, auth.Login{Client: q.ClientID, Username: q.Username, Password: q.Password, Certificate: q.CommonName})
	if !ok {
		return emqxDecided(false, nil)
	}
	var acl []emqxACL
	for _, rule := range s.decider.Permissions(c) {
		// EMQX takes the # of a subscription for a level, which + matches: about such a
		// filter it has to ask (emqx_topic:match/2).
		subscribe := rule.Subscribe && !endsInAny(rule.Filter)
		action := "all"
		switch {
		case !rule.Publish && !subscribe:
			continue
		case !subscribe:
			action = "publish"
		case !rule.Publish:
			action = "subscribe"
		}
		acl = append(acl, emqxACL{"allow", action, rule.Filter})
	}
	no := false
	return emqxDecided(true, func(a *emqxAnswer) { a.Superuser, a.ACL = &no, acl })
}

// endsInAny reports whether the last level of a filter, but for a #, is any one.
func endsInAny(filter string) bool {
	filter = strings.TrimSuffix(filter, "/#")
	return filter == "+" || strings.HasSuffix(filter, "/+")
}

func (s *Server) emqxPermission(r *http.Request) (answer, error) {
	q, err := readEMQX(r)
	if err != nil {
		return answer{}, err
	}
	c, known := s.decider.Known(q.Username, q.CommonName)
	var may bool
	switch q.Action {
	case "publish":
		may = known && s.decider.MayPublish(c, q.Topic)
	case "subscribe":
		may = known && s.decider.MaySubscribe(c, q.Topic)
	default:
		return answer{}, fmt.Errorf("%w: action %q: expected publish or subscribe", errNotAsked, auth.Shown(q.Action))
	}
	if !may {
		s.denied(r, c, q.Action, q.Topic)
	}
	return emqxDecided(may, nil)
}

func emqxDecided(allowed bool, more func(*emqxAnswer)) (answer, error) {
	a := emqxAnswer{Result: "deny"}
	if allowed {
		a.Result = "allow"
	}
	if more != nil {
		more(&a)
	}
	body, err := json.Marshal(a)
	return answer{body: string(body), json: true, allowed: allowed}, err
}

func readEMQX(r *http.Request) (q emqxRequest, err error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		if err := r.ParseForm(); err != nil {
			return q, fmt.Errorf("%w: %w", errNotAsked, err)
		}
		f := r.PostForm
		q = emqxRequest{f.Get("clientid"), f.Get("username"), f.Get("password"), f.Get("cert_common_name"), f.Get("action"), f.Get("topic")}
	} else if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return q, fmt.Errorf("%w: %w", errNotAsked, err)
	}
	// What a client does not have is empty, or, in some releases, this word, or the
	// placeholder itself.
	for _, field := range []*string{&q.Username, &q.Password, &q.CommonName} {
		if *field == "undefined" || strings.HasPrefix(*field, "${") {
			*field = ""
		}
	}
	return q, nil
}
