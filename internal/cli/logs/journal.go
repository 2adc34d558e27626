package logs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/cli"
	"devicetwin/internal/journal"
)

// A folder is that of a journal if there is a file of one in it, and otherwise that of a log: one
// row of commands reads both.

// journalFiles are the files of a journal; none: the folder is that of a log.
func journalFiles(dir string) []journal.File {
	files, err := journal.Files(dir)
	if err != nil {
		return nil // what reads logs says what is wrong
	}
	return files
}

// inputs reads a journal for a command.
type inputs struct {
	files []journal.File
	keys  journal.Keys
	m     *matcher
	names []string                               // kinds: causes
	known map[string]map[device.ID]*replay.Entry // by the name of the file: what it says once
}

// journal is what a command reads, if the folder is that of a journal.
func (q query) journal() (*inputs, error) {
	files := journalFiles(q.Dir)
	if len(files) == 0 {
		return nil, nil
	}
	causes := q.Kind
	q.Kind = nil
	m, err := q.matcher(time.Now())
	if err != nil {
		return nil, cli.Usage(err)
	}
	keys, err := cli.ReadKeys(q.Temporal.Keys)
	if err != nil {
		return nil, err
	}
	if !m.since.IsZero() {
		files = journal.Since(files, m.since)
	}
	return &inputs{files: files, keys: keys, m: m, names: causes, known: map[string]map[device.ID]*replay.Entry{}}, nil
}

// entry is what is printed of a line: with what its file says once; nil if it is not wanted.
func (in *inputs) entry(file string, line []byte) (*replay.Entry, error) {
	known := in.known[file]
	if known == nil {
		known = map[device.ID]*replay.Entry{}
		in.known[file] = known
	}
	id, ok := journal.DeviceOf(line)
	if !ok || !in.m.wants(id) {
		return nil, nil
	}
	e := new(replay.Entry)
	if err := json.Unmarshal(line, e); err != nil {
		return nil, fmt.Errorf("read an entry of the journal: %w", err)
	}
	if before := known[id]; before != nil {
		e.Complete(before)
	}
	known[id] = &replay.Entry{Instance: e.Instance, Model: e.Model, Edition: e.Edition}
	switch {
	case e.Task.Before(in.m.since), !in.m.until.IsZero() && !e.Task.Before(in.m.until):
		return nil, nil
	case len(in.names) > 0 && !slices.Contains(in.names, e.Cause):
		return nil, nil
	}
	return e, nil
}

// each gives each entry that is wanted to a function.
func (in *inputs) each(ctx context.Context, complaints io.Writer, f func(*replay.Entry) error) error {
	last := -1
	damage, err := journal.Read(ctx, in.files, in.keys, func(file int, line []byte) error {
		if file != last { // the one before is at its end
			last = file
			clear(in.known)
		}
		e, err := in.entry(in.files[file].Name(), line)
		if e == nil || err != nil {
			return err
		}
		return f(e)
	})
	if n := len(damage.Damaged); n > 0 {
		fmt.Fprintf(complaints, "%s of the journal could not be read to the end.\n", cli.Count(n, "file"))
	}
	return err
}

// export prints what is in the journal.
func (in *inputs) export(ctx context.Context, streams cli.Streams) error {
	out := newPrinter(streams.Out)
	err := in.each(ctx, streams.Err, func(e *replay.Entry) error { return out.all([]any{e}) })
	if err == nil {
		err = out.flush()
	}
	return unlessBroken(err)
}

const followEvery = 500 * time.Millisecond

// tail prints the newest entries, in the order in which they were written, and goes on if it is to.
func (in *inputs) tail(ctx context.Context, dir string, n int, follow bool, streams cli.Streams) error {
	after, err := journal.Follow(dir, in.keys, false) // before it is read: an entry may come twice, and none is left out
	if err != nil {
		return err
	}
	out := newPrinter(streams.Out)
	all := in.files
	var newest []*replay.Entry
	for i := len(all) - 1; i >= 0 && len(newest) < n; i-- {
		var lines []*replay.Entry
		in.files = all[i : i+1]
		if err := in.each(ctx, streams.Err, func(e *replay.Entry) error {
			lines = append(lines, e)
			if extra := len(lines) - (n - len(newest)); extra > 0 {
				lines = slices.Delete(lines, 0, extra)
			}
			return nil
		}); err != nil {
			return err
		}
		newest = append(lines, newest...)
	}
	for _, e := range newest {
		if err := out.all([]any{e}); err != nil {
			return unlessBroken(err)
		}
	}
	clear(in.known) // the follower gives what is needed of it
	for follow {
		if err := out.flush(); err != nil {
			return unlessBroken(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		err := after.Poll(ctx, func(added journal.Added) error {
			e, err := in.entry(added.File, added.Line)
			if e == nil || err != nil || added.Before {
				return err
			}
			return out.all([]any{e})
		})
		maps.DeleteFunc(in.known, func(file string, _ map[device.ID]*replay.Entry) bool { return !after.Counts(file) })
		if err != nil && !errors.Is(err, context.Canceled) {
			return unlessBroken(err)
		}
	}
	return unlessBroken(out.flush())
}

// journalStats prints how much is in a journal.
func journalStats(ctx context.Context, files []journal.File, keys journal.Keys, output string, out io.Writer) error {
	s, err := journal.Summarize(ctx, files, keys)
	if err != nil {
		return err
	}
	if output == "json" {
		return cli.WriteJSON(out, s)
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(name, format string, values ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, values...)...)
	}
	line("files", "%d", s.Files)
	line("bytes", "%d", s.Bytes)
	line("entries", "%d", s.Entries)
	line("bytes of JSON", "%d", s.Plain)
	if s.First != nil {
		line("first", "%s", s.First.Format(time.RFC3339Nano))
		line("last", "%s", s.Last.Format(time.RFC3339Nano))
	}
	line("files that are cut", "%d", s.Cut)
	line("damaged files", "%d", len(s.Damaged))
	return t.Flush()
}

// devicesCommand lists devices of which there is something.
type devicesCommand struct {
	query
	Output string `short:"o" help:"Output format: ${enum}." enum:"table,json" default:"table" env:"-"`
}

// journaledDevice is what there is of one.
type journaledDevice struct {
	Device  device.ID `json:"device"`
	Entries int       `json:"entries"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Model   string    `json:"model,omitempty"` // the hash of the last one
}

// Run lists the devices, by their ids.
func (c *devicesCommand) Run(ctx context.Context, streams cli.Streams) error {
	all := map[device.ID]*journaledDevice{}
	note := func(id device.ID, at time.Time, model string) {
		d := all[id]
		if d == nil {
			d = &journaledDevice{Device: id, First: at, Last: at}
			all[id] = d
		}
		d.Entries++
		if at.Before(d.First) {
			d.First = at
		}
		if !at.Before(d.Last) {
			d.Last, d.Model = at, model
		}
	}
	in, err := c.journal()
	switch {
	case err != nil:
		return err
	case in != nil:
		err = in.each(ctx, streams.Err, func(e *replay.Entry) error { note(e.Device, e.Task, e.Model); return nil })
	default:
		err = c.logged(ctx, streams, note)
	}
	if err != nil {
		return err
	}
	list := make([]*journaledDevice, 0, len(all))
	for _, d := range all {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *journaledDevice) int { return cmp.Compare(a.Device, b.Device) })
	if c.Output == "json" {
		out := newPrinter(streams.Out)
		for _, d := range list {
			if err := out.all([]any{d}); err != nil {
				return unlessBroken(err)
			}
		}
		return unlessBroken(out.flush())
	}
	t := tabwriter.NewWriter(streams.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tENTRIES\tFIRST\tLAST\tMODEL")
	for _, d := range list {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%.12s\n", d.Device, d.Entries, d.First.Format(time.RFC3339), d.Last.Format(time.RFC3339), cmp.Or(d.Model, "-"))
	}
	return unlessBroken(t.Flush())
}

// logged counts the messages of devices in a log.
func (c *devicesCommand) logged(ctx context.Context, streams cli.Streams, note func(device.ID, time.Time, string)) error {
	r, matcher, err := c.open()
	if err != nil {
		return err
	}
	defer r.Close()
	end := r.End()
	for ctx.Err() == nil {
		e, ok, err := r.TryNext()
		if err != nil {
			return err
		}
		if !ok || e.Start >= end {
			return newPrinter(streams.Out).ended(r, streams.Err)
		}
		for _, line := range matcher.lines(e) {
			if m, is := line.(messageLine); is && m.Device != "" {
				note(m.Device, m.At, m.Model)
			}
		}
	}
	return ctx.Err()
}
