package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/internal/cli"
)

// ModelCommands are the commands of "devicetwin model" that ask the registry of models.
type ModelCommands struct {
	Push    modelPushCommand    `cmd:"" help:"Push a version of a model to the registry, through the API."`
	List    modelListCommand    `cmd:"" help:"List the models of the registry, and how many devices run each version."`
	Show    modelShowCommand    `cmd:"" help:"Show a model of the registry with its versions, or one version with its source."`
	Default modelDefaultCommand `cmd:"" help:"Say with which version of a model new devices start."`
	Rules   modelRulesCommand   `cmd:"" help:"Show which devices start with which model, or replace these rules by those of a file."`
	Remove  modelRemoveCommand  `cmd:"" help:"Remove a version that no device runs, and none starts with, from the registry."`
	Changes modelChangesCommand `cmd:"" help:"Show the last changes of the registry: who made them, when and why."`
}

// changeFlags are those of each change of the registry.
type changeFlags struct {
	Note     string `env:"-" help:"Why; it is kept with the change." placeholder:"TEXT"`
	Revision *int64 `env:"-" help:"Only if the model, or the rules, have this revision." placeholder:"N"`
}

func (f changeFlags) of(change api.ModelChange) (api.ModelChange, error) {
	revision, err := given("--revision", f.Revision)
	if err != nil {
		return change, cli.Usage(err)
	}
	change.Note = f.Note
	if revision != 0 {
		change.Expected = uint64(revision)
	}
	return change, nil
}

// makeChange makes a change, and says what it did.
func (c ClientConfig) makeChange(ctx context.Context, streams cli.Streams, flags changeFlags, change api.ModelChange, say func(api.ModelChanged) string) error {
	change, err := flags.of(change)
	if err != nil {
		return err
	}
	send := func(to *client.Client) (api.ModelChanged, error) { return to.ChangeModels(ctx, change) }
	return ask(c, streams.Out, send, func(w io.Writer, done api.ModelChanged) {
		fmt.Fprintf(w, "%s, revision %d\n", say(done), done.Revision)
	})
}

func said(done api.ModelChanged, news, was string) string {
	if !done.Created {
		news = was
	}
	return modelText(done.Model, done.Version, done.Hash) + " " + news
}

type modelPushCommand struct {
	ClientConfig
	changeFlags
	File string `arg:"" help:"Model file."`
}

// Run pushes the file. Faults have their places in it.
func (c *modelPushCommand) Run(ctx context.Context, streams cli.Streams) error {
	src, err := os.ReadFile(c.File)
	if err != nil {
		return cli.Usage(fmt.Errorf("read model: %w", err))
	}
	if !utf8.Valid(src) {
		return cli.Usage(fmt.Errorf("%s: expected UTF-8", c.File))
	}
	change := api.ModelChange{Push: &api.ModelFile{File: filepath.Base(c.File), Source: string(src)}}
	err = c.makeChange(ctx, streams, c.changeFlags, change, func(done api.ModelChanged) string {
		return said(done, "is pushed", "is the same, and is there already")
	})
	return placed(err, c.File)
}

// placed puts the name of a file before the places of faults in its source.
func placed(err error, file string) error {
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return err
	}
	found := false
	for i := range problem.Errors {
		if place, ok := strings.CutPrefix(problem.Errors[i].Location, "body.source"); ok {
			problem.Errors[i].Location = file + place
			found = true
		}
	}
	if found {
		return cli.Usage(err)
	}
	return err
}

type modelListCommand struct{ ClientConfig }

// Run lists the models.
func (c *modelListCommand) Run(ctx context.Context, streams cli.Streams) error {
	list := func(from *client.Client) (api.ModelList, error) { return from.CountedModels(ctx) }
	return ask(c.ClientConfig, streams.Out, list, func(w io.Writer, list api.ModelList) {
		fmt.Fprintln(w, "MODEL\tKIND\tDEFAULT\tHASH\tNEWEST\tVERSIONS\tDEVICES")
		for _, m := range list.Models {
			fmt.Fprintf(w, "%s\t%s\t%d\t%.12s\t%d\t%d\t%s\n", m.Name, m.Kind, m.Default, m.DefaultHash, m.Newest, m.Versions, runningText(m.Running))
		}
	})
}

// runningText is how many devices run each version: 12 on @1, 88 on @3.
func runningText(all []api.RunningVersion) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = fmt.Sprintf("%d on @%d", v.Devices, v.Version)
	}
	return orNone(strings.Join(words, ", "))
}

type modelShowCommand struct {
	ClientConfig
	Model  string `arg:"" help:"NAME, or NAME@VERSION for one version with its source; for VERSION also 8 or more digits of its hash."`
	Source bool   `env:"-" help:"Write only the source, of the default version if none is named."`
}

// Run shows a model or a version.
func (c *modelShowCommand) Run(ctx context.Context, streams cli.Streams) error {
	from, err := c.client()
	if err != nil {
		return err
	}
	name, version, one := strings.Cut(c.Model, "@")
	if !one {
		m, err := from.CountedModel(ctx, name)
		if err != nil {
			return err
		}
		if !c.Source {
			return c.show(streams.Out, m, func(w io.Writer) { versionTable(w, m) })
		}
		version = strconv.Itoa(m.Default)
	}
	v, err := from.ModelVersion(ctx, name, version)
	switch {
	case err != nil:
		return err
	case c.Source:
		if _, err := io.WriteString(streams.Out, v.Source); err != nil {
			return fmt.Errorf("write the source of %s: %w", c.Model, err)
		}
		return nil
	}
	return c.show(streams.Out, v, func(w io.Writer) { versionDetails(w, v) })
}

func versionTable(w io.Writer, m api.Model) {
	fmt.Fprintf(w, "model\t%s\nkind\t%s\nrevision\t%d\n\nVERSION\tHASH\tDEVICES\tPUSHED\tBY\tFILE\tNOTE\n", m.Name, m.Kind, m.Revision)
	for _, v := range m.Versions {
		number := strconv.Itoa(v.Version)
		if v.Version == m.Default {
			number += " (default)"
		}
		devices := "-"
		if v.Devices != nil {
			devices = strconv.Itoa(*v.Devices)
		}
		fmt.Fprintf(w, "%s\t%.12s\t%s\t%s\t%s\t%s\t%s\n", number, v.Hash, devices, clock(v.At), orNone(printable(v.Who)), printable(v.File), orNone(printable(v.Note)))
	}
}

func versionDetails(w io.Writer, v api.ModelText) {
	number := strconv.Itoa(v.Version)
	if v.Default {
		number += " (default)"
	}
	fmt.Fprintf(w, "model\t%s\nversion\t%s\nhash\t%s\npushed\t%s\nby\t%s\nfile\t%s\nnote\t%s\n\n%s", v.Model, number, v.Hash,
		clock(v.At), orNone(printable(v.Who)), printable(v.File), orNone(printable(v.Note)), v.Source)
}

// versionArg is a version of a model by its number.
type versionArg struct {
	Version string `arg:"" name:"model@version" help:"NAME@VERSION, such as pump@3."`
}

func (a versionArg) version() (api.VersionOfModel, error) {
	name, text, ok := strings.Cut(a.Version, "@")
	number, err := strconv.Atoi(text)
	if !ok || err != nil || name == "" || number < 1 {
		return api.VersionOfModel{}, cli.Usage(fmt.Errorf("%q: expected NAME@VERSION, such as pump@3", a.Version))
	}
	return api.VersionOfModel{Model: name, Version: number}, nil
}

type modelDefaultCommand struct {
	ClientConfig
	changeFlags
	versionArg
}

// Run makes the version the default of its model.
func (c *modelDefaultCommand) Run(ctx context.Context, streams cli.Streams) error {
	ref, err := c.version()
	if err != nil {
		return err
	}
	return c.makeChange(ctx, streams, c.changeFlags, api.ModelChange{Default: &ref}, func(done api.ModelChanged) string {
		return said(done, "is the default now", "is the default already")
	})
}

type modelRemoveCommand struct {
	ClientConfig
	changeFlags
	versionArg
}

// Run removes the version.
func (c *modelRemoveCommand) Run(ctx context.Context, streams cli.Streams) error {
	ref, err := c.version()
	if err != nil {
		return err
	}
	return c.makeChange(ctx, streams, c.changeFlags, api.ModelChange{Remove: &ref}, func(done api.ModelChanged) string {
		return said(done, "is removed", "is removed")
	})
}

type modelRulesCommand struct {
	ClientConfig
	changeFlags
	File string `arg:"" optional:"" help:"JSON file with all rules, as --output json shows them; - for standard input. If it has a revision, the rules must have it. Without a file, the rules are shown."`
}

var errRulesShown = errors.New("--note and --revision are for a change: devicetwin model rules FILE")

// Run shows the rules, or replaces them.
func (c *modelRulesCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.File == "" {
		if c.Note != "" || c.Revision != nil {
			return cli.Usage(errRulesShown)
		}
		rules := func(from *client.Client) (api.ModelRules, error) { return from.ModelRules(ctx) }
		return ask(c.ClientConfig, streams.Out, rules, ruleTable)
	}
	rules, err := readRules(c.File, os.Stdin)
	if err != nil {
		return cli.Usage(err)
	}
	change := api.ModelChange{Rules: &rules, Expected: rules.Revision}
	return c.makeChange(ctx, streams, c.changeFlags, change, func(api.ModelChanged) string { return "the rules are replaced" })
}

func readRules(file string, stdin io.Reader) (rules api.ModelRules, err error) {
	raw, err := readInput(file, stdin)
	if err != nil {
		return rules, err
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	in.DisallowUnknownFields()
	if err = in.Decode(&rules); err == nil && in.More() {
		err = errors.New("there is something after the rules")
	}
	if err != nil {
		return rules, fmt.Errorf("rules of %s: %w", file, err)
	}
	return rules, nil
}

func ruleTable(w io.Writer, rules api.ModelRules) {
	fmt.Fprintf(w, "revision\t%d\n\nOF\tIDS\tMODEL\n", rules.Revision)
	for _, name := range slices.Sorted(maps.Keys(rules.Sources)) {
		of := rules.Sources[name]
		for _, rule := range of.Rules {
			fmt.Fprintf(w, "%s\t%s\t%s\n", name, printable(rule.Pattern), printable(rule.Model))
		}
		fmt.Fprintf(w, "%s\tothers\t%s\n", name, orNone(printable(of.Model)))
	}
	for _, kind := range slices.Sorted(maps.Keys(rules.Kinds)) {
		fmt.Fprintf(w, "kind %s\tall\t%s\n", kind, printable(rules.Kinds[kind]))
	}
}

type modelChangesCommand struct {
	ClientConfig
	Limit int `env:"-" help:"Maximum number of changes." default:"20"`
}

// Run shows the changes, the newest first.
func (c *modelChangesCommand) Run(ctx context.Context, streams cli.Streams) error {
	changes := func(from *client.Client) (api.ModelChanges, error) { return from.ModelChanges(ctx, c.Limit) }
	return ask(c.ClientConfig, streams.Out, changes, func(w io.Writer, list api.ModelChanges) {
		fmt.Fprintln(w, "TIME\tBY\tWHAT\tMODEL\tREVISION\tNOTE")
		for _, r := range list.Changes {
			model := "-"
			if r.Model != "" {
				model = modelText(r.Model, r.Version, r.Hash)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", clock(r.At), orNone(printable(r.Who)), r.What, model, r.Revision, orNone(printable(r.Note)))
		}
	})
}
