package stack

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"devicetwin/auth"
	"devicetwin/device"
)

// mqttAuth decides who may connect. The broker calls it for every CONNECT,
// before it looks for the client's session, which is the one moment at which
// undelivered messages can be put back in order: see resumer.
//
// A connection that comes from the TLS listener belongs to the device of its
// certificate: it has the rights of that device, and is refused if it names
// another one. All other connections come from the same host, and may do
// everything.
type mqttAuth struct {
	credentials Credentials
	tls         *TLS
	devices     sync.Map // address of a connection from the TLS listener -> certified
	resume      atomic.Pointer[resumer]
	log         *slog.Logger
	// secret is the password of the stack's own connection, which is the only
	// client that is not an MQTT client.
	secret string
}

// certified is a connection from the TLS listener.
type certified struct {
	id   device.ID
	conn net.Conn
}

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
	// The SDKs for AWS IoT say there who they are ("?SDK=JavaScript&Version=2.2.16").
	address, username := c.RemoteAddress().String(), auth.Name(options.Username)
	if known, ok := a.devices.Load(address); ok {
		id := known.(certified).id
		client, _ := resume.clientID(c.GetID())
		if reason := mayBe(id, client, username); reason != "" {
			a.log.Info("mqtt client refused: "+reason, "device", id, "client", auth.Shown(client), "username", auth.Shown(username))
			return false
		}
		if reason := a.revoked(id); reason != "" {
			a.log.Info("mqtt client refused: "+reason, "device", id)
			return false
		}
		if username != id.Name() {
			username = "" // has no meaning; see mayBe
		}
		c.RegisterUser(a.user(id))
	}
	if username != "" && a.credentials != nil {
		good, err := a.credentials.Check(context.Background(), username, options.Password)
		if err != nil {
			a.log.Warn("mqtt client refused: its password can't be checked", "username", auth.Shown(username), "address", address, "error", err)
			return false
		}
		if !good {
			a.log.Info("mqtt client refused: wrong user name or password", "username", auth.Shown(username), "address", address)
			return false
		}
	}
	return resume.connecting(c.GetID())
}

// revoked returns why a device with a certificate must not connect, although nobody has
// revoked that; "" if it may.
func (a *mqttAuth) revoked(id device.ID) string {
	credentials, ok := a.credentials.(interface {
		Revoked(ctx context.Context, name string) (bool, error)
	})
	if !ok {
		return ""
	}
	revoked, err := credentials.Revoked(context.Background(), id.Name())
	switch {
	case err != nil:
		return "whether it is revoked can't be checked: " + err.Error()
	case revoked:
		return "the device was revoked"
	}
	return ""
}

// kick ends the connections that came from the TLS listener, of a device.
func (a *mqttAuth) kick(id device.ID) {
	a.devices.Range(func(_, known any) bool {
		if c := known.(certified); c.id.Name() == id.Name() {
			a.log.Info("mqtt client disconnected: its device was revoked", "device", id)
			_ = c.conn.Close()
		}
		return true
	})
}

// mayBe returns why a device with a certificate must not use this client id and
// this user name, "" if it may. A device may have more than one session: "pump-1" and "pump-1/log",
// which cannot belong to another device, because ids have no slash.
//
// A user name that can't be an id is ignored.
func mayBe(id device.ID, client, username string) string {
	name := id.Name()
	if !auth.OwnsClientID(id, client) {
		return "expected the device's id as the client id, or the id, a slash and more"
	}
	if _, err := device.New(device.KindDevice, username); username != name && err == nil {
		return "the user name is another device's"
	}
	return ""
}

// user has the rights of a device.
func (a *mqttAuth) user(id device.ID) *server.User {
	topics := &server.SubjectPermission{Allow: a.tls.subjects(id)}
	return &server.User{Permissions: &server.Permissions{Publish: topics, Subscribe: topics}}
}
