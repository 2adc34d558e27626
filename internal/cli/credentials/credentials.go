// Package credentials is the commands about what devices log in with. They work on
// the store itself, without a running service.
package credentials

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/internal/credentials"
	"devicetwin/service"
)

// Command is "devicetwin credentials".
type Command struct {
	Issue  issueCommand  `cmd:"" help:"Issue the first credentials of a new device, or of one that was revoked, in the format of a reprovisioning."`
	List   listCommand   `cmd:"" help:"List the devices that have credentials."`
	Revoke revokeCommand `cmd:"" help:"Revoke all credentials of devices, and end their sessions where the broker can."`
	Import importCommand `cmd:"" help:"Import devices, with tags, site and model, from a list."`
	Export exportCommand `cmd:"" help:"Export all devices with the hashes of their passwords, for an import elsewhere."`
	Setup  setupCommand  `cmd:"" help:"Prepare the store: make its folder, or its tables in PostgreSQL."`
}

// New is the commands with their defaults.
func New(c service.Config) Command {
	s := store{c.Worker.CredentialsConfig}
	return Command{
		Issue: issueCommand{store: s}, List: listCommand{store: s}, Revoke: revokeCommand{store: s},
		Import: importCommand{store: s}, Export: exportCommand{store: s}, Setup: setupCommand{store: s},
	}
}

// store is the flags that say where the store is.
type store struct {
	Worker service.CredentialsConfig `embed:"" prefix:"worker-"`
}

// where reads the file that may say it.
func (s store) where() (string, error) {
	if err := s.Worker.AfterApply(); err != nil {
		return "", cli.Usage(err)
	}
	if s.Worker.Credentials == "" {
		return "", cli.Usage(errors.New("--worker-credentials: expected a folder, or the URL of a PostgreSQL"))
	}
	return s.Worker.Credentials, nil
}

func (s store) open() (credentials.Store, error) {
	where, err := s.where()
	if err != nil {
		return nil, err
	}
	return credentials.Open(where)
}

// parseIDs reports every fault.
func parseIDs(names []string) ([]device.ID, error) {
	ids, faults := make([]device.ID, len(names)), make([]error, len(names))
	for i, name := range names {
		ids[i], faults[i] = device.New(device.KindDevice, name)
	}
	return ids, cli.Usage(errors.Join(faults...))
}

type issueCommand struct {
	Device string `arg:"" help:"Id of the device."`
	store
}

// issued is what is printed of new credentials, once.
type issued struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// Run prints the only copy of the password.
func (c *issueCommand) Run(ctx context.Context, streams cli.Streams) error {
	of, err := device.New(device.KindDevice, c.Device)
	if err != nil {
		return cli.Usage(err)
	}
	to, err := c.open()
	if err != nil {
		return err
	}
	defer to.Close()
	id := "first-" + rand.Text()
	secret, err := to.Enrol(ctx, of, id)
	if err != nil {
		return err
	}
	return json.NewEncoder(streams.Out).Encode(issued{id, c.Device, secret})
}

type listCommand struct {
	Devices []string `arg:"" optional:"" name:"device" help:"Ids of devices; without any, all."`
	Output  string   `short:"o" help:"Output format: ${enum}; json is a line for each device." enum:"table,json" default:"table" env:"-"`
	store
}

// listed is a device in a list. It has no hashes.
type listed struct {
	Device device.ID `json:"device"`
	credentials.About
	Credentials int        `json:"credentials"`           // that are good
	Issued      *time.Time `json:"issued,omitempty"`      // the newest of them
	Used        bool       `json:"newest_used,omitempty"` // the device has logged in by it
	Revoked     *time.Time `json:"revoked,omitempty"`
}

func listedOf(r credentials.Record) listed {
	l := listed{Device: r.Device, About: r.About, Credentials: len(r.Issued)}
	if len(r.Issued) > 0 {
		l.Issued, l.Used = &r.Issued[0].At, r.Issued[0].ID == r.Used
	}
	if !r.Revoked.IsZero() {
		l.Revoked = &r.Revoked
	}
	return l
}

func (l listed) row() string {
	when := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.UTC().Format(time.DateTime)
	}
	used := "no"
	if l.Used {
		used = "yes"
	}
	state := fmt.Sprintf("%d\t%s\t%s", l.Credentials, when(l.Issued), used)
	if l.Revoked != nil {
		state = fmt.Sprintf("revoked\t%s\t-", when(l.Revoked))
	}
	tags := make([]string, 0, len(l.Tags))
	for _, name := range slices.Sorted(maps.Keys(l.Tags)) {
		tags = append(tags, name+"="+l.Tags[name])
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", l.Device, state, orDash(l.Site), orDash(l.Model), orDash(strings.Join(tags, ",")))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Run lists.
func (c *listCommand) Run(ctx context.Context, streams cli.Streams) error {
	ids, err := parseIDs(c.Devices)
	if err != nil {
		return err
	}
	from, err := c.open()
	if err != nil {
		return err
	}
	defer from.Close()
	table := tabwriter.NewWriter(streams.Out, 0, 8, 2, ' ', 0)
	show := func(l listed) error { _, err := fmt.Fprintln(table, l.row()); return err }
	if c.Output == "json" {
		show = func(l listed) error { return json.NewEncoder(streams.Out).Encode(l) }
	} else {
		fmt.Fprintln(table, "DEVICE\tCREDENTIALS\tNEWEST\tUSED\tSITE\tMODEL\tTAGS")
	}
	if len(ids) > 0 {
		err = showSome(ctx, from, ids, show)
	} else {
		err = showAll(ctx, from, streams.Err, show)
	}
	return errors.Join(err, table.Flush())
}

func showSome(ctx context.Context, from credentials.Store, ids []device.ID, show func(listed) error) error {
	found, err := from.Get(ctx, ids)
	if err != nil {
		return err
	}
	var faults []error
	for _, id := range ids {
		if r, ok := found[id]; ok {
			faults = append(faults, show(listedOf(r)))
		} else {
			faults = append(faults, fmt.Errorf("device %s: it has no credentials", id))
		}
	}
	return errors.Join(faults...)
}

func showAll(ctx context.Context, from credentials.Store, notes io.Writer, show func(listed) error) error {
	unnamed, err := eachNamed(ctx, from, func(r credentials.Record) error { return show(listedOf(r)) })
	if err != nil {
		return err
	}
	if unnamed > 0 {
		fmt.Fprintf(notes, "%s: an earlier version kept the credentials. A login names the device, and so does an import of its id.\n",
			cli.Count(unnamed, "more device without a name"))
	}
	return nil
}

// eachNamed calls f for each device until an error, and counts those whose name is not known.
func eachNamed(ctx context.Context, from credentials.Store, f func(credentials.Record) error) (unnamed int, err error) {
	for r, err := range from.All(ctx) {
		if err != nil {
			return unnamed, err
		}
		if r.Device == "" {
			unnamed++
			continue
		}
		if err := f(r); err != nil {
			return unnamed, err
		}
	}
	return unnamed, nil
}

type exportCommand struct{ store }

// Run writes the format that an import reads.
func (c *exportCommand) Run(ctx context.Context, streams cli.Streams) error {
	from, err := c.open()
	if err != nil {
		return err
	}
	defer from.Close()
	out := json.NewEncoder(streams.Out)
	unnamed, err := eachNamed(ctx, from, func(r credentials.Record) error {
		if err := out.Encode(lineOf(r)); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if unnamed > 0 {
		return fmt.Errorf("%s left out: an earlier version kept the credentials, by a hash of the name. Import a list of the ids into this store, and export again",
			cli.Count(unnamed, "device"))
	}
	return nil
}

type setupCommand struct{ store }

// Run prepares the store. It may be run again at any time.
func (c *setupCommand) Run(ctx context.Context, streams cli.Streams) error {
	where, err := c.where()
	if err != nil {
		return err
	}
	if err := credentials.Setup(ctx, where); err != nil {
		return err
	}
	fmt.Fprintln(streams.Err, "The credential store is ready.")
	return nil
}
