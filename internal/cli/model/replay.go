package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar/zonedata"
	"devicetwin/devicefsm/plan"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/cli"
	"devicetwin/internal/journal"
	"devicetwin/internal/modelfile"
	"devicetwin/source"
)

// replayCommand is "devicetwin model replay".
type replayCommand struct {
	registryFlags
	journalFlags
	Model  string   `env:"-" help:"Model to try on what happened: a model file, or NAME@VERSION of the registry. Without it, each device is replayed with the model that it ran, and has to come to what is recorded." placeholder:"MODEL"`
	Plan   string   `env:"-" help:"Plan by which devices are moved to the model, where the journal begins with them. Without it, one is derived, if nothing in it is to be filled in." placeholder:"FILE"`
	Last   string   `env:"-" help:"Only the files of the journal in which there may be something of this time, such as 2h or 7d." placeholder:"DURATION"`
	Device []string `env:"-" help:"Only devices whose ids match one of these patterns, such as pump-*." placeholder:"PATTERN"`

	MaxDifferent string   `env:"-" help:"Exit with status 1 if more of the devices are different than this share, such as 0.1%." placeholder:"SHARE"`
	NoNew        []string `env:"-" help:"Exit with status 1 if a device would get this where it did not: a state, an activity, a command, the receiver of a notification, a pattern or an alarm, by its name." placeholder:"NAME"`

	Show   int    `env:"-" help:"How many differences of single devices to list." default:"10" placeholder:"N"`
	Output string `env:"-" short:"o" help:"Output format: ${enum}." enum:"table,json" default:"table"`
}

// Errors of a replay, with status 1.
var (
	errNothingReplayed = errors.New("nothing was replayed")
	errNotReproduced   = errors.New("some devices do not come to what is recorded")
	errTooDifferent    = errors.New("the model is not within its budget")
)

// Run replays, and lists what is different.
func (c *replayCommand) Run(ctx context.Context, streams cli.Streams) error {
	share, wanted, keys, files, err := c.read(time.Now())
	if err != nil {
		return cli.Usage(err)
	}
	config, names, err := c.config(ctx)
	if err != nil {
		return err
	}
	if err := c.knowNames(names); err != nil {
		return cli.Usage(err)
	}
	stats, err := journal.Summarize(ctx, files, keys)
	if err != nil {
		return err
	}
	if stats.Last != nil {
		config.Until = stats.Last.Add(-dueWithin)
	}
	h := journal.Histories{Files: files, Stats: &stats, Keys: keys, Wanted: wanted}
	workers := make([]*replay.Replay, h.MostWorkers())
	for i := range workers {
		workers[i] = replay.New(config)
	}
	damage, err := h.Each(ctx, func(worker int, id device.ID, entries []*replay.Entry) error {
		workers[worker].Device(id, entries)
		return nil
	})
	if err != nil {
		return err
	}
	for _, other := range workers[1:] {
		workers[0].Merge(other)
	}
	report := workers[0].Report()
	if err := c.print(streams.Out, report, damage); err != nil {
		return err
	}
	return c.verdict(report, share)
}

// dueWithin is how long before the end of the journal something has to have been due to be missed
// in it: a worker may be that late.
const dueWithin = time.Minute

// read checks the flags, and finds the files.
func (c *replayCommand) read(now time.Time) (share float64, wanted func(device.ID) bool, keys journal.Keys, files []journal.File, err error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	share = -1
	if c.MaxDifferent != "" {
		text, percent := strings.CutSuffix(c.MaxDifferent, "%")
		v, err := strconv.ParseFloat(text, 64)
		if percent {
			v /= 100
		}
		if share = v; err != nil || !(v >= 0 && v <= 1) {
			fault("--max-different %q: expected a share such as 0.1%%", c.MaxDifferent)
		}
	}
	if c.Model == "" && (c.Plan != "" || c.MaxDifferent != "" || len(c.NoNew) > 0) {
		fault("--plan, --max-different and --no-new are about another model: expected --model")
	}
	faults = append(faults, cli.CheckPatterns(c.Device)...)
	if len(c.Device) > 0 {
		wanted = func(id device.ID) bool { return cli.Matches(c.Device, id.Name()) }
	}
	if c.Show < 0 {
		fault("--show %d: expected 0 or more", c.Show)
	}
	files, keys, err = c.open()
	faults = append(faults, err)
	if c.Last != "" {
		d, err := source.ParseDuration(c.Last)
		if err != nil || d <= 0 {
			fault("--last %q: expected how long, such as 2h or 7d", c.Last)
		}
		files = journal.Since(files, now.Add(-d))
	}
	return share, wanted, keys, files, errors.Join(faults...)
}

// knowNames finds names of --no-new that no model has: no device could ever get them.
func (c *replayCommand) knowNames(names map[string]bool) error {
	var faults []error
	for _, name := range c.NoNew {
		if names[name] {
			continue
		}
		hint := source.DidYouMean(name, slices.Sorted(maps.Keys(names)))
		if hint != "" {
			hint = " (" + hint + ")"
		}
		faults = append(faults, fmt.Errorf("--no-new %q: neither the model nor an earlier one has a state, activity, command, receiver, topic, pattern or alarm of this name%s", name, hint))
	}
	return errors.Join(faults...)
}

// config finds the models, and the names that --no-new may have.
func (c *replayCommand) config(ctx context.Context) (replay.Config, map[string]bool, error) {
	known, err := c.known()
	if err != nil {
		return replay.Config{}, nil, err
	}
	r := replay.Config{Model: known.byHash}
	if c.Output == "table" {
		r.Most = max(1, c.Show)
	}
	if c.Model == "" {
		return r, nil, nil
	}
	if r.New, err = c.find(ctx, c.Model); err != nil {
		return r, nil, err
	}
	given, err := c.plan(r.New, known)
	if err != nil {
		return r, nil, cli.Usage(err)
	}
	names := replay.Names(r.New)
	if len(c.NoNew) > 0 {
		for _, m := range known.all() {
			if m.Name() == r.New.Name() {
				maps.Copy(names, replay.Names(m))
			}
		}
	}
	r.Zones = zonedata.Record
	var one sync.Mutex // plans are derived once for each old model and worker
	r.Moves = func(old *devicefsm.Model) (*devicefsm.Migration, devicefsm.Plan, error) {
		one.Lock()
		defer one.Unlock()
		if given != nil {
			if given.From != old.Hash() {
				return nil, devicefsm.Plan{}, fmt.Errorf("the plan is for model %.12s, and not for %.12s", given.From, old.Hash())
			}
			return given.Migration, given.Plan, nil
		}
		p := plan.Derive(old, r.New)
		g, faults := devicefsm.NewMigration(old, r.New, p)
		if len(faults) > 0 {
			return nil, p, fmt.Errorf("a plan from model %.12s is needed (--plan; devicetwin model plan writes one): %s", old.Hash(), faults[0].Message)
		}
		return g, p, nil
	}
	return r, names, nil
}

func (c *replayCommand) plan(new *devicefsm.Model, known *knownModels) (*plan.Plan, error) {
	if c.Plan == "" {
		return nil, nil
	}
	src, err := os.ReadFile(c.Plan)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	parsed, err := plan.Parse(c.Plan, src)
	if err != nil {
		return nil, err
	}
	old, ok := known.byHash(parsed.From)
	if !ok {
		return nil, fmt.Errorf("%s: the plan leads from model %.12s, which is neither next to the journal nor in --models", c.Plan, parsed.From)
	}
	return plan.Read(c.Plan, src, old, new)
}

// knownModels are those that devices ran: of files, and of copies next to the journal.
type knownModels struct {
	copies *modelfile.Copies
	mu     sync.Mutex
	models map[string]*devicefsm.Model // nil: it is not there
}

func (c journalFlags) known() (*knownModels, error) {
	k := &knownModels{copies: modelfile.CopiesIn(filepath.Join(c.Journal, journal.ModelsFolder)), models: map[string]*devicefsm.Model{}}
	files, err := modelfile.List(c.Models)
	if err != nil {
		return nil, cli.Usage(err)
	}
	all, err := modelfile.Each(files, modelfile.Load)
	for _, m := range all {
		k.models[m.Hash()] = m
	}
	return k, cli.Usage(err)
}

func (k *knownModels) byHash(hash string) (*devicefsm.Model, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, known := k.models[hash]
	if !known {
		m, _ = k.copies.Load(hash) // the report says that it is not at hand
		k.models[hash] = m
	}
	return m, m != nil
}

// all are the models that are there, of files and of copies.
func (k *knownModels) all() []*devicefsm.Model {
	k.mu.Lock()
	defer k.mu.Unlock()
	list, _ := k.copies.All() // devices of one that cannot be read are not tried, which the report says
	for _, m := range k.models {
		if m != nil {
			list = append(list, m)
		}
	}
	return list
}

// verdict is the error of what is not as it should be.
func (c *replayCommand) verdict(r *replay.Report, share float64) error {
	switch {
	case r.Devices == 0:
		return errNothingReplayed
	case c.Model == "" && r.Different > 0:
		return fmt.Errorf("%w: %d of %d", errNotReproduced, r.Different, r.Devices)
	}
	var faults []error
	if share >= 0 && r.Share() > share {
		faults = append(faults, fmt.Errorf("%w: %s of the devices are different, allowed are %s", errTooDifferent, percent(r.Share()), c.MaxDifferent))
	}
	if n := notTried(r); n > 0 && (share >= 0 || len(c.NoNew) > 0) {
		faults = append(faults, fmt.Errorf("%w: %s could not be tried", errTooDifferent, cli.Count(n, "device")))
	}
	for _, name := range c.NoNew {
		if n := r.Added[name]; n > 0 {
			faults = append(faults, fmt.Errorf("%w: %s would get %s, which they did not get", errTooDifferent, cli.Count(n, "device"), name))
		}
	}
	return errors.Join(faults...)
}

func notTried(r *replay.Report) int {
	n := 0
	for _, devices := range r.NotTried {
		n += devices
	}
	return n
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 2, 64) + "%" }

// printed is the JSON of a report.
type printed struct {
	Model string `json:"model,omitempty"` // hash of the one that was tried
	*replay.Report
	Share float64 `json:"share"`
	journal.Damage
}

func (c *replayCommand) print(out io.Writer, r *replay.Report, damage journal.Damage) error {
	if c.Output == "json" {
		p := printed{Model: c.Model, Report: r, Share: r.Share(), Damage: damage}
		return cli.WriteJSON(out, p)
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("devices", "%d", r.Devices)
	row("different", "%d (%s)", r.Different, percent(r.Share()))
	row("entries", "%d", r.Entries)
	if !r.First.IsZero() {
		row("from", "%s", r.First.Format(time.RFC3339))
		row("to", "%s", r.Last.Format(time.RFC3339))
	}
	for _, n := range []struct {
		name  string
		count uint64
	}{{"missing entries", r.Missing}, {"skipped entries", r.Skipped}, {"numbers that began again", r.Restarts}, {"devices with another model", uint64(r.Others)}, {"files that are cut", uint64(damage.Cut)}, {"files that are damaged", uint64(len(damage.Damaged))}} {
		if n.count > 0 {
			row(n.name, "%d", n.count)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(r.NotTried)) {
		row("not tried", "%s: %s", cli.Count(r.NotTried[reason], "device"), cli.Printable(reason))
	}
	if len(r.Groups) > 0 {
		fmt.Fprint(t, "\nKIND\tRECORDED\tREPLAYED\tDEVICES\tFIRST\n")
	}
	for _, g := range r.Groups {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", g.Kind, short(g.Recorded), short(g.Replayed), g.Devices, g.First)
	}
	shown := r.Differences[:min(len(r.Differences), c.Show)]
	if len(shown) > 0 {
		fmt.Fprint(t, "\nDEVICE\tTIME\tEVENT\tKIND\tRECORDED\tREPLAYED\n")
	}
	for _, d := range shown {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Device, d.At.Format("2006-01-02T15:04:05.000Z07:00"), cmp.Or(cli.Printable(d.Event), "-"), d.Kind, short(d.Recorded), short(d.Replayed))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

const maxShown = 80 // bytes of one side of a difference in a table

func short(text string) string {
	return cmp.Or(cli.Printable(device.Clip(strings.ReplaceAll(text, "\n", " "), maxShown)), "-")
}
