package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/mqtt"
)

// Passwords are those of devices, or of services, by name.
type Passwords interface {
	// Check reports whether this is a password of the name. The error says that
	// nobody knows.
	Check(ctx context.Context, name, password string) (good bool, err error)
}

// Devices are the passwords of devices, and which of them were revoked.
type Devices interface {
	Passwords
	// Revoked reports whether a device is locked out, also with a certificate. The error
	// says that nobody knows.
	Revoked(ctx context.Context, name string) (bool, error)
}

// Accounts are the passwords of services, and which accounts there are.
type Accounts interface {
	Passwords
	Known(name string) (bool, error)
}

// Decider decides who may connect, and what a client may do.
type Decider struct {
	devices   Devices
	accounts  Accounts
	anonymous bool

	device  []Rule            // rules of devices
	service map[string][]Rule // rules of accounts
}

// New makes a decider. accounts is nil if there are no services. The error reports
// every fault of the settings.
func New(c Config, devices Devices, accounts Accounts) (*Decider, error) {
	rules, err := c.Rules()
	if err != nil {
		return nil, err
	}
	d := &Decider{devices: devices, accounts: accounts, anonymous: c.Anonymous, service: map[string][]Rule{}}
	for _, r := range rules {
		if r.Account == "" {
			d.device = append(d.device, r)
		} else {
			d.service[r.Account] = append(d.service[r.Account], r)
		}
	}
	return d, nil
}

// Login decides whether a client may connect. The error is a *Refused.
func (d *Decider) Login(ctx context.Context, l Login) (Client, error) {
	name := Name(l.Username)
	if l.Certificate != "" {
		return d.certified(ctx, l, name)
	}
	if name == "" {
		if d.anonymous {
			return Client{}, nil
		}
		return Client{}, refuse(ReasonName, "refused client %q: it names nobody", Shown(l.Client))
	}
	c, ok := named(name)
	if !ok {
		return Client{}, refuse(ReasonName, "refused %q: neither a device nor a service can have that name", Shown(name))
	}
	if err := checkClientID(c, l.Client); err != nil {
		return Client{}, err
	}
	return c, d.checkPassword(ctx, c, l.Password)
}

// certified decides about a client with a certificate. It may say its name once more,
// and then a password, if there is one, has to be right too.
func (d *Decider) certified(ctx context.Context, l Login, name string) (Client, error) {
	c, ok := named(l.Certificate)
	if !ok {
		return Client{}, refuse(ReasonCertificate, "refused certificate of %q: neither a device nor a service can have that name", Shown(l.Certificate))
	}
	if _, claimed := named(name); claimed && name != l.Certificate {
		return Client{}, refuse(ReasonCertificate, "refused %q: its certificate is that of %q", Shown(name), Shown(l.Certificate))
	}
	if err := checkClientID(c, l.Client); err != nil {
		return Client{}, err
	}
	switch {
	case name == l.Certificate && l.Password != "":
		return c, d.checkPassword(ctx, c, l.Password)
	case c.Service != "":
		return c, d.checkAccount(c.Service)
	}
	return c, d.checkRevoked(ctx, c.Device)
}

func checkClientID(c Client, client string) error {
	if c.Device == "" || OwnsClientID(c.Device, client) {
		return nil
	}
	return refuse(ReasonClientID, "refused %q: its client id is %q, and has to be its own name, or begin with it and a dot or a slash", c.Device, Shown(client))
}

func (d *Decider) checkPassword(ctx context.Context, c Client, password string) error {
	var passwords Passwords = d.devices
	name, what := c.Device.Name(), "device"
	if c.Service != "" {
		if d.accounts == nil {
			return refuse(ReasonPassword, "refused service %q: there are no accounts of services", Shown(c.Service))
		}
		passwords, name, what = d.accounts, c.Service, "service"
	}
	good, err := passwords.Check(ctx, name, password)
	switch {
	case err != nil:
		return refuse(ReasonStore, "refused %s %q: %w", what, Shown(name), err)
	case !good:
		return refuse(ReasonPassword, "refused %s %q: unknown, or wrong password", what, Shown(name))
	}
	return nil
}

// checkRevoked decides about a device that needs no password.
func (d *Decider) checkRevoked(ctx context.Context, id device.ID) error {
	revoked, err := d.devices.Revoked(ctx, id.Name())
	switch {
	case err != nil:
		return refuse(ReasonStore, "refused device %q: %w", id, err)
	case revoked:
		return refuse(ReasonCertificate, "refused certificate of %q: the device was revoked", id)
	}
	return nil
}

// checkAccount decides about a service that needs no password.
func (d *Decider) checkAccount(name string) error {
	if d.accounts == nil {
		return refuse(ReasonCertificate, "refused service %q: there are no accounts of services", Shown(name))
	}
	known, err := d.accounts.Known(name)
	switch {
	case err != nil:
		return refuse(ReasonStore, "refused service %q: %w", Shown(name), err)
	case !known:
		return refuse(ReasonCertificate, "refused certificate of %q: there is no such account", Shown(name))
	}
	return nil
}

func refuse(why Reason, format string, args ...any) *Refused {
	return &Refused{Reason: why, Err: fmt.Errorf(format, args...)}
}

// Known is the client of a login that was admitted: brokers that ask what a client
// may do tell no more than its names. ok is false if nobody can have been admitted
// by them.
func (d *Decider) Known(username, certificate string) (c Client, ok bool) {
	switch name := Name(username); {
	case certificate != "":
		return named(certificate)
	case name == "":
		return Client{}, d.anonymous
	default:
		return named(name)
	}
}

// MayPublish reports whether a client may publish to a topic.
func (d *Decider) MayPublish(c Client, topic string) bool {
	if mqtt.CheckTopic(topic) != nil {
		return false
	}
	return d.may(c, topic, func(r Rule) bool { return r.Publish })
}

// MaySubscribe reports whether a client may subscribe to a filter, or be sent what is
// published to a topic.
func (d *Decider) MaySubscribe(c Client, filter string) bool {
	if mqtt.CheckFilter(filter) != nil {
		return false
	}
	if mqtt.Shared(filter) {
		_, filter, _ = strings.Cut(strings.TrimPrefix(filter, "$share/"), "/")
	}
	return d.may(c, filter, func(r Rule) bool { return r.Subscribe })
}

func (d *Decider) may(c Client, filter string, allows func(Rule) bool) bool {
	rules, name := d.rulesOf(c)
	for _, r := range rules {
		if allows(r) && covers(r.Filter, name, filter) {
			return true
		}
	}
	return d.everything(c)
}

// everything reports whether a client may do everything.
func (d *Decider) everything(c Client) bool { return d.anonymous && c == Client{} }

// rulesOf are the rules of a client, and its name in their filters.
func (d *Decider) rulesOf(c Client) (rules []Rule, name string) {
	if c.Device != "" {
		return d.device, c.Device.Name()
	}
	return d.service[c.Service], ""
}

// Permissions are all rules of a client, with its name in the filters, for brokers
// that want to know all at once.
func (d *Decider) Permissions(c Client) []Rule {
	rules, name := d.rulesOf(c)
	var all []Rule
	for _, r := range rules {
		r.Filter = r.of(name)
		all = append(all, r)
	}
	if d.everything(c) {
		all = append(all, Rule{Publish: true, Subscribe: true, Filter: "#"}, Rule{Publish: true, Subscribe: true, Filter: "$aws/#"})
	}
	return all
}

// Kinds are clients of which each has other rules: a device, whose name is {id}, and
// each account that has any.
func (d *Decider) Kinds() []Client {
	all := []Client{{Device: placeID}}
	for _, name := range slices.Sorted(maps.Keys(d.service)) {
		all = append(all, Client{Service: name})
	}
	return all
}

// ReasonOf is why a login was refused; "" for another error, or none.
func ReasonOf(err error) Reason {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}
