package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"devicetwin/device"
	"devicetwin/internal/cli"
)

type revokeCommand struct {
	Devices  []string `arg:"" name:"device" help:"Ids of devices."`
	RabbitMQ string   `name:"rabbitmq-url" help:"Management API of RabbitMQ, to end sessions there: http://USER:PASSWORD@HOST:15672, of a user with the tag administrator." placeholder:"URL"`
	EMQX     string   `name:"emqx-url" help:"API of EMQX, to end sessions there: http://KEY:SECRET@HOST:18083, with an API key." placeholder:"URL"`
	store
}

// Run revokes first: a device whose session ends comes back at once.
func (c *revokeCommand) Run(ctx context.Context, streams cli.Streams) error {
	ids, err := parseIDs(c.Devices)
	if err != nil {
		return err
	}
	brokers, err := c.brokers()
	if err != nil {
		return err
	}
	to, err := c.open()
	if err != nil {
		return err
	}
	defer to.Close()
	known, err := to.Revoke(ctx, ids)
	faults := []error{err}
	for _, id := range ids {
		switch {
		case slices.Contains(known, id):
			fmt.Fprintf(streams.Out, "device %s: revoked\n", id)
		case err == nil:
			faults = append(faults, fmt.Errorf("device %s: it has no credentials", id))
		}
	}
	for _, b := range brokers {
		for _, id := range known {
			faults = append(faults, end(ctx, streams, b, id))
		}
	}
	if len(brokers) == 0 && len(known) > 0 {
		fmt.Fprint(streams.Err, "Sessions end within a second at a Mosquitto with the plugin of this project. "+
			"At RabbitMQ and EMQX they go on: --rabbitmq-url and --emqx-url end them. At other brokers, end them there.\n")
	}
	return errors.Join(faults...)
}

func end(ctx context.Context, streams cli.Streams, b broker, id device.ID) error {
	what, err := b.end(ctx, id)
	if err != nil {
		return fmt.Errorf("device %s: its sessions at %s may go on: %w", id, b.name(), err)
	}
	fmt.Fprintf(streams.Out, "device %s: %s at %s\n", id, what, b.name())
	return nil
}

// broker ends sessions by the broker's API.
type broker interface {
	name() string
	// end ends the sessions of a device, and says what was done.
	end(ctx context.Context, id device.ID) (what string, err error)
}

func (c *revokeCommand) brokers() (all []broker, err error) {
	var faults []error
	if c.RabbitMQ != "" {
		h, err := newHTTPAPI(c.RabbitMQ)
		if err != nil {
			faults = append(faults, fmt.Errorf("--rabbitmq-url: %w", err))
		}
		all = append(all, rabbitMQ{h})
	}
	if c.EMQX != "" {
		h, err := newHTTPAPI(c.EMQX)
		if err != nil {
			faults = append(faults, fmt.Errorf("--emqx-url: %w", err))
		}
		all = append(all, emqx{h})
	}
	return all, cli.Usage(errors.Join(faults...))
}
