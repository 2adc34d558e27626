// Package operator is the commands that see and change devices by the API.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/internal/cli"
)

// ClientConfig is what the commands of an operator have in common.
type ClientConfig struct {
	URL    string `name:"api-url" help:"Address of the API." default:"http://127.0.0.1:8080" group:"API"`
	Token  string `name:"api-token" help:"Token for the API. Prefer the environment variable." group:"API"`
	Output string `short:"o" help:"Output format: ${enum}." enum:"table,json" default:"table" env:"-"`
}

func (c ClientConfig) client() (*client.Client, error) {
	made, err := client.New(c.URL, c.Token)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--api-url: %w", err))
	}
	return made, nil
}

// noteFlag is the reason for a change of devices.
type noteFlag struct {
	Note string `env:"-" help:"Why, for the audit and for devices why." placeholder:"TEXT"`
}

// by is a client that gives the reason.
func (f noteFlag) by(c *client.Client) *client.Client { return c.WithNote(f.Note) }

// show writes a value as JSON, or as a table for people.
func (c ClientConfig) show(w io.Writer, value any, table func(io.Writer)) error {
	if c.Output == "json" {
		return cli.WriteJSON(w, value)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	table(t)
	return t.Flush()
}

// ask makes one call to the API and shows its answer.
func ask[T any](c ClientConfig, w io.Writer, call func(*client.Client) (T, error), table func(io.Writer, T)) error {
	to, err := c.client()
	if err != nil {
		return err
	}
	answer, err := call(to)
	if err != nil {
		return err
	}
	return c.show(w, answer, func(w io.Writer) { table(w, answer) })
}

// Commands are the commands of an operator: they ask the API.
type Commands struct {
	Devices DevicesCommands `cmd:"" help:"Show and watch devices, through the API."`
	OtherCommands
}

// OtherCommands are Commands without "devices", to which the program adds others.
type OtherCommands struct {
	Desired desiredCommand `cmd:"" help:"Change desired properties of devices, through the API."`
	Command commandCommand `cmd:"" help:"Send commands to devices, through the API."`
	Events  eventsCommand  `cmd:"" help:"Send events to devices' statecharts, through the API."`
	Process processCommand `cmd:"" help:"Show events that are processed one by one, and decide on those that failed, through the API."`
}

// DevicesCommands are those of "devices".
type DevicesCommands struct {
	List      devicesListCommand      `cmd:"" help:"List devices."`
	Count     devicesCountCommand     `cmd:"" help:"Count devices."`
	Get       devicesGetCommand       `cmd:"" help:"Show everything that is known about a device."`
	Watch     devicesWatchCommand     `cmd:"" help:"Follow the changes of a device as they happen."`
	Why       devicesWhyCommand       `cmd:"" help:"Show why a device is in its state: its last transitions with their causes."`
	Migrate   devicesMigrateCommand   `cmd:"" help:"Move devices to another version of their model by a plan."`
	Migration devicesMigrationCommand `cmd:"" help:"Show, follow or stop a migration."`
	Delete    devicesDeleteCommand    `cmd:"" help:"Delete devices. The next message of a deleted device creates it again."`
}

type devicesListCommand struct {
	ClientConfig
	KindFlag
	Query []string `arg:"" optional:"" help:"Terms that must match: state:online model:pump connection:offline tag.site:north reported.PATH:VALUE id:pump-*. OR, NOT and parentheses connect them: state:online NOT '(site:north OR site:south)'. Quote what the shell reads: 'last_seen<now-24h'."`
	Limit int      `env:"-" help:"Maximum number of devices." default:"1000"`
}

// Run lists page after page.
func (c *devicesListCommand) Run(ctx context.Context, streams cli.Streams) error {
	return listAll(ctx, streams, c.ClientConfig, c.KindFlag, strings.Join(c.Query, " "), c.Limit, deviceTable)
}

// listAll lists what a query finds, page after page, up to a limit.
func listAll(ctx context.Context, streams cli.Streams, c ClientConfig, of KindFlag, query string, limit int, table func(io.Writer, []api.Summary)) error {
	from, err := c.client()
	if err != nil {
		return err
	}
	kind, err := of.kind()
	if err != nil {
		return err
	}
	const most = 1000 // of one page
	devices := []api.Summary{}
	cursor := ""
	for len(devices) < limit {
		page, err := listed(ctx, from, kind, query, min(most, limit-len(devices)), cursor)
		if err != nil {
			return queryError(query, err)
		}
		devices = append(devices, page.Devices...)
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if err := c.show(streams.Out, devices, func(w io.Writer) { table(w, devices) }); err != nil {
		return err
	}
	if cursor != "" {
		fmt.Fprintf(streams.Err, "There are more; --limit shows them.\n")
	}
	return nil
}

type devicesCountCommand struct {
	ClientConfig
	KindFlag
	Query []string `arg:"" optional:"" help:"Terms, as of devices list; quote parentheses, < and >: 'last_seen<now-24h'."`
}

// Run counts.
func (c *devicesCountCommand) Run(ctx context.Context, streams cli.Streams) error {
	kind, err := c.kind()
	if err != nil {
		return err
	}
	count := func(from *client.Client) (api.Count, error) {
		query := strings.Join(c.Query, " ")
		n, err := counted(ctx, from, kind, query)
		return n, queryError(query, err)
	}
	return ask(c.ClientConfig, streams.Out, count, func(w io.Writer, n api.Count) { fmt.Fprintln(w, n.Count) })
}

type devicesGetCommand struct {
	ClientConfig
	EntityArg
}

// Run shows the device.
func (c *devicesGetCommand) Run(ctx context.Context, streams cli.Streams) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	get := func(from *client.Client) (api.Device, error) { return from.Device(ctx, id) }
	return ask(c.ClientConfig, streams.Out, get, deviceDetails)
}

type devicesWhyCommand struct {
	ClientConfig
	EntityArg
	Limit int `env:"-" help:"Maximum number of transitions." default:"10"`
}

// Run shows the transitions, the newest first.
func (c *devicesWhyCommand) Run(ctx context.Context, streams cli.Streams) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	why := func(from *client.Client) (api.Why, error) { return from.Why(ctx, id, c.Limit) }
	return ask(c.ClientConfig, streams.Out, why, whyText)
}

type devicesDeleteCommand struct {
	ClientConfig
	KindFlag
	noteFlag
	IDs  []device.ID `arg:"" name:"id" help:"Devices, or other entities of the kind."`
	Data bool        `env:"-" help:"Also erase their data: in the logs and journals of bridges and workers, and their points in InfluxDB."`
}

// Run deletes one after the other, and prints each.
func (c *devicesDeleteCommand) Run(ctx context.Context, streams cli.Streams) error {
	from, err := c.client()
	if err != nil {
		return err
	}
	ids, err := c.ids(c.IDs)
	if err != nil {
		return err
	}
	var faults []error
	deleted := []device.ID{}
	remove := c.by(from).Delete
	if c.Data {
		remove = c.by(from).Erase
	}
	for _, id := range ids {
		if err := remove(ctx, id); err != nil {
			faults = append(faults, fmt.Errorf("delete %s: %w", id, err))
			continue
		}
		deleted = append(deleted, id)
	}
	shown := c.show(streams.Out, map[string]any{"deleted": deleted}, func(w io.Writer) {
		for _, id := range deleted {
			fmt.Fprintf(w, "%s deleted\n", id)
		}
	})
	return errors.Join(append(faults, shown)...)
}

type desiredCommand struct {
	Set desiredSetCommand `cmd:"" help:"Change the desired properties of a device."`
}

type desiredSetCommand struct {
	ClientConfig
	EntityArg
	noteFlag
	Values  []string       `arg:"" optional:"" name:"key=value" help:"Properties: net.interval=10; a value is JSON, or else a string; null removes the property."`
	File    string         `env:"-" help:"File with a JSON merge patch; - for standard input." placeholder:"FILE"`
	Shadow  string         `env:"-" help:"Name of a shadow; without it the classic one."`
	Version *int64         `env:"-" help:"Only if the document has this version." placeholder:"N"`
	Within  *time.Duration `env:"-" help:"Deadline for the device to report the change, such as 5m, 48h or 7d; after it the model gets twin.diverged." placeholder:"DURATION"`
}

// Run makes one change of all of it.
func (c *desiredSetCommand) Run(ctx context.Context, streams cli.Streams) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	patch, err := c.patch(os.Stdin)
	if err != nil {
		return cli.Usage(err)
	}
	within, err := given("--within", c.Within)
	if err != nil {
		return cli.Usage(err)
	}
	version, err := given("--version", c.Version)
	if err != nil {
		return cli.Usage(err)
	}
	desire := func(to *client.Client) (api.Desired, error) {
		return c.by(to).Desire(ctx, id, api.DesiredChange{Shadow: c.Shadow, Patch: patch, Version: version, Within: within})
	}
	return ask(c.ClientConfig, streams.Out, desire, func(w io.Writer, desired api.Desired) {
		fmt.Fprintf(w, "version\t%d\n", desired.Version)
		fmt.Fprintf(w, "changed\t%s\n", orNone(strings.Join(desired.Changed, ", ")))
		fmt.Fprintf(w, "open\t%s\n", orNone(strings.Join(desired.Open, ", ")))
	})
}

type commandCommand struct {
	Send commandSendCommand `cmd:"" help:"Send a command, after those that are waiting."`
}

type commandSendCommand struct {
	ClientConfig
	EntityArg
	noteFlag
	Name          string         `arg:"" help:"Command."`
	Data          string         `env:"-" help:"Data for the device: a JSON object." placeholder:"JSON"`
	TTL           *time.Duration `env:"-" name:"ttl" help:"Time to live, such as 90s, 5m, 48h or 7d: a command that is not done by then expires. Default: 1d." placeholder:"DURATION"`
	MaxDeliveries *int           `env:"-" help:"How often to send it, 1 to 100, to a device that restarts before it answers. Default: the service's." placeholder:"N"`
	Replace       bool           `env:"-" help:"Replace waiting commands of this name."`
	Wait          bool           `env:"-" help:"Wait until it is done; fail if it does not succeed."`
}

// Run sends, and waits if it is told to.
func (c *commandSendCommand) Run(ctx context.Context, streams cli.Streams) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	data, err := readObject("--data", c.Data)
	if err != nil {
		return cli.Usage(err)
	}
	ttl, err := given("--ttl", c.TTL)
	if err != nil {
		return cli.Usage(err)
	}
	deliveries, err := given("--max-deliveries", c.MaxDeliveries)
	if err != nil {
		return cli.Usage(err)
	}
	to, err := c.client()
	if err != nil {
		return err
	}
	command, err := c.by(to).SendCommand(ctx, id, api.NewCommand{Name: c.Name, Data: data, TTL: ttl, MaxDeliveries: deliveries, Replace: c.Replace})
	if err != nil {
		return err
	}
	if c.Wait {
		if command, err = awaitCommand(ctx, to, id, command); err != nil {
			return err
		}
	}
	if err := c.show(streams.Out, command, func(w io.Writer) { commandTable(w, []api.Command{command}) }); err != nil {
		return err
	}
	if c.Wait && command.Status != device.CommandSucceeded {
		return fmt.Errorf("command %s of %s: %s", c.Name, id.Entity(), strings.TrimSuffix(string(command.Status)+": "+command.Reason, ": "))
	}
	return nil
}

// given is the value of a flag, or zero without it. Zero itself would be taken for an
// absent flag: the default, and not what was asked for.
func given[T int | int64 | time.Duration](flag string, value *T) (T, error) {
	switch {
	case value == nil:
		return 0, nil
	case *value == 0:
		return 0, fmt.Errorf("%s: expected more than 0", flag)
	}
	return *value, nil
}

// awaitCommand asks until the command is done.
func awaitCommand(ctx context.Context, from *client.Client, id device.ID, command api.Command) (api.Command, error) {
	for !command.Status.Ended() {
		select {
		case <-ctx.Done():
			return command, fmt.Errorf("stopped waiting for command %s, which is %s and stays in the device's queue: %w", command.ID, command.Status, ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
		var err error
		if command, err = from.Command(ctx, id, command.ID); err != nil {
			return command, err
		}
	}
	return command, nil
}

type eventsCommand struct {
	Send eventsSendCommand `cmd:"" help:"Send an event to a device's statechart."`
}

type eventsSendCommand struct {
	ClientConfig
	EntityArg
	noteFlag
	Name string `arg:"" help:"Name of the event in the model."`
	Data string `env:"-" help:"Its data: a JSON object." placeholder:"JSON"`
}

// Run sends the event.
func (c *eventsSendCommand) Run(ctx context.Context, streams cli.Streams) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	data, err := readObject("--data", c.Data)
	if err != nil {
		return cli.Usage(err)
	}
	send := func(to *client.Client) (api.Taken, error) { return c.by(to).SendEvent(ctx, id, c.Name, data) }
	return ask(c.ClientConfig, streams.Out, send, func(w io.Writer, taken api.Taken) {
		if taken.From == taken.To {
			fmt.Fprintf(w, "%s stays %s\n", id, taken.To)
		} else {
			fmt.Fprintf(w, "%s went from %s to %s\n", id, taken.From, taken.To)
		}
	})
}
