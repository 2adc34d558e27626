package model

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/replay"
	"devicetwin/devicefsm/script"
	"devicetwin/internal/cli"
	"devicetwin/internal/journal"
	"devicetwin/source"
)

// RecordCommand is "devicetwin devices record".
type RecordCommand struct {
	ID device.ID `arg:"" help:"The device; an entity of another kind is KIND/ID."`
	journalFlags
	Last  string `env:"-" help:"How much of it, up to the last entry of the device: the test begins where the device was last as a new one before that." default:"2h" placeholder:"DURATION"`
	Model string `env:"-" help:"Name of the model's file in the script, from the script's folder. Default: the name that the file had." placeholder:"FILE"`
}

// errNotRecorded is returned for a device of which there is nothing to record.
var errNotRecorded = errors.New("the journal does not have enough of the device, or its model is not at hand")

// Run writes a script to standard output.
func (c *RecordCommand) Run(ctx context.Context, streams cli.Streams) error {
	last, files, keys, err := c.read()
	if err != nil {
		return cli.Usage(err)
	}
	known, err := c.known()
	if err != nil {
		return err
	}
	var history []*replay.Entry
	h := journal.Histories{Files: files, Keys: keys, Wanted: func(id device.ID) bool { return id == c.ID }}
	if _, err := h.Each(ctx, func(_ int, _ device.ID, entries []*replay.Entry) error { history = entries; return nil }); err != nil {
		return err
	}
	if len(history) == 0 {
		return fmt.Errorf("record device %s: %w", c.ID, errNotRecorded)
	}
	end := history[len(history)-1].At()
	part, ok := replay.PartSince(history, end.Add(-last), known.byHash)
	if !ok {
		return fmt.Errorf("record device %s: %w", c.ID, errNotRecorded)
	}
	file := c.Model
	if file == "" {
		file = part.Model.Name() + ".yaml"
		if copied, err := known.copies.File(part.Model.Hash()); err == nil {
			file = filepath.Base(copied.Name)
		}
	}
	name := fmt.Sprintf("What %s did from %s to %s", c.ID, part.Start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339))
	text, err := script.Recorded("record of "+string(c.ID), file, name, part.Start, notesOf(c.ID, part), inputsOf(part), part.Model)
	if err != nil {
		return fmt.Errorf("record device %s: %w", c.ID, err)
	}
	if state := lastState(string(text)); state != part.After {
		fmt.Fprintf(streams.Err, "the test ends in state %s, and the device was in %s: the test begins with a new device, and has no twin\n", state, part.After)
	}
	if _, err := streams.Out.Write(text); err != nil {
		return fmt.Errorf("write the script: %w", err)
	}
	return nil
}

func (c *RecordCommand) read() (last time.Duration, files []journal.File, keys journal.Keys, err error) {
	var faults []error
	if last, err = source.ParseDuration(c.Last); err != nil || last <= 0 {
		faults = append(faults, fmt.Errorf("--last %q: expected how long, such as 2h or 7d", c.Last))
	}
	files, keys, err = c.open()
	faults = append(faults, err)
	return last, files, keys, errors.Join(faults...)
}

func notesOf(id device.ID, p replay.Part) []string {
	notes := []string{fmt.Sprintf("Recorded from the journal: device %s, model %s %.12s.", id, p.Model.Name(), p.Model.Hash())}
	if !p.AsNew {
		was := p.Before
		if was == "" {
			was = "a state that is not known"
		}
		notes = append(notes, fmt.Sprintf("The device was in %s at the start. The test begins with a new device.", was))
	}
	if p.Model.ReadsTwin() {
		notes = append(notes, "Expressions of the model read the twin, which a script does not have.")
	}
	return notes
}

// inputsOf are the lines of the script.
func inputsOf(p replay.Part) []script.Input {
	var list []script.Input
	for _, e := range p.Entries {
		if e.Do != replay.DoStep {
			continue
		}
		in := script.Input{At: e.At()}
		if !e.Time.IsZero() && !e.Arrived.IsZero() && !e.Time.Equal(e.Arrived) {
			in.Sent = e.Time
		}
		id, failed := e.InvocationEnd()
		message, _ := e.Data["message"].(string)
		switch {
		case script.Writable(e.Channel, e.Name):
			in.Channel, in.Name, in.Data = e.Channel, e.Name, e.Data
		case id != "" && p.Invoked[id] == "":
			in.Note = fmt.Sprintf("An activity ended here that began before the journal: %s", e.Event)
		case failed:
			in.Failed, in.Text = p.Invoked[id], message
		case id != "":
			in.Done, in.Data = p.Invoked[id], e.Data
		case e.Event == devicefsm.EventProcessed:
			in.Done = "process"
			in.Data, _ = e.Data["result"].(map[string]any)
		case e.Event == devicefsm.EventProcessFailed:
			in.Failed, in.Text = "process", message
		case e.Event != "":
			in.Event, in.Data = e.Event, e.Data
		case len(e.Transitions)+len(e.Actions)+len(e.Matched) == 0:
			continue // time passes anyway
		}
		list = append(list, in)
	}
	return list
}

// lastState is that of the last expectation of a state.
func lastState(text string) (state string) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "state "); ok && strings.HasPrefix(line, " ") {
			state = rest
		}
	}
	return state
}
