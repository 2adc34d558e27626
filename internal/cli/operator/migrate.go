package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/devicefsm/plan"
	"devicetwin/internal/cli"
)

type devicesMigrateCommand struct {
	ClientConfig
	Query  []string `arg:"" optional:"" help:"Terms, as of devices list; without them, all devices of the model that the plan leads from."`
	Plan   string   `env:"-" required:"" help:"File of the plan, as devicetwin model plan writes it, with every place filled in." placeholder:"FILE"`
	Rate   string   `env:"-" help:"Maximum number of devices moved per second." default:"50/s" placeholder:"N/s"`
	Note   string   `env:"-" help:"Why, for the records of the devices and the audit." placeholder:"TEXT"`
	DryRun bool     `env:"-" help:"Only ask the devices what would happen: from which states to which others, and which would stay as they are."`
	Wait   bool     `env:"-" negatable:"" default:"true" help:"Follow the migration until it ends; it goes on without that."`
}

// Run starts the migration and follows it, or asks the devices what it would do.
func (c *devicesMigrateCommand) Run(ctx context.Context, streams cli.Streams) error {
	rate, err := readRate(c.Rate)
	if err != nil {
		return cli.Usage(err)
	}
	src, err := os.ReadFile(c.Plan)
	if err != nil {
		return cli.Usage(fmt.Errorf("read the plan: %w", err))
	}
	parsed, err := plan.Parse(c.Plan, src)
	if err != nil {
		return err
	}
	to, err := c.client()
	if err != nil {
		return err
	}
	query := strings.Join(c.Query, " ")
	if c.DryRun {
		hash, err := parsed.Hash()
		if err != nil {
			return fmt.Errorf("hash of the plan %s: %w", c.Plan, err)
		}
		t := &trial{plan: string(src), note: c.Note, from: to, pause: time.Duration(float64(time.Second) / rate)}
		t.report = api.FleetMigration{Query: query, Model: parsed.Model, FromModel: parsed.From, ToModel: parsed.To, Plan: hash}
		if err := t.run(ctx, query); err != nil {
			return queryError(query, err)
		}
		return c.show(streams.Out, tried{FleetMigration: t.report}, func(w io.Writer) { migrationTable(w, t.report, true) })
	}
	started, err := to.StartMigration(ctx, api.NewFleetMigration{Words: query, Plan: string(src), Note: c.Note, Rate: rate})
	if err != nil {
		return queryError(query, err)
	}
	fmt.Fprintf(streams.Err, "migration %s\n", started.ID)
	if c.Wait {
		if started, err = followMigration(ctx, to, started, streams.Err); err != nil {
			return err
		}
	}
	return c.showMigration(streams.Out, started)
}

// readRate reads "50/s", or only the number.
func readRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(rate > 0 && rate <= 1000) {
		return 0, fmt.Errorf("--rate %q: expected a number of devices a second up to 1000, such as 50/s", text)
	}
	return rate, nil
}

// showMigration shows a migration; one of which devices stayed as they were is an error.
func (c ClientConfig) showMigration(w io.Writer, m api.FleetMigration) error {
	if err := c.show(w, m, func(w io.Writer) { migrationTable(w, m, false) }); err != nil {
		return err
	}
	if m.Ended != nil && m.Refused > 0 {
		return fmt.Errorf("migration %s: %d devices stayed as they were", m.ID, m.Refused)
	}
	return nil
}

// watchEvery is how often a migration is asked for.
const watchEvery = 2 * time.Second

// followMigration asks until the migration has ended, and says how far it is.
func followMigration(ctx context.Context, from *client.Client, m api.FleetMigration, w io.Writer) (api.FleetMigration, error) {
	said := ""
	for {
		if text := progressText(m); text != said {
			said = text
			fmt.Fprintln(w, text)
		}
		if m.Ended != nil {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return m, fmt.Errorf("stopped following migration %s, which goes on: %w", m.ID, ctx.Err())
		case <-time.After(watchEvery):
		}
		next, err := from.Migration(ctx, m.ID)
		var problem *client.Problem
		switch {
		case err == nil:
			m = next
		case errors.As(err, &problem) && problem.Status == 503: // no worker answers now
		default:
			return m, err
		}
	}
}

func progressText(m api.FleetMigration) string {
	text := m.Phase
	if m.Begins != nil && m.Phase == "announced" {
		text += ", begins " + clock(*m.Begins)
	}
	return fmt.Sprintf("%s: %d moved, %d refused", text, m.Moved, m.Refused)
}

type devicesMigrationCommand struct {
	ClientConfig
	ID     string `arg:"" help:"Id of the migration."`
	Stop   bool   `env:"-" help:"Stop it; devices that were moved stay moved."`
	Follow bool   `env:"-" help:"Follow it until it ends."`
}

// Run shows the migration.
func (c *devicesMigrationCommand) Run(ctx context.Context, streams cli.Streams) error {
	from, err := c.client()
	if err != nil {
		return err
	}
	if c.Stop {
		if err := from.StopMigration(ctx, c.ID); err != nil {
			return err
		}
	}
	m, err := from.Migration(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Follow {
		if m, err = followMigration(ctx, from, m, streams.Err); err != nil {
			return err
		}
	}
	return c.showMigration(streams.Out, m)
}

func migrationTable(w io.Writer, m api.FleetMigration, dry bool) {
	moved, refused := "moved", "stayed as they were"
	if dry {
		moved, refused = "would be moved", "would stay as they are"
	} else {
		fmt.Fprintf(w, "migration\t%s, %s\n", m.ID, m.Phase)
		fmt.Fprintf(w, "plan\t%.12s, from %s to %s\n", m.Plan, modelText(m.Model, m.FromVersion, m.FromModel), modelText(m.Model, m.ToVersion, m.ToModel))
	}
	fmt.Fprintf(w, "%s\t%d\n", moved, m.Moved)
	for _, line := range []struct {
		what string
		n    int
	}{{"moved before", m.Already}, {"deleted meanwhile", m.Gone}, {refused, m.Refused}} {
		if line.n > 0 {
			fmt.Fprintf(w, "%s\t%d\n", line.what, line.n)
		}
	}
	if len(m.Images) > 0 {
		fmt.Fprintf(w, "\nFROM\tTO\tDEVICES\tFIRST\n")
	}
	for _, i := range m.Images {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", i.From, i.To, i.Devices, i.First)
	}
	if len(m.Reasons) > 0 {
		fmt.Fprintf(w, "\nREASON\tDEVICES\n")
	}
	for _, r := range m.Reasons {
		fmt.Fprintf(w, "%s\t%d\n", printable(r.Message), r.Devices)
	}
	if len(m.Refusals) > 0 {
		fmt.Fprintf(w, "\nDEVICE\tREASON\n")
	}
	for _, r := range m.Refusals {
		fmt.Fprintf(w, "%s\t%s\n", r.Device, printable(r.Message))
	}
}

// trial asks devices what a plan would make of them.
type trial struct {
	plan, note string
	from       *client.Client
	pause      time.Duration
	report     api.FleetMigration
}

// shownRefusals bounds those that are named.
const shownRefusals = 100

// tried is the report of a trial as JSON. It has no id, rate, phase or time, which a migration has.
type tried struct {
	api.FleetMigration
	ID    string    `json:"id,omitzero"`
	Rate  float64   `json:"rate,omitzero"`
	Phase string    `json:"phase,omitzero"`
	Since time.Time `json:"since,omitzero"`
}

func (t *trial) run(ctx context.Context, query string) error {
	next := time.NewTicker(max(t.pause, time.Microsecond))
	defer next.Stop()
	for cursor := ""; ; {
		page, err := t.from.Devices(ctx, query, 1000, cursor)
		if err != nil {
			return err
		}
		for _, d := range page.Devices {
			if d.ModelHash != t.report.FromModel {
				continue
			}
			select {
			case <-next.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := t.ask(ctx, d.ID); err != nil {
				return err
			}
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	slices.SortStableFunc(t.report.Images, func(a, b api.MigrationImage) int { return cmp.Compare(b.Devices, a.Devices) })
	slices.SortStableFunc(t.report.Reasons, func(a, b api.MigrationReason) int { return cmp.Compare(b.Devices, a.Devices) })
	return nil
}

// ask asks one device. One that would stay as it is is a part of the report.
func (t *trial) ask(ctx context.Context, id device.ID) error {
	would, err := t.from.Migrate(ctx, id, api.NewMigration{Plan: t.plan, Note: t.note, Try: true})
	r := &t.report
	var problem *client.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == 404:
		r.Gone++
	case errors.As(err, &problem) && problem.Status >= 409 && problem.Status != 429:
		r.Refused++
		if len(r.Refusals) < shownRefusals {
			r.Refusals = append(r.Refusals, api.MigrationRefusal{Device: id, Code: problem.Status, Message: problem.Error()})
		}
		at := slices.IndexFunc(r.Reasons, func(have api.MigrationReason) bool {
			return have.Code == problem.Status && have.Message == problem.Error()
		})
		if at < 0 {
			r.Reasons = append(r.Reasons, api.MigrationReason{Code: problem.Status, Message: problem.Error()})
			at = len(r.Reasons) - 1
		}
		r.Reasons[at].Devices++
	case err != nil:
		return fmt.Errorf("try a migration of %s: %w", id, err)
	default:
		r.Moved++
		r.ToModel, r.Plan, r.FromVersion, r.ToVersion = would.ToModel, would.Plan, would.FromVersion, would.ToVersion
		at := slices.IndexFunc(r.Images, func(have api.MigrationImage) bool { return have.Taken == would.Taken })
		if at < 0 {
			r.Images = append(r.Images, api.MigrationImage{Taken: would.Taken, First: id})
			at = len(r.Images) - 1
		}
		r.Images[at].Devices++
	}
	return nil
}
