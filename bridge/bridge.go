package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/internal/recordlog"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// PointWriter takes telemetry; *points.Writer is one. WriteReading takes the members
// of an encoded JSON object, except for some. It never blocks, and may read the
// object until the point is written.
type PointWriter interface {
	WriteReading(model, device string, object []byte, except []string, at time.Time)
}

// MessagePublisher publishes an MQTT message and returns nil once the broker
// has taken it over; *mqtt.Publisher is one.
type MessagePublisher interface {
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
}

// Deps is what a bridge works with. A sink is needed.
type Deps struct {
	// Model is that of devices that are given no other. Nil: such devices are refused,
	// unless they have a workflow; then rules or birth messages are needed.
	Model  ingest.Model
	Models []ingest.Model // the other ones that devices may run, older versions too
	// Kinds are the models of new entities that are not devices.
	Kinds map[device.Kind]ingest.Model
	// Kept are versions that devices may still run, and that none starts with.
	Kept []ingest.Model
	// Defaults and NameModels are as in ingest.Deps.
	Defaults   []ingest.Model
	NameModels bool
	Sink       ingest.Sink // takes batches of messages for the workflows of devices
	// Took reports whether the workflow of a device still has what it accepted. Nil: nobody is
	// asked.
	Took func(context.Context, ingest.Accepted) (bool, error)
	// Dialect reads topics and payloads. Nil: wire.Standard as Config.Wire says.
	Dialect wire.Dialect
	// Points takes telemetry. Nil: there is none.
	Points PointWriter
	// DeadLetters publishes refused messages. Nil: they are counted and logged only.
	DeadLetters MessagePublisher
	// Answers publishes the rejections of requests of shadows that no workflow
	// answers. Nil: those requests stay without an answer.
	Answers MessagePublisher
	// Questions publishes what devices are asked in their dialects. Nil: nothing is asked.
	Questions MessagePublisher
	// Journal is the log of what is received, which has to stay open until Run has
	// returned. Nil: none is kept, and acknowledged is what Temporal has accepted.
	// With one, Points is not used: telemetry is read from it.
	Journal *recordlog.Log
	Metrics prometheus.Registerer // nil: none are registered
	Log     *slog.Logger          // nil: slog.Default()
}

// Bridge carries messages from MQTT to device workflows. Its methods may be
// called from any goroutine.
type Bridge struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	dialect wire.Dialect
	dial    mqtt.Dialer
	probe   mqtt.Dialer // a clean session under a name of its own
	counts  *counters
	outlet  *outlet
	ingest  *ingest.Ingest
	lineage string      // that the session is claimed for: set before it is opened
	renews  atomic.Bool // the broker takes claims, and the bridge has a log

	ending ingest.Ending // of Run
}

// New checks the configuration and prepares a bridge; Run makes it work.
func New(cfg Config, deps Deps) (*Bridge, error) {
	if cfg.MQTT.ClientID == "" {
		cfg.MQTT.ClientID = "devicetwin-bridge-" + cfg.ID
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	dialect, err := deps.dialect(cfg)
	if err == nil && len(cfg.Subscribe) == 0 {
		cfg.Subscribe = dialect.Filters()
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	b := &Bridge{
		cfg: cfg, deps: deps, log: deps.Log.With("bridge", cfg.ID), dialect: dialect, counts: newCounters(),
		ending: ingest.NewEnding(),
	}
	b.outlet = newOutlet(cfg, deps, dialect, b.counts, b.log)
	if b.ingest, err = ingest.New(cfg.Config, ingest.Deps{
		Model: deps.Model, Models: deps.Models, Kinds: deps.Kinds, Kept: deps.Kept, Defaults: deps.Defaults, NameModels: deps.NameModels, WholeDevices: dialect.WholeDevices(cfg.Subscribe),
		Sink: deps.Sink, Outlet: b.outlet, Counts: b.counts.Counts, Journal: deps.Journal, Name: cfg.ID, Scope: strings.Join(cfg.Subscribe, " "), Log: b.log,
	}); err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	if b.dial, err = mqtt.NewDialer(cfg.MQTT, mqtt.KeepSession, b.will()); err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	if b.probe, err = mqtt.NewDialer(cfg.MQTT.Named(cfg.MQTT.ClientID+"-probe"), mqtt.CleanSession, nil); err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	if deps.Metrics != nil {
		if err := b.counts.Register(deps.Metrics); err != nil {
			return nil, fmt.Errorf("register the metrics of bridge %s: %w", cfg.ID, err)
		}
	}
	return b, nil
}

// dialect is that of the dependencies, or the standard one.
func (d Deps) dialect(cfg Config) (wire.Dialect, error) {
	if d.Dialect != nil {
		return d.Dialect, nil
	}
	return wire.New(cfg.Reading())
}

// Run works until ctx ends or Shutdown is called, and then stops in order: no
// message is taken any more, deliveries in flight are waited for, what was accepted
// is acknowledged, and the session is left in the broker. All of that takes no
// longer than the context of Shutdown allows, or Config.DrainTimeout after the end
// of ctx. Nil is that end; an error means that the bridge cannot work as
// configured. Run is called once.
func (b *Bridge) Run(ctx context.Context) error {
	taking, abandon, end := b.ending.Begin(ctx, b.cfg.DrainTimeout, farewell)
	defer end()
	if err := b.probeShared(taking); err != nil {
		if taking.Err() != nil {
			return nil
		}
		return fmt.Errorf("bridge %s: %w", b.cfg.ID, err)
	}
	then := b.asksTemporal(taking)
	outlet, closeOutlet := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { b.outlet.run(outlet) })
	background.Go(func() { b.report(taking) })
	background.Go(func() {
		then(taking)
		if b.claimFirst(taking) == nil && b.learnFirst(taking) == nil { // else taking has ended
			b.session(abandon).Run(taking)
		}
	})
	b.ingest.Run(taking, abandon)
	closeOutlet()
	background.Wait()
	return nil
}

// claimFirst claims the session for the process. If another one may have had it since the
// one before, what that one knew is not good any more.
func (b *Bridge) claimFirst(ctx context.Context) error {
	log := ""
	if b.deps.Journal != nil {
		log = b.ingest.Instance()
	}
	mine, err := b.claim(ctx, b.appendedBefore(), log, true)
	if err == nil && !mine {
		b.ingest.Elsewhere()
	}
	return err
}

// appendedBefore is what earlier processes appended to the log.
func (b *Bridge) appendedBefore() appended {
	to, waiting := b.ingest.Recovered()
	return appended{b.ingest.Before(), to, waiting}
}

// farewell is the part of the time for the end that is kept for the last
// acknowledgements, the status and the end of the connection: more than lastAcks,
// offlineWithin and quiesce together.
const farewell = 1250 * time.Millisecond

// Shutdown ends Run as the end of its context does, in the time that ctx gives for
// all of it, and waits for it. It is for a bridge that runs.
func (b *Bridge) Shutdown(ctx context.Context) error {
	return b.ending.Shutdown(ctx, b.cfg.ID)
}

// session keeps the connection to the broker.
func (b *Bridge) session(abandon context.Context) *mqtt.Connector {
	return mqtt.NewConnector(b.cfg.MQTT, &session{
		cfg:     b.cfg,
		dial:    b.dial,
		dialect: b.dialect,
		ingest:  b.ingest,
		outlet:  b.outlet,
		counts:  b.counts,
		log:     b.log,
		abandon: abandon,
		lineage: b.lineage,
		claimed: b.stillClaimed,
		renews:  func() bool { return b.renews.Load() && b.deps.Journal != nil },
		reached: func() int64 { return b.deps.Journal.Durable() },
	}, b.log)
}

// stillClaimed reports whether nobody else has had the session since it was claimed. A bridge
// without a log does not ask: it forgets what it knows with each connection. An unreachable
// broker is an error.
func (b *Bridge) stillClaimed(ctx context.Context) (bool, error) {
	if b.deps.Journal == nil {
		return false, nil
	}
	mine, err := b.claim(ctx, appended{log: b.lineage, to: b.deps.Journal.Durable()}, b.lineage, false)
	if err == nil && !mine {
		b.ingest.Elsewhere()
	}
	return mine, err
}

// Troubled lists devices that are stuck or silent, at most a number of them. It waits for
// Run to begin, until ctx ends.
func (b *Bridge) Troubled(ctx context.Context, now time.Time, limit int) []ingest.Trouble {
	return b.ingest.Troubled(ctx, now, limit)
}

// Survey looks at all devices: see ingest.Ingest.Survey. One caller may ask.
func (b *Bridge) Survey(ctx context.Context, now time.Time, talkers, groups int) ingest.Survey {
	return b.ingest.Survey(ctx, now, talkers, groups)
}

// Remembers reports whether the bridge has a log in which an earlier process of it ran.
func (b *Bridge) Remembers() bool { return b.ingest.Before() != "" }

// Moves says which devices are moved to other versions of their models. See ingest.Ingest.Moves.
func (b *Bridge) Moves(ctx context.Context, asked time.Time, list []ingest.Moving) {
	b.ingest.Moves(ctx, asked, list)
}

// EndsUnknown notes that workflows of any devices may have ended. See Ended.
func (b *Bridge) EndsUnknown(ctx context.Context) { b.ingest.EndsUnknown(ctx) }

// Report reports a fault of something that a device sent and that was found elsewhere.
// See ingest.Ingest.Report.
func (b *Bridge) Report(id device.ID, f device.Fault) { b.ingest.Report(id, f) }

// Ended notes that the workflows of devices ended. See ingest.Ingest.Ended.
func (b *Bridge) Ended(ctx context.Context, ids ...device.ID) { b.ingest.Ended(ctx, ids...) }

// Forget drops what is remembered of devices. See ingest.Ingest.Forget.
func (b *Bridge) Forget(ctx context.Context, ids ...device.ID) { b.ingest.Forget(ctx, ids...) }

// Assign replaces the models. See ingest.Ingest.Assign.
func (b *Bridge) Assign(ctx context.Context, to ingest.Assignment) error {
	return b.ingest.Assign(ctx, to)
}

// Metric reads one of the metrics devicetwin_bridge_…, by the rest of its name,
// such as "events_total". It panics if there is no such metric.
func (b *Bridge) Metric(name string) float64 { return b.counts.Value(name) }

// Ready is nil while messages flow: the broker is connected and subscribed to,
// and Temporal accepts signals.
func (b *Bridge) Ready() error {
	switch {
	case b.counts.contended.Load():
		return fmt.Errorf("the broker ends each connection soon after it began: probably another client uses the client id %s; the id of a bridge (--bridge-id) must be unique", b.cfg.MQTT.ClientID)
	case !b.counts.connected.Load():
		return errors.New("not connected to the broker")
	case b.counts.Outage.Load():
		return errors.New("signals fail: Temporal is not accepting them")
	}
	return nil
}
