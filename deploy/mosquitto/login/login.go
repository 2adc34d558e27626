// Package login is what the plugin for Mosquitto is set to. Who may connect, and what
// a client may do, is decided in package auth.
package login

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"devicetwin/auth"
	"devicetwin/device"
	"devicetwin/internal/credentials"
)

// Setting is one plugin_opt_NAME VALUE of mosquitto.conf.
type Setting struct{ Name, Value string }

// Settings are all of them.
type Settings []Setting

// Checker decides for Mosquitto. It reads credentials and accounts each time, because
// they change while the broker runs.
type Checker struct {
	*auth.Decider
	// Certificates says that the common name of a certificate is that of a device, or
	// of an account, and replaces the password.
	Certificates bool

	revoked revoked
}

// Revoked is the names of the devices whose credentials were revoked since the last
// call, and whose sessions have to end.
func (c *Checker) Revoked() []string { return c.revoked.take() }

// revoked collects devices for a broker that asks from a thread of its own.
type revoked struct {
	mu    sync.Mutex
	names []string
}

func (r *revoked) add(id device.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = append(r.names, id.Name())
}

func (r *revoked) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.names
	r.names = nil
	return names
}

// options are the settings, as they were read.
type options struct {
	credentials, services string
	certificates          bool
	topics                auth.Config
}

// New takes
//
//	credentials       folder of the devices' credentials, which must be there, or the
//	                  URL of a PostgreSQL
//	credentials_file  file with that URL, in place of it
//	services          file of accounts: see auth.AccountFile
//	topic_prefix      as --mqtt-topic-prefix
//	twin_topics       as --mqtt-twin-topics, separated by commas
//	allow             one more permission: see auth.ParseRule; may be given several times
//	certificates      true: see Checker
func New(settings Settings) (*Checker, error) {
	o, err := settings.read()
	if err != nil {
		return nil, err
	}
	if o.credentials == "" {
		return nil, errors.New("plugin_opt_credentials is missing: the folder of the devices' credentials, or the URL of a PostgreSQL")
	}
	store, err := o.store()
	if err != nil {
		return nil, fmt.Errorf("plugin_opt_credentials: %w", err)
	}
	var accounts auth.Accounts
	if o.services != "" {
		file := auth.AccountFile(o.services)
		if err := file.Validate(); err != nil {
			return nil, fmt.Errorf("plugin_opt_services: %w", err)
		}
		accounts = file
	}
	decider, err := auth.New(o.topics, store, accounts)
	if err != nil {
		return nil, fmt.Errorf("topics (plugin_opt_topic_prefix, plugin_opt_twin_topics, plugin_opt_allow): %w", err)
	}
	c := &Checker{Decider: decider, Certificates: o.certificates}
	if err := store.Watch(context.Background(), c.revoked.add); err != nil { // as long as the broker runs
		return nil, fmt.Errorf("plugin_opt_credentials: %w", err)
	}
	return c, nil
}

func (o options) store() (credentials.Store, error) {
	if !credentials.IsURL(o.credentials) {
		if _, err := os.ReadDir(o.credentials); err != nil {
			return nil, err
		}
	}
	return credentials.Open(o.credentials)
}

func (settings Settings) read() (options, error) {
	o := options{topics: auth.DefaultConfig()}
	for _, s := range settings {
		switch s.Name {
		case "credentials":
			o.credentials = s.Value
		case "credentials_file":
			raw, err := os.ReadFile(s.Value)
			if err != nil {
				return options{}, fmt.Errorf("plugin_opt_credentials_file: %w", err)
			}
			o.credentials = strings.TrimSpace(string(raw))
		case "services":
			o.services = s.Value
		case "topic_prefix":
			o.topics.Prefix = s.Value
		case "twin_topics":
			o.topics.ShadowTopics = strings.Split(s.Value, ",")
		case "allow":
			o.topics.Allow = append(o.topics.Allow, s.Value)
		case "certificates":
			on, err := strconv.ParseBool(s.Value)
			if err != nil {
				return options{}, fmt.Errorf("plugin_opt_certificates %q: expected true or false", s.Value)
			}
			o.certificates = on
		default:
			return options{}, fmt.Errorf("plugin_opt_%s: no such option; there is credentials, credentials_file, services, topic_prefix, twin_topics, allow and certificates", s.Name)
		}
	}
	return o, nil
}
