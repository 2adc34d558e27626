package devicetwin

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"devicetwin/internal/cli"
	"devicetwin/service"
)

// runCommand is "devicetwin run".
type runCommand struct{ service.Config }

// Plan implements cli.Planner.
func (c *runCommand) Plan() (any, error) { return c.plan() }

func (c *runCommand) plan() (service.Plan, error) {
	return service.NewPlan(c.Config, service.Bridge|service.Worker|service.API)
}

// Run runs all parts.
func (c *runCommand) Run(ctx context.Context) error { return serve(ctx, c.plan) }

// Shared is what bridge and worker have in common.
type Shared struct {
	Log      service.LogConfig      `embed:"" prefix:"log-" group:"Logging"`
	MQTT     service.MQTTConfig     `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	Temporal service.TemporalConfig `embed:"" prefix:"temporal-" group:"Temporal"`
	Influx   service.InfluxConfig   `embed:"" prefix:"influx-" group:"InfluxDB"`
	Model    service.ModelConfig    `embed:"" group:"Models"`
	HTTP     service.HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`
}

func sharedOf(c service.Config) Shared {
	return Shared{Log: c.Log, MQTT: c.MQTT, Temporal: c.Temporal, Influx: c.Influx, Model: c.Model, HTTP: c.HTTP}
}

func (c Shared) config() service.Config {
	return service.Config{Log: c.Log, MQTT: c.MQTT, Temporal: c.Temporal, Influx: c.Influx, Model: c.Model, HTTP: c.HTTP}
}

// bridgeCommand is "devicetwin bridge".
type bridgeCommand struct {
	Shared
	Bridge service.BridgeConfig `embed:"" prefix:"bridge-" group:"Bridge"`
}

// Plan implements cli.Planner.
func (c *bridgeCommand) Plan() (any, error) { return c.plan() }

func (c *bridgeCommand) plan() (service.Plan, error) {
	config := c.config()
	config.Bridge = c.Bridge
	return service.NewPlan(config, service.Bridge)
}

// Run runs the bridge alone.
func (c *bridgeCommand) Run(ctx context.Context) error { return serve(ctx, c.plan) }

// kafkaCommand is "devicetwin kafka".
type kafkaCommand struct {
	Log      service.LogConfig      `embed:"" prefix:"log-" group:"Logging"`
	Kafka    service.KafkaConfig    `embed:"" prefix:"kafka-" group:"Kafka"`
	Temporal service.TemporalConfig `embed:"" prefix:"temporal-" group:"Temporal"`
	Influx   service.InfluxServer   `embed:"" prefix:"influx-" group:"InfluxDB"`
	Model    service.ModelConfig    `embed:"" group:"Models"`
	HTTP     service.HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`
}

func newKafkaCommand(c service.Config) kafkaCommand {
	return kafkaCommand{Log: c.Log, Kafka: c.Kafka, Temporal: c.Temporal, Influx: c.Influx.InfluxServer, Model: c.Model, HTTP: c.HTTP}
}

// Plan implements cli.Planner.
func (c *kafkaCommand) Plan() (any, error) { return c.plan() }

func (c *kafkaCommand) plan() (service.Plan, error) {
	config := service.Config{Log: c.Log, Kafka: c.Kafka, Temporal: c.Temporal, Model: c.Model, HTTP: c.HTTP}
	config.Influx.InfluxServer = c.Influx
	return service.NewPlan(config, service.Kafka)
}

// Run runs a bridge from Kafka.
func (c *kafkaCommand) Run(ctx context.Context) error { return serve(ctx, c.plan) }

// workerCommand is "devicetwin worker".
type workerCommand struct {
	Shared
	Worker service.WorkerConfig `embed:"" prefix:"worker-" group:"Worker"`
	Sink   service.SinkConfig   `embed:"" prefix:"kafka-" group:"Kafka"`
}

// Plan implements cli.Planner.
func (c *workerCommand) Plan() (any, error) { return c.plan() }

func (c *workerCommand) plan() (service.Plan, error) {
	config := c.config()
	config.Worker, config.Sink = c.Worker, c.Sink
	return service.NewPlan(config, service.Worker)
}

// Run runs the worker alone.
func (c *workerCommand) Run(ctx context.Context) error { return serve(ctx, c.plan) }

// apiCommand is "devicetwin api".
type apiCommand struct {
	API      service.APIConfig      `embed:"" prefix:"api-" group:"API"`
	Temporal service.TemporalConfig `embed:"" prefix:"temporal-" group:"Temporal"`
	Kinds    service.KindConfig     `embed:"" group:"Models"`
	HTTP     service.HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`
	Log      service.LogConfig      `embed:"" prefix:"log-" group:"Logging"`
}

// Plan implements cli.Planner.
func (c *apiCommand) Plan() (any, error) { return c.plan() }

func (c *apiCommand) plan() (service.Plan, error) {
	if c.API.Listen == "" {
		return service.Plan{}, cli.Usage(errors.New("--api-listen: expected an address, such as 127.0.0.1:8080"))
	}
	config := service.Config{API: c.API, HTTP: c.HTTP, Log: c.Log}
	config.Temporal, config.Model.KindConfig = c.Temporal, c.Kinds
	return service.NewPlan(config, service.API)
}

// Run serves the API alone.
func (c *apiCommand) Run(ctx context.Context) error { return serve(ctx, c.plan) }

// authCommand is "devicetwin auth".
type authCommand struct{ service.AuthSettings }

// Plan implements cli.Planner.
func (c *authCommand) Plan() (any, error) { return c.AuthSettings.Plan() }

// Run answers brokers.
func (c *authCommand) Run(ctx context.Context) error {
	plan, err := c.AuthSettings.Plan()
	if err != nil {
		return err
	}
	log := plan.Log.Logger(os.Stderr)
	running, err := plan.Start(log)
	if err != nil {
		return err
	}
	log.Info("running; press Ctrl-C to stop", "http", running.HTTPAddr(), "brokers", running.AuthURL())
	return await(ctx, running, log)
}

// serve starts what was planned, and stops it when the context ends.
func serve(ctx context.Context, makePlan func() (service.Plan, error)) error {
	plan, err := makePlan()
	if err != nil {
		return err
	}
	log := plan.Log.Logger(os.Stderr)
	running, err := plan.Start(log)
	if err != nil {
		return err
	}
	log.Info("running; press Ctrl-C to stop", "http", running.HTTPAddr(), "api", running.APIURL())
	return await(ctx, running, log)
}

// await stops what runs when the context ends.
func await(ctx context.Context, running *service.Service, log *slog.Logger) error {
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return running.Close()
	case err := <-running.Failed():
		return errors.Join(err, running.Close())
	}
}
