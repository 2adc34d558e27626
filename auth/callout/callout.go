// Package callout answers NATS servers who may connect by MQTT, and which topics a
// client may use: NATS's authorization callout. What is answered is decided in package
// auth; here is only how NATS says it.
//
// A server publishes a request, a JWT, to $SYS.REQ.USER.AUTH in the account of the
// callout. The answer is a JWT with another one in it, that of the user, which has all
// permissions of the client. Both are signed with the key of the issuer that the server
// is set to trust: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_callout.
package callout

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"devicetwin/auth"
	"devicetwin/internal/natsresume"
)

const (
	subject = "$SYS.REQ.USER.AUTH"
	queue   = "devicetwin-auth" // of several processes, one answers

	atOnce        = 64 // requests that are decided at the same time
	decideTimeout = 5 * time.Second
	reconnectWait = time.Second
	drainTimeout  = 5 * time.Second
)

// Options are what a Server needs.
type Options struct {
	Decider *auth.Decider
	// URLs of the NATS servers, for NATS clients: nats://HOST:4222. Username and Password
	// are those of a user among auth_users.
	URLs               []string
	Username, Password string
	CAFile             string // authorities to trust for the servers; "" for those of the system
	// Seed of the issuer: the private key of an account, which begins with SA.
	Seed string
	// Account that clients are put into.
	Account string
	// Certificates says that the common name of a verified certificate is that of a device
	// or of an account, and replaces the password.
	Certificates bool
	// Resumes says of which clients what was in flight in the session is sent again first,
	// in order, when they log in: of none if it is nil. The user has to be in Account then.
	Resumes func(auth.Client) bool
	// Counted is called for each answer.
	Counted func(allowed bool, reason auth.Reason, took time.Duration)
	Log     *slog.Logger
}

// ReadSeed reads the file with the seed of an issuer.
func ReadSeed(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the issuer's seed: %w", err)
	}
	seed := strings.TrimSpace(string(raw))
	if _, err := issuer(seed); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return seed, nil
}

func issuer(seed string) (nkeys.KeyPair, error) {
	key, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, fmt.Errorf("seed of the issuer: %w", err)
	}
	if public, err := key.PublicKey(); err != nil || !nkeys.IsValidPublicAccountKey(public) {
		return nil, errors.New("seed of the issuer: expected that of an account, which begins with SA")
	}
	return key, nil
}

// Server answers until it is closed.
type Server struct {
	options Options
	issuer  nkeys.KeyPair
	nats    *nats.Conn
	slots   chan struct{}
	resume  *resumer
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// Start connects, and answers. While no server is available, it tries again once a
// second.
func Start(o Options) (*Server, error) {
	key, err := issuer(o.Seed)
	if err != nil {
		return nil, err
	}
	if err := Check(o.Decider); err != nil {
		return nil, err
	}
	s := &Server{options: o, issuer: key, slots: make(chan struct{}, atOnce)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	options := []nats.Option{
		nats.Name("devicetwin auth"), nats.UserInfo(o.Username, o.Password), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.DrainTimeout(drainTimeout),
		nats.ConnectHandler(func(c *nats.Conn) { o.Log.Info("connected to NATS", "server", c.ConnectedUrlRedacted()) }),
		nats.ReconnectHandler(func(c *nats.Conn) { o.Log.Info("reconnected to NATS", "server", c.ConnectedUrlRedacted()) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				o.Log.Warn("disconnected from NATS", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.Log.Warn("connection to NATS", "error", err) }),
	}
	if o.CAFile != "" {
		options = append(options, nats.RootCAs(o.CAFile))
	}
	if s.nats, err = nats.Connect(strings.Join(o.URLs, ","), options...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	s.resume = newResumer(natsresume.Broker{Conn: s.nats, TakesOver: true}, o)
	if _, err := s.nats.QueueSubscribe(subject, queue, s.receive); err != nil {
		s.nats.Close()
		return nil, fmt.Errorf("subscribe to requests of NATS: %w", err)
	}
	return s, nil
}

// Ready reports why requests do not arrive.
func (s *Server) Ready() error {
	if !s.nats.IsConnected() {
		return errors.New("not connected to NATS")
	}
	return nil
}

// Close answers what has arrived, and ends.
func (s *Server) Close() error {
	defer s.cancel()
	err := s.nats.Drain()
	for s.nats.IsDraining() && !s.nats.IsClosed() {
		time.Sleep(10 * time.Millisecond)
	}
	s.running.Wait()
	s.nats.Close()
	if errors.Is(err, nats.ErrConnectionReconnecting) { // nothing is under way
		return nil
	}
	return err
}

func (s *Server) receive(m *nats.Msg) {
	s.slots <- struct{}{}
	s.running.Go(func() {
		answer, err := s.answer(m.Data, func() { <-s.slots })
		if err != nil {
			s.options.Log.Warn("cannot answer a request of NATS", "error", err)
			return // the server refuses after its timeout
		}
		if err := m.Respond(answer); err != nil {
			s.options.Log.Warn("cannot answer a request of NATS", "error", err)
		}
	})
}

// answer is the answer to a request: that a client may connect, or why it may not. It calls
// decided when it has decided, and before what may take longer.
func (s *Server) answer(request []byte, decided func()) ([]byte, error) {
	began := time.Now()
	q, err := jwt.DecodeAuthorizationRequestClaims(string(request))
	if err != nil {
		decided()
		return nil, fmt.Errorf("read a request: %w", err)
	}
	client, user, err := s.decide(q)
	took := time.Since(began)
	decided()
	if err == nil {
		err = s.resume.resume(s.ctx, client, q, began)
	}
	a := jwt.NewAuthorizationResponseClaims(q.UserNkey)
	a.Audience = q.Server.ID
	if err != nil {
		// Servers log it.
		a.Error = "refused"
	} else {
		a.Jwt = user
	}
	s.options.Counted(err == nil, auth.ReasonOf(err), took)
	encoded, err := a.Encode(s.issuer)
	if err != nil {
		return nil, fmt.Errorf("sign an answer: %w", err)
	}
	return []byte(encoded), nil
}

// decide is who a client is, and the user that it becomes.
func (s *Server) decide(q *jwt.AuthorizationRequestClaims) (auth.Client, string, error) {
	o := q.ConnectOptions
	l := auth.Login{Client: q.ClientInformation.MQTT, Username: o.Username, Password: o.Password}
	if s.options.Certificates {
		var err error
		if l.Certificate, err = commonName(q.TLS); err != nil {
			s.refused(l, err)
			return auth.Client{}, "", err
		}
	}
	if l.Client == "" {
		err := &auth.Refused{Reason: auth.ReasonClientID, Err: errors.New("refused: it does not speak MQTT")}
		s.refused(l, err)
		return auth.Client{}, "", err
	}
	ctx, cancel := context.WithTimeout(s.ctx, decideTimeout)
	defer cancel()
	c, err := s.options.Decider.Login(ctx, l)
	if err != nil {
		s.refused(l, err)
		return auth.Client{}, "", err
	}
	u := jwt.NewUserClaims(q.UserNkey)
	u.Name, u.Audience = c.String(), s.options.Account
	u.Permissions = Permissions(s.options.Decider.Permissions(c))
	encoded, err := u.Encode(s.issuer)
	if err != nil {
		return auth.Client{}, "", fmt.Errorf("sign a user: %w", err)
	}
	return c, encoded, nil
}

func (s *Server) refused(l auth.Login, err error) {
	reason := auth.ReasonOf(err)
	s.options.Log.Log(s.ctx, reason.Level(), "mqtt client refused", "broker", "nats", "client", auth.Shown(l.Client), "username", auth.Shown(l.Username), "reason", reason, "error", err)
}

// commonName is the name in a certificate that a server has verified; "" if there is
// none.
func commonName(t *jwt.ClientTLS) (string, error) {
	if t == nil || len(t.VerifiedChains) == 0 || len(t.VerifiedChains[0]) == 0 {
		return "", nil
	}
	block, _ := pem.Decode([]byte(t.VerifiedChains[0][0]))
	if block == nil {
		return "", &auth.Refused{Reason: auth.ReasonCertificate, Err: errors.New("read the client's certificate: not PEM")}
	}
	return auth.CommonName(block.Bytes)
}
