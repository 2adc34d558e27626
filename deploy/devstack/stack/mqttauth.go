package stack

import (
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

// mqttAuth decides who may connect. The broker calls it for every CONNECT,
// before it looks for the client's session, which is the one moment at which
// undelivered messages can be put back in order: see resumer.
type mqttAuth struct {
	credentials Credentials
	resume      atomic.Pointer[resumer]
	log         *slog.Logger
	// secret is the password of the stack's own connection, which is the only
	// client that is not an MQTT client.
	secret string
}

const internalUser = "$devstack"

func newSecret() string { return rand.Text() }

// Check implements server.Authentication.
func (a *mqttAuth) Check(c server.ClientAuthentication) bool {
	options := c.GetOpts()
	if options.Username == internalUser {
		return subtle.ConstantTimeCompare([]byte(options.Password), []byte(a.secret)) == 1
	}
	if options.Username != "" && a.credentials != nil && !a.credentials.Check(options.Username, options.Password) {
		a.log.Info("mqtt client refused: wrong user name or password", "username", options.Username, "address", c.RemoteAddress())
		return false
	}
	resume := a.resume.Load()
	if resume == nil {
		// Still starting: the client will try again.
		return false
	}
	resume.connecting(c.GetID())
	return true
}
