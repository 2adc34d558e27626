// Package admin is the commands of those who run the service: what they need once,
// or ask about it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"devicetwin/internal/cli"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
)

// Commands are the commands of an administrator.
type Commands struct {
	Setup  setupCommand  `cmd:"" help:"Prepare Temporal: create the namespace and its search attributes."`
	Token  tokenCommand  `cmd:"" help:"Generate tokens for the API."`
	Codec  codecCommand  `cmd:"" help:"Encrypt and decrypt the payloads that Temporal stores."`
	Health healthCommand `cmd:"" help:"Ask a running process whether it is ready; for healthchecks."`
}

// New is the commands with their defaults.
func New(c service.Config) Commands {
	made := Commands{Setup: setupCommand{Log: c.Log, Temporal: c.Temporal.TemporalServer}}
	made.Codec.Serve.Log = c.Log
	return made
}

// setupCommand is "devicetwin setup".
type setupCommand struct {
	Log      service.LogConfig      `embed:"" prefix:"log-" group:"Logging"`
	Temporal service.TemporalServer `embed:"" prefix:"temporal-" group:"Temporal"`

	Retention time.Duration `help:"Retention of closed workflow runs in a new namespace; each continue-as-new of a device leaves one." default:"24h"`
	Wait      time.Duration `help:"Longest wait for Temporal, and for the created objects to become usable." default:"5m"`
}

// Plan implements cli.Planner.
func (c *setupCommand) Plan() (any, error) { return *c, nil }

// Run makes what is missing. It may be run again at any time.
func (c *setupCommand) Run(ctx context.Context) error {
	if c.Retention < time.Hour {
		return cli.Usage(fmt.Errorf("--retention %v: expected at least 1h", c.Retention))
	}
	log := c.Log.Logger(os.Stderr)
	temporal, err := c.Temporal.Dial(prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	s := setup{temporal: temporal, namespace: c.Temporal.Namespace, retention: c.Retention, log: log}
	return s.untilDone(ctx)
}

// setup prepares a namespace.
type setup struct {
	temporal  client.Client
	namespace string
	retention time.Duration
	log       *slog.Logger
}

// untilDone tries until everything is there: Temporal may still be starting, and
// takes some seconds to know what was made.
func (s setup) untilDone(ctx context.Context) error {
	const pause = 500 * time.Millisecond
	for told := false; ; {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := s.once(attempt)
		cancel()
		if err == nil {
			s.log.Info("Temporal is ready: namespace and search attributes exist", "namespace", s.namespace)
			return nil
		}
		if permanent(err) {
			return fmt.Errorf("set up namespace %s: %w", s.namespace, err)
		}
		if !told {
			s.log.Info("waiting for Temporal", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("set up namespace %s: gave up: %w", s.namespace, err)
		case <-time.After(pause):
		}
	}
}

// permanent reports whether an error will not go away by waiting.
func permanent(err error) bool {
	var denied *serviceerror.PermissionDenied
	var invalid *serviceerror.InvalidArgument
	var unimplemented *serviceerror.Unimplemented
	return errors.Is(err, twinclient.ErrAttributeType) || errors.As(err, &denied) || errors.As(err, &invalid) || errors.As(err, &unimplemented)
}

func (s setup) once(ctx context.Context) error {
	if err := s.makeNamespace(ctx); err != nil {
		return err
	}
	if err := s.makeAttributes(ctx); err != nil {
		return err
	}
	return twinclient.CheckSearchAttributes(ctx, s.temporal, s.namespace)
}

func (s setup) makeNamespace(ctx context.Context) error {
	_, err := s.temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.namespace})
	var missing *serviceerror.NamespaceNotFound
	if !errors.As(err, &missing) {
		return wrap("look for the namespace", err)
	}
	_, err = s.temporal.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: s.namespace, WorkflowExecutionRetentionPeriod: durationpb.New(s.retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return wrap("make the namespace", err)
	}
	s.log.Info("namespace created", "namespace", s.namespace, "retention", s.retention)
	return nil
}

func (s setup) makeAttributes(ctx context.Context) error {
	made, err := twinclient.AddSearchAttributes(ctx, s.temporal.OperatorService(), s.namespace)
	if err == nil && len(made) > 0 {
		s.log.Info("search attributes created", "names", made)
	}
	return err
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
