package stack

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"devicetwin/auth"
	"devicetwin/device"
)

// Limits of the broker that clients have to know.
const (
	// MaxUnacknowledged is how many QoS 1 messages the broker sends on one
	// subscription before it waits for acknowledgements. It equals the
	// default window of the bridge, so that the bridge is held back here and
	// not by a TCP connection that is not read.
	MaxUnacknowledged = 4096
	// MaxMessage is the largest payload in bytes.
	MaxMessage = 2 << 20
	// MaxSubscriptions is how many QoS 1 subscriptions all persistent sessions
	// may have. The broker's own limit of 1,000 would keep larger fleets from
	// receiving their commands.
	MaxSubscriptions = 100_000

	// NATS sends an unacknowledged message again, marked as a duplicate, even
	// on a connection that is up. Other brokers never do, and resume.go takes
	// care of connections that were lost; so only as a last resort.
	ackWait = 5 * time.Minute
	// A client that reads nothing for this long is cut off.
	writeDeadline = time.Minute

	brokerStartTimeout = 30 * time.Second
	// The broker takes 4 ms and more to close each session with a subscription,
	// one after another. If the data is not kept, that is not waited for.
	brokerStopTimeout    = time.Minute
	brokerAbandonTimeout = time.Second
)

// Broker is a NATS server with JetStream on disk that speaks MQTT 3.1.1.
//
// Two things that other brokers do differently concern its users. `$share/`
// subscriptions are accepted and never delivered on. And the order of messages
// is kept within one subscription only: a session that needs the order over
// several topics has to subscribe to one filter that covers them all.
type Broker struct {
	server  *server.Server
	resume  *resumer
	auth    *mqttAuth
	log     *natsLog
	host    string
	port    int
	discard bool // nothing is kept
	release func()
	unwatch context.CancelFunc // nil if no revocations are followed
}

func startBroker(ctx context.Context, o Options, dir string, release func()) (*Broker, error) {
	log := newNATSLog(o.Logger.With(slog.String("part", string(PartMQTT))))
	auth, err := newAuth(o, log.out)
	if err != nil {
		release()
		return nil, err
	}
	options := &server.Options{
		ServerName:   "devstack",
		DontListen:   true, // no NATS clients from outside, only MQTT
		JetStream:    true,
		StoreDir:     dir,
		SyncInterval: time.Second,
		SyncAlways:   o.SyncAlways,
		MaxPayload:   MaxMessage,
		MaxPending:   256 << 20,
		// Idle MQTT connections are ended by their keepalive; this only bounds
		// how long a write may hang.
		WriteDeadline:   writeDeadline,
		NoSigs:          true,
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: MaxSubscriptions},
		MQTT: server.MQTTOpts{
			Host:          o.Host,
			Port:          natsPort(o.Ports.MQTT),
			AckWait:       ackWait,
			MaxAckPending: MaxUnacknowledged,
			JSAPITimeout:  15 * time.Second,
		},
		CustomClientAuthentication: auth,
	}
	s, err := server.NewServer(options)
	if err != nil {
		release()
		return nil, fmt.Errorf("configure the broker: %w", err)
	}
	s.SetLoggerV2(log, false, false, false)
	b := &Broker{server: s, auth: auth, log: log, host: o.Host, discard: o.RemoveData, release: release}
	go s.Start()
	if err := b.awaitReady(ctx); err != nil {
		b.stopServer()
		return nil, err
	}
	if b.resume, err = newResumer(s, auth, log.out); err != nil {
		b.stopServer()
		return nil, err
	}
	auth.resume.Store(b.resume)
	if err := b.watchRevocations(o.Credentials); err != nil {
		b.stopServer()
		return nil, err
	}
	return b, nil
}

// watchRevocations ends the sessions of devices whose credentials are revoked, if the store
// says so.
func (b *Broker) watchRevocations(c auth.Devices) error {
	revoking, ok := c.(interface {
		Watch(ctx context.Context, f func(device.ID)) error
	})
	if !ok {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	b.unwatch = stop
	return revoking.Watch(ctx, b.kick)
}

// kick ends the connections of a device; mqttAuth gives each the name that it is found by.
func (b *Broker) kick(id device.ID) {
	found, err := b.server.Connz(&server.ConnzOptions{Username: true, User: id.Name()})
	if err != nil {
		b.log.out.Warn("mqtt clients of a revoked device can't be found", "device", id, "error", err)
		return
	}
	for _, c := range found.Conns {
		if b.server.DisconnectClientByID(c.Cid) == nil { // or else it has left meanwhile
			b.log.out.Info("mqtt client disconnected: its credentials were revoked", "device", id)
		}
	}
}

// natsPort translates "any free port", which NATS writes as -1.
func natsPort(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

func (b *Broker) awaitReady(ctx context.Context) error {
	wait := brokerStartTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	if !b.server.ReadyForConnections(wait) {
		if err := b.log.fatal.Load(); err != nil {
			return fmt.Errorf("start the broker: %w", *err)
		}
		return fmt.Errorf("the broker was not ready after %v", wait.Round(time.Millisecond))
	}
	vars, err := b.server.Varz(nil)
	if err != nil {
		return fmt.Errorf("ask the broker for its port: %w", err)
	}
	b.port = vars.MQTT.Port
	return nil
}

// Addr is the host and port of the MQTT listener.
func (b *Broker) Addr() string { return hostPort(b.host, b.port) }

// Port of the MQTT listener.
func (b *Broker) Port() int { return b.port }

// URL is the address as MQTT clients want it: "tcp://127.0.0.1:1883".
func (b *Broker) URL() string { return "tcp://" + b.Addr() }

// Clients is how many MQTT clients are connected.
func (b *Broker) Clients() int { return max(0, b.server.NumClients()-1) }

// Disconnect cuts the connection of the MQTT client with the given id, as a
// broken link would, and reports whether it was connected.
func (b *Broker) Disconnect(clientID string) bool { return b.resume.kick(clientID) }

// Close stops the broker. Sessions and unacknowledged messages stay on disk.
func (b *Broker) Close() error {
	b.log.quiet.Store(true)
	if b.resume != nil {
		b.resume.close()
	}
	return b.stopServer()
}

func (b *Broker) stopServer() error {
	if b.unwatch != nil {
		b.unwatch()
	}
	defer b.release()
	b.log.quiet.Store(true)
	shutdown := func() error {
		b.server.Shutdown()
		b.server.WaitForShutdown()
		return nil
	}
	if b.discard {
		_ = within(brokerAbandonTimeout, shutdown)
		return nil
	}
	return within(brokerStopTimeout, shutdown)
}
