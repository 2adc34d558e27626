package auth

import (
	"crypto/x509"
	"log/slog"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/text"
)

// reserved begins the client ids of bridges and workers, so no device may have such
// a name.
const reserved = "devicetwin-"

// Login is who a client says it is, as a broker passes it on.
type Login struct {
	Client   string // MQTT client id; "" if the broker does not say
	Username string // as the client sent it
	Password string
	// Certificate is the name in a certificate that the broker has verified. Leave it
	// empty where it may be anything else than the name of a device or an account.
	Certificate string
}

// Client is who a client was found to be. The zero value is a client that named
// nobody.
type Client struct {
	Device  device.ID // "" if it is not a device
	Service string    // name of the account, "" if it is not a service
}

// String is the name of the client.
func (c Client) String() string {
	switch {
	case c.Device != "":
		return c.Device.Name()
	case c.Service != "":
		return c.Service
	}
	return "anonymous"
}

// shownMost bounds what a client says of itself in logs and errors, in bytes.
const shownMost = 200

// Shown is what a client says, as it may be in a log or an error: clipped. Whoever
// writes it quotes it, as handlers of log/slog do.
func Shown(said string) string { return text.Clip(said, shownMost) }

// Name is the name in a user name: what follows a "?" is an advertisement of the
// client's library.
func Name(username string) string {
	name, _, _ := strings.Cut(username, "?")
	return name
}

// isService reports whether a name is that of an account rather than of a device.
func isService(name string) bool { return strings.Contains(name, ".") }

// named is the client of a name; ok is false if nobody can have that name.
func named(name string) (c Client, ok bool) {
	if isService(name) {
		return Client{Service: name}, true
	}
	id, err := device.New(device.KindDevice, name)
	if err != nil || strings.HasPrefix(name, reserved) {
		return Client{}, false
	}
	return Client{Device: id}, true
}

// OwnsClientID reports whether a client id is one of the device's own: its id, or its
// id, a dot or a slash, and more. Ids have neither, so it is of no other device.
func OwnsClientID(id device.ID, client string) bool {
	rest, ok := strings.CutPrefix(client, id.Name())
	return ok && id != "" && (rest == "" || rest[0] == '.' || rest[0] == '/')
}

// CommonName is the name in a certificate, in DER. The error is a *Refused.
func CommonName(der []byte) (string, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return "", refuse(ReasonCertificate, "read the client's certificate: %w", err)
	}
	if certificate.Subject.CommonName == "" {
		return "", refuse(ReasonCertificate, "the client's certificate has no common name")
	}
	return certificate.Subject.CommonName, nil
}

// Reason says why a client was refused, as a metric counts it.
type Reason string

// The reasons for which a login is refused.
const (
	ReasonName        Reason = "name"        // missing, or one that nobody can have
	ReasonClientID    Reason = "client_id"   // of another device, or of a service
	ReasonPassword    Reason = "password"    // wrong, or of nobody who is known
	ReasonCertificate Reason = "certificate" // it does not fit the name, or its device was revoked
	ReasonStore       Reason = "store"       // passwords cannot be read
)

// Level is that of a refusal in the log: an error where an operator has to act.
func (r Reason) Level() slog.Level {
	if r == ReasonStore {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// Refused is why a client may not connect. Its text names no secret.
type Refused struct {
	Reason Reason
	Err    error
}

func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap gives the cause.
func (r *Refused) Unwrap() error { return r.Err }
