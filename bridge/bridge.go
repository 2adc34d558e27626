package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/backoff"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// Model is what the bridge asks of a model; *devicefsm.Model has it.
type Model interface {
	// Name becomes the measurement of the telemetry and its tag model.
	Name() string
	// Hash identifies the model: a workflow is started with it.
	Hash() string
	// Relevant reports whether a message can matter to a device in any state.
	Relevant(device.Message) bool
	// Pass is Relevant, but false for a repetition that can do nothing after what
	// the filter has let pass.
	Pass(*devicefsm.Filter, device.Message) bool
	// MayLeaveOut is false for a message that Pass lets pass whatever came before it.
	MayLeaveOut(device.Message) bool
	// Liveness is zeros if the model does not watch for silence.
	Liveness() (silentAfter, tolerance time.Duration)
}

// Signaller makes a batch durable for one device's workflow, starting the
// workflow if there is none.
type Signaller interface {
	// Signal returns nil once the batch is durable. It is called from many
	// goroutines, though never twice at once for one device. After an error the
	// same batch is given again, unchanged, until it is accepted; what it holds
	// therefore identifies it. An error that has a method Permanent() bool which
	// returns true ends that: the batch becomes dead letters.
	Signal(ctx context.Context, device string, batch device.Batch) error
	// SignalExisting is Signal without starting a workflow: if there is none, its
	// error has a method NotFound() bool that returns true.
	SignalExisting(ctx context.Context, device string, batch device.Batch) error
}

// Starter is a Signaller that starts a workflow with the model of a given hash.
type Starter interface {
	SignalAs(ctx context.Context, device, model string, batch device.Batch) error
}

// PointWriter takes points of time series; *points.Writer is one. WritePoint
// never blocks, and may read fields until the point is written.
type PointWriter interface {
	WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time)
}

// MessagePublisher publishes an MQTT message and returns nil once the broker
// has taken it over; *mqtt.Publisher is one.
type MessagePublisher interface {
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
}

// Deps is what a bridge works with. Model and Signaller are needed.
type Deps struct {
	Model     Model // of devices that are given no other
	Signaller Signaller
	// Models are the other ones that devices may run, older versions too.
	Models []Model
	// Starter is needed if devices are given other models than Model.
	Starter Starter
	// Dialect reads topics and payloads. Nil: wire.Standard as Config.Wire says.
	Dialect wire.Dialect
	// Points takes telemetry. Nil: there is none.
	Points PointWriter
	// DeadLetters publishes refused messages. Nil: they are counted, logged and
	// kept in memory only.
	DeadLetters MessagePublisher
	// Answers publishes what the bridge itself answers to requests of shadows.
	// Nil: those requests stay without an answer.
	Answers MessagePublisher
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
	letters *deadLetters
	answers *answers
	kinds   *kinds
	loop    *loop
}

// New checks the configuration and prepares a bridge; Run makes it work.
func New(cfg Config, deps Deps) (*Bridge, error) {
	if cfg.MQTT.ClientID == "" {
		cfg.MQTT.ClientID = "devicetwin-bridge-" + cfg.ID
	}
	dialect, err := deps.dialect(cfg)
	if err == nil && len(cfg.Subscribe) == 0 {
		cfg.Subscribe = dialect.Filters()
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	if deps.Model == nil || deps.Signaller == nil {
		return nil, errors.New("bridge: a model and a signaller are needed")
	}
	kinds, err := newKinds(cfg, deps.Model, deps.Models)
	if err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	if deps.Starter == nil && (cfg.ModelFromBirth || len(cfg.ModelRules) > 0) {
		return nil, errors.New("bridge: devices with models of their own need a starter")
	}
	dial, err := mqtt.NewDialer(cfg.MQTT, mqtt.KeepSession, cfg.will())
	if err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	probe, err := mqtt.NewDialer(cfg.MQTT.Named(cfg.MQTT.ClientID+"-probe"), mqtt.CleanSession, nil)
	if err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	b := &Bridge{cfg: cfg, deps: deps, log: deps.Log.With("bridge", cfg.ID), dialect: dialect, dial: dial, probe: probe, counts: newCounters(), kinds: kinds, loop: newLoop(cfg.DrainTimeout)}
	b.letters = newDeadLetters(cfg, deps.DeadLetters, b.counts, b.log)
	b.answers = newAnswers(cfg, deps.Answers, b.counts, b.log)
	if deps.Metrics != nil {
		if err := b.counts.Register(deps.Metrics); err != nil {
			return nil, fmt.Errorf("registering the metrics of bridge %s: %w", cfg.ID, err)
		}
	}
	return b, nil
}

// dialect is that of the dependencies, or the standard one.
func (d Deps) dialect(cfg Config) (wire.Dialect, error) {
	if d.Dialect != nil {
		return d.Dialect, nil
	}
	if cfg.Partition.Of > 1 {
		cfg.Wire.Mine = cfg.Partition.owns
	}
	return wire.New(cfg.Wire)
}

// Run works until ctx ends, and then stops in order: no message is taken any
// more, signals in flight are waited for (at most Config.DrainTimeout), what
// was accepted is acknowledged, and the session is left in the broker. Nil is
// the end of ctx; an error means that the bridge cannot work as configured.
// Run is called once.
func (b *Bridge) Run(ctx context.Context) error {
	if err := b.probeShared(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("bridge %s: %w", b.cfg.ID, err)
	}

	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	w := &world{ctx: work, loop: b.loop, deps: b.deps, timeout: b.cfg.SignalTimeout, letters: b.letters, answers: b.answers}
	b.loop.core = newCore(b.cfg, b.dialect, b.kinds, w, b.counts, b.log, backoff.New(b.cfg.RetryMin, b.cfg.RetryMax))
	b.loop.core.instance = rand.Text()
	var background sync.WaitGroup
	background.Go(func() { b.letters.run(work) })
	background.Go(func() { b.answers.run(work) })
	background.Go(func() { b.watch(ctx) })
	background.Go(func() { b.connector().Run(ctx) })

	b.loop.run(ctx)

	abandon()
	w.running.Wait()
	background.Wait()
	return nil
}

func (b *Bridge) connector() *mqtt.Connector {
	return mqtt.NewConnector(b.cfg.MQTT, &session{
		cfg:     b.cfg,
		dial:    b.dial,
		loop:    b.loop,
		counts:  b.counts,
		log:     b.log,
		drainIn: b.cfg.DrainTimeout + time.Second,
	}, b.log)
}

// Metric reads one of the metrics devicetwin_bridge_…, by the rest of its name,
// such as "events_total". It panics if there is no such metric.
func (b *Bridge) Metric(name string) float64 { return b.counts.Value(name) }

// DeadLetters returns the last refused messages, at most
// Config.DeadLettersKept, oldest first.
func (b *Bridge) DeadLetters() []DeadLetter { return b.letters.recent() }

// Ready is nil while messages flow: the broker is connected and subscribed to,
// and Temporal takes signals.
func (b *Bridge) Ready() error {
	switch {
	case !b.counts.connected.Load():
		return errors.New("not connected to the broker")
	case b.counts.outage.Load():
		return errors.New("temporal does not take signals")
	}
	return nil
}
