package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/internal/cli"
)

type processCommand struct {
	List  processListCommand  `cmd:"" help:"List devices with events that wait for long, or that failed permanently."`
	Show  processShowCommand  `cmd:"" help:"Show which events of a device wait, and which failed permanently."`
	Retry processRetryCommand `cmd:"" help:"Have events that hold the queues of devices tried again."`
	Skip  processSkipCommand  `cmd:"" help:"Skip events that hold the queues of devices: the next ones have their turn."`
}

type processListCommand struct {
	ClientConfig
	KindFlag
	Query  []string `arg:"" optional:"" help:"Terms that must match in addition, as of devices list: model:order tag.site:north."`
	Failed bool     `env:"-" help:"Those of which an event has ever failed permanently, instead of those that are held or wait now."`
	Limit  int      `env:"-" help:"Maximum number of devices." default:"1000"`
}

// query is what the API is asked for.
func (c *processListCommand) query() string {
	query := "(processing:held OR processing:waiting)"
	if c.Failed {
		query = "process_failed>=1"
	}
	if more := strings.Join(c.Query, " "); strings.TrimSpace(more) != "" {
		query += " (" + more + ")"
	}
	return query
}

// Run lists page after page.
func (c *processListCommand) Run(ctx context.Context, streams cli.Streams) error {
	return listAll(ctx, streams, c.ClientConfig, c.KindFlag, c.query(), c.Limit, processTable)
}

func processTable(w io.Writer, devices []api.Summary) {
	fmt.Fprintln(w, "ID\tMODEL\tSTATE\tPROCESSING\tFAILED")
	for _, d := range devices {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", d.ID, orNone(d.Model), orNone(d.State), orNone(d.Processing), d.ProcessFailed)
	}
}

type processShowCommand struct {
	ClientConfig
	EntityArg
}

// Run shows what is processed of the device.
func (c *processShowCommand) Run(ctx context.Context, streams cli.Streams) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	get := func(from *client.Client) (api.Processing, error) {
		d, err := from.Device(ctx, id)
		if err != nil || d.Processing == nil {
			return api.Processing{}, err
		}
		return *d.Processing, nil
	}
	return ask(c.ClientConfig, streams.Out, get, func(w io.Writer, p api.Processing) {
		fmt.Fprintf(w, "%s\t%s\n", id, processingText(p))
		processDetails(w, p)
	})
}

// processDetails shows what waits, and what failed permanently.
func processDetails(w io.Writer, p api.Processing) {
	if len(p.Queue) > 0 {
		fmt.Fprintln(w, "\nWAITING\tEVENT\tTIME\tCALLS\tATTEMPT\tLAST FAILURE")
	}
	for _, e := range p.Queue {
		attempt := "-"
		if e.Attempt > 0 {
			attempt = fmt.Sprint(e.Attempt)
		}
		if e.NextAttempt != nil {
			attempt += " at " + clock(*e.NextAttempt)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", e.Number, printable(e.Event), clock(e.At),
			strings.TrimSpace(e.Source+" "+e.To), attempt, orNone(printable(e.LastFailure)))
	}
	if len(p.Failures) > 0 {
		fmt.Fprintln(w, "\nFAILED\tEVENT\tTIME\tID\tDECISION\tMESSAGE")
	}
	for _, f := range p.Failures {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", f.Number, printable(f.Event), clock(f.At), printable(f.ID), orNone(verdictText(f.Decision)), printable(f.Message))
	}
}

// verdictText is what an operator decided.
func verdictText(v *api.ProcessVerdict) string {
	if v == nil {
		return ""
	}
	text := v.Do + " at " + clock(v.At)
	if v.Who != "" {
		text += " by " + printable(v.Who)
	}
	if v.Note != "" {
		text += ": " + printable(v.Note)
	}
	return text
}

// ProcessDecisionFlags are what the decisions have in common.
type ProcessDecisionFlags struct {
	ClientConfig
	KindFlag
	noteFlag
	IDs   []device.ID `arg:"" name:"id" help:"Devices, or other entities of the kind."`
	Event string      `env:"-" help:"Id of the event, of one device; it is refused if another one holds the queue." placeholder:"ID"`
}

type processRetryCommand struct{ ProcessDecisionFlags }

// Run has the events tried again.
func (c *processRetryCommand) Run(ctx context.Context, streams cli.Streams) error {
	return c.decide(ctx, streams, "retry", "is tried again")
}

type processSkipCommand struct{ ProcessDecisionFlags }

// Run skips the events.
func (c *processSkipCommand) Run(ctx context.Context, streams cli.Streams) error {
	return c.decide(ctx, streams, "skip", "is skipped")
}

// decidedOn is a decision as it is printed.
type decidedOn struct {
	Device device.ID `json:"device"`
	api.ProcessDecided
}

// decide decides for one device after the other. The error reports those that were refused.
func (c *ProcessDecisionFlags) decide(ctx context.Context, streams cli.Streams, do, what string) error {
	if c.Event != "" && len(c.IDs) > 1 {
		return cli.Usage(errors.New("--event is the id of an event of one device: name only that one"))
	}
	to, err := c.client()
	if err != nil {
		return err
	}
	ids, err := c.ids(c.IDs)
	if err != nil {
		return err
	}
	var faults []error
	done := []decidedOn{}
	for _, id := range ids {
		decided, err := to.DecideProcess(ctx, id, api.ProcessDecision{ID: c.Event, Do: do, Note: c.Note})
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %s: %w", do, id, err))
			continue
		}
		done = append(done, decidedOn{id, decided})
	}
	shown := c.show(streams.Out, done, func(w io.Writer) {
		for _, d := range done {
			fmt.Fprintf(w, "%s: %s, number %d, %s; %s\n", d.Device, printable(d.Event), d.Number, what, cli.Count(uint64(d.Waiting), "event")+" in the queue")
		}
	})
	return errors.Join(append(faults, shown)...)
}
