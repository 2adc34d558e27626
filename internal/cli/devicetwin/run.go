package devicetwin

import (
	"context"
	"devicetwin/internal/cli"
	"devicetwin/service"
	"errors"
	"os"
)

type runCommand struct {
	service.Config
	Bridge service.BridgeConfig `embed:"" prefix:"bridge-" group:"Bridge"`
	Worker service.WorkerConfig `embed:"" prefix:"worker-" group:"Worker"`
	API    service.APIConfig    `embed:"" prefix:"api-" group:"API"`
}

func (c *runCommand) Run(ctx context.Context) error {
	c.Config.API = &c.API
	return serve(ctx, c.Config, &c.Bridge, &c.Worker)
}

type bridgeCommand struct {
	service.Config
	Bridge service.BridgeConfig `embed:"" prefix:"bridge-" group:"Bridge"`
}

func (c *bridgeCommand) Run(ctx context.Context) error { return serve(ctx, c.Config, &c.Bridge, nil) }

type workerCommand struct {
	service.Config
	Worker service.WorkerConfig `embed:"" prefix:"worker-" group:"Worker"`
}

func (c *workerCommand) Run(ctx context.Context) error { return serve(ctx, c.Config, nil, &c.Worker) }

// apiCommand is "devicetwin api".
type apiCommand struct {
	API      service.APIConfig      `embed:"" prefix:"api-" group:"API"`
	Temporal service.TemporalConfig `embed:"" prefix:"temporal-" group:"Temporal"`
	HTTP     service.HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`
	Log      service.LogConfig      `embed:"" prefix:"log-" group:"Logging"`
}

// Run serves the API alone.
func (c *apiCommand) Run(ctx context.Context) error {
	if c.API.Listen == "" {
		return cli.Usage(errors.New("--api-listen: expected an address, such as 127.0.0.1:8080"))
	}
	return serve(ctx, service.Config{API: &c.API, Temporal: c.Temporal, HTTP: c.HTTP, Log: c.Log}, nil, nil)
}

func serve(ctx context.Context, c service.Config, b *service.BridgeConfig, w *service.WorkerConfig) error {
	log := c.Log.Logger(os.Stderr)
	running, err := c.StartService(b, w, log)
	if err != nil {
		return err
	}
	log.Info("running; Ctrl-C ends it", "http", running.HTTPAddr(), "api", running.APIURL())
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return running.Close()
	case err := <-running.Failed():
		return errors.Join(err, running.Close())
	}
}
