package stack

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"devicetwin/auth"
	"devicetwin/auth/callout"
	"devicetwin/device"
)

// mqttAuth says who may connect, and what a client may do. The broker calls
// it for every CONNECT, before it looks for the client's session, which is the one
// moment at which undelivered messages can be put back in order: see resumer.
//
// It is decided in package auth. A connection that comes from the TLS listener has
// the name in its certificate. All others come from the same host: one that
// names a device has to have its password, and has the rights of that device; one that
// names nobody may do everything.
type mqttAuth struct {
	decider *auth.Decider
	open    bool     // without credentials: whatever name a client of the same host gives is nobody's
	devices sync.Map // address of a connection from the TLS listener -> device.ID
	resume  atomic.Pointer[resumer]
	log     *slog.Logger
	// secret is the password of the stack's own connection, which is the only
	// client that is not an MQTT client.
	secret string
}

func newAuth(o Options, log *slog.Logger) (*mqttAuth, error) {
	decider, err := o.decider()
	if err != nil {
		return nil, err
	}
	return &mqttAuth{decider: decider, open: o.Credentials == nil, log: log}, nil
}

// decider decides about the clients of the broker. The error reports every fault of
// Options.Access.
func (o Options) decider() (*auth.Decider, error) {
	access := o.Access
	if access.Prefix == "" {
		usual := auth.DefaultConfig()
		access.Prefix, access.ShadowTopics = usual.Prefix, usual.ShadowTopics
	}
	access.Anonymous = true
	devices := o.Credentials
	if devices == nil {
		devices = everybody{}
	}
	decider, err := auth.New(access, devices, nil)
	if err == nil {
		err = callout.Check(decider)
	}
	if err != nil {
		return nil, fmt.Errorf("what devices may do: %w", err)
	}
	return decider, nil
}

// everybody are devices of which no password is wrong, and none is revoked.
type everybody struct{}

func (everybody) Check(context.Context, string, string) (good bool, err error) { return true, nil }

func (everybody) Revoked(context.Context, string) (bool, error) { return false, nil }

const internalUser = "$devstack"

func newSecret() string { return rand.Text() }

// Check implements server.Authentication.
func (a *mqttAuth) Check(c server.ClientAuthentication) bool {
	options := c.GetOpts()
	if options.Username == internalUser {
		return subtle.ConstantTimeCompare([]byte(options.Password), []byte(a.secret)) == 1
	}
	resume := a.resume.Load()
	if resume == nil {
		// Still starting: the client will try again.
		return false
	}
	if who, ok := a.login(c, resume); !ok {
		return false
	} else if who.Device != "" {
		c.RegisterUser(&server.User{Username: who.Device.Name(), Permissions: permissions(a.decider.Permissions(who))})
	}
	return resume.connecting(c.GetID())
}

// login decides about a client.
func (a *mqttAuth) login(c server.ClientAuthentication, resume *resumer) (who auth.Client, ok bool) {
	options, address := c.GetOpts(), c.RemoteAddress().String()
	l := auth.Login{Username: options.Username, Password: options.Password}
	l.Client, _ = resume.clientID(c.GetID())
	name := auth.Name(l.Username)
	if known, ok := a.devices.Load(address); ok {
		l.Certificate = known.(device.ID).Name()
		name = l.Certificate
	} else if a.open {
		return auth.Client{}, true
	}
	// Broker.kick finds it by its name, also if it is revoked from now on.
	c.RegisterUser(&server.User{Username: name})
	who, err := a.decider.Login(context.Background(), l)
	if err != nil {
		reason := auth.ReasonOf(err)
		a.log.Log(context.Background(), reason.Level(), "mqtt client refused", "client", auth.Shown(l.Client), "username", auth.Shown(l.Username), "address", address, "reason", reason, "error", err)
		return auth.Client{}, false
	}
	return who, true
}

// permissions are rules as the broker has them.
func permissions(rules []auth.Rule) *server.Permissions {
	p := callout.Permissions(rules)
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Pub.Allow, Deny: p.Pub.Deny},
		Subscribe: &server.SubjectPermission{Allow: p.Sub.Allow, Deny: p.Sub.Deny},
	}
}
