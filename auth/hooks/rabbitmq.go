package hooks

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"devicetwin/auth"
)

// What RabbitMQ's MQTT plugin uses for its clients.
const (
	rabbitExchange   = "amq.topic"          // mqtt.exchange
	rabbitSubscribed = "mqtt-subscription-" // the queue of a client: this, its id, and qos0 or qos1
	rabbitWill       = "mqtt-will-"         // and since RabbitMQ 3.13 that of its will
)

// rabbitLogin answers user_path. A request without a password is about a client that
// RabbitMQ knows by its certificate.
func (s *Server) rabbitLogin(r *http.Request) (answer, error) {
	q, err := readRabbit(r, "username")
	if err != nil {
		return answer{}, err
	}
	l := auth.Login{Client: q.Get("client_id"), Username: q.Get("username"), Password: q.Get("password")}
	if s.certificates && !q.Has("password") {
		l.Certificate, l.Username = l.Username, ""
	}
	_, ok := s.login(r, l)
	return rabbitDecided(ok && s.inVHost(q)) // without tags: it may not use the management API
}

// rabbitVHost answers vhost_path.
func (s *Server) rabbitVHost(r *http.Request) (answer, error) {
	q, err := readRabbit(r, "username", "vhost")
	if err != nil {
		return answer{}, err
	}
	c, known := s.decider.Known(q.Get("username"), "")
	may := known && s.inVHost(q)
	if !may {
		s.denied(r, c, "use virtual host", q.Get("vhost"))
	}
	return rabbitDecided(may)
}

// inVHost reports whether a request is about the virtual host of the devices; a login
// need not say.
func (s *Server) inVHost(q url.Values) bool { return !q.Has("vhost") || q.Get("vhost") == s.vhost }

// rabbitResource answers resource_path. A client has its own queue, and the exchange,
// whose topics are asked for separately; nothing else, so a client that speaks AMQP
// cannot read what waits for another one.
func (s *Server) rabbitResource(r *http.Request) (answer, error) {
	q, err := readRabbit(r, "username", "vhost", "resource", "name", "permission")
	if err != nil {
		return answer{}, err
	}
	c, known := s.decider.Known(q.Get("username"), "")
	name, permission := q.Get("name"), q.Get("permission")
	may := known && s.inVHost(q)
	switch q.Get("resource") {
	case "queue":
		client := q.Get("client_id")
		may = may && client != "" && ownQueue(name, client) && (c.Device == "" || auth.OwnsClientID(c.Device, client))
	case "exchange":
		may = may && name == rabbitExchange && (permission == "read" || permission == "write")
	default:
		may = false
	}
	if !may {
		s.denied(r, c, permission, q.Get("resource")+" "+name)
	}
	return rabbitDecided(may)
}

// ownQueue reports whether a queue is one of an MQTT client.
func ownQueue(name, client string) bool {
	if name == rabbitWill+client {
		return true
	}
	rest, ok := strings.CutPrefix(name, rabbitSubscribed+client)
	return ok && (rest == "qos0" || rest == "qos1")
}

// rabbitTopic answers topic_path.
func (s *Server) rabbitTopic(r *http.Request) (answer, error) {
	q, err := readRabbit(r, "username", "vhost", "name", "permission", "routing_key")
	if err != nil {
		return answer{}, err
	}
	c, known := s.decider.Known(q.Get("username"), "")
	topic := rabbitTopicOf(q.Get("routing_key"))
	may := known && s.inVHost(q) && q.Get("name") == rabbitExchange
	switch q.Get("permission") {
	case "write":
		may = may && s.decider.MayPublish(c, topic)
	case "read":
		may = may && s.decider.MaySubscribe(c, topic)
	default:
		may = false
	}
	if !may {
		s.denied(r, c, q.Get("permission"), topic)
	}
	return rabbitDecided(may)
}

// rabbitTopicOf is the topic, or the filter, of a routing key. RabbitMQ separates
// levels by dots, and takes a dot in a topic for a separator too; * stands for one
// level. A * in a topic of MQTT, where it means nothing, becomes a wildcard in
// RabbitMQ, and so it is one here.
func rabbitTopicOf(routingKey string) string {
	return strings.NewReplacer(".", "/", "*", "+").Replace(routingKey)
}

// readRabbit reads a request with these parameters:
// https://github.com/rabbitmq/rabbitmq-server/blob/main/deps/rabbitmq_auth_backend_http/README.md.
func readRabbit(r *http.Request, required ...string) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAsked, err)
	}
	for _, name := range required {
		if !r.PostForm.Has(name) {
			return nil, fmt.Errorf("%w: parameter %s is missing", errNotAsked, name)
		}
	}
	return r.PostForm, nil
}

func rabbitDecided(allowed bool) (answer, error) {
	if allowed {
		return answer{body: "allow", allowed: true}, nil
	}
	return answer{body: "deny"}, nil
}
