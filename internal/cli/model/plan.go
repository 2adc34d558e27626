package model

import (
	"context"
	"errors"
	"fmt"
	"os"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
	"devicetwin/internal/cli"
)

type planCommand struct {
	registryFlags
	Old     string `arg:"" help:"The version that devices run: a model file, or NAME@VERSION of the registry."`
	New     string `arg:"" help:"The version to move them to: a model file, or NAME@VERSION of the registry."`
	Plan    string `arg:"" optional:"" help:"A plan for the two, to be read: every error and everything that is to be filled in is reported, with line and column. Without it, a plan is derived and written."`
	Check   bool   `help:"Also check every configuration that a device may be in: whether the plan leads to a legal one, and what is lost on the way there and back. The exit status is 1 if there is one without a legal image."`
	Inverse bool   `help:"Write the plan that leads back."`
}

var errNoPlan = errors.New("--check and --inverse need a plan: devicetwin model plan OLD NEW PLAN")

// errNoImage is returned for a plan that is not proved.
var errNoImage = errors.New("the plan does not have a legal image of every configuration")

// Run writes or checks a plan.
func (c *planCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.Plan == "" && (c.Check || c.Inverse) {
		return cli.Usage(errNoPlan)
	}
	old, new, err := c.pair(ctx, c.Old, c.New)
	if err != nil {
		return err
	}
	if c.Plan == "" {
		return c.derive(streams, old, new)
	}
	src, err := os.ReadFile(c.Plan)
	if err != nil {
		return cli.Usage(fmt.Errorf("read plan: %w", err))
	}
	p, err := plan.Read(c.Plan, src, old, new)
	if err != nil {
		return cli.Usage(err)
	}
	if c.Inverse {
		return c.inverse(streams, p, old, new)
	}
	fmt.Fprintf(streams.Out, "%s: ok, hash %s\n", c.Plan, p.Hash)
	if !c.Check {
		return nil
	}
	report := p.Check()
	fmt.Fprint(streams.Out, report)
	if !report.OK() {
		return errNoImage
	}
	return nil
}

func (c *planCommand) derive(streams cli.Streams, old, new *devicefsm.Model) error {
	p := plan.Derive(old, new)
	if _, err := streams.Out.Write(plan.Write(p, old, new)); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if _, faults := devicefsm.NewMigration(old, new, p); len(faults) > 0 {
		fmt.Fprintf(streams.Err, "%s to fill in before the plan can be used\n", cli.Count(len(faults), "place"))
	}
	return nil
}

func (c *planCommand) inverse(streams cli.Streams, p *plan.Plan, old, new *devicefsm.Model) error {
	back, lost := p.Inverse()
	if _, err := streams.Out.Write(plan.Write(back, new, old)); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	for _, l := range lost {
		fmt.Fprintf(streams.Err, "lost on the way there and back: %s\n", l)
	}
	return nil
}
