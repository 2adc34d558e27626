package credentials

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/internal/credentials"
)

type importCommand struct {
	File     string `arg:"" help:"List of devices: JSON, an object on each line, or CSV with a header; - for standard input. Of a device: device (its id), site, model, tags (in CSV: tag.NAME) and sha256, hashes of random passwords that it has."`
	Generate bool   `help:"Generate a password for each device that has no credentials, and print it." env:"-"`
	URL      string `name:"api-url" help:"Address of the API, to set the tags of devices that have a twin; without it, tags are only kept with the credentials." placeholder:"URL" group:"API"`
	Token    string `name:"api-token" help:"Token for the API. Prefer the environment variable." group:"API"`
	store
}

const (
	importBatch = 500
	// progressEvery is the interval of lines that say how far an import is.
	progressEvery = 2 * time.Second
	// tagging is how many devices get their tags at once.
	tagging = 8
)

// Run imports. Run again with the same list, it changes nothing: so it goes on where
// it was interrupted.
func (c *importCommand) Run(ctx context.Context, streams cli.Streams) error {
	records, err := c.read()
	if err != nil {
		return err
	}
	var twins *client.Client
	if c.URL != "" {
		if twins, err = client.New(c.URL, c.Token); err != nil {
			return cli.Usage(fmt.Errorf("--api-url: %w", err))
		}
	}
	to, err := c.open()
	if err != nil {
		return err
	}
	defer to.Close()
	run := importing{to: to, generate: c.Generate, out: streams.Out, notes: streams.Err, outcomes: map[credentials.Outcome]int{}}
	if twins != nil {
		run.twins = &tagger{api: twins}
	}
	err = run.all(ctx, records)
	run.summarize(len(records))
	return err
}

func (c *importCommand) read() ([]credentials.Record, error) {
	in, name := io.Reader(os.Stdin), "standard input"
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, cli.Usage(err)
		}
		defer file.Close()
		in, name = file, c.File
	}
	records, err := readList(name, in)
	return records, cli.Usage(err)
}

// importing is one run.
type importing struct {
	to       credentials.Store
	generate bool
	out      io.Writer // gets the passwords
	notes    io.Writer
	twins    *tagger // nil: no tags are set

	done      int
	outcomes  map[credentials.Outcome]int
	generated int
}

func (r *importing) all(ctx context.Context, records []credentials.Record) error {
	said := time.Now()
	for batch := range slices.Chunk(records, importBatch) {
		if err := r.batch(ctx, batch); err != nil {
			return err
		}
		if r.done += len(batch); time.Since(said) > progressEvery && r.done < len(records) {
			said = time.Now()
			fmt.Fprintf(r.notes, "%d of %d devices\n", r.done, len(records))
		}
	}
	return nil
}

func (r *importing) batch(ctx context.Context, batch []credentials.Record) error {
	fresh := map[device.ID]bool{}
	if r.generate {
		var err error
		if fresh, err = r.passwords(ctx, batch); err != nil {
			return err
		}
	}
	outcomes, err := r.to.Import(ctx, batch)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		r.outcomes[o]++
		id := batch[i].Device
		switch {
		case fresh[id] && o != credentials.Created:
			fmt.Fprintf(r.notes, "device %s got credentials meanwhile: the password that was printed for it is not good\n", id)
		case fresh[id]:
			r.generated++
		}
	}
	if r.twins == nil {
		return nil
	}
	return r.twins.tag(ctx, batch)
}

// passwords generates those of devices that have none. They are printed before the
// store knows them: after a crash there is at worst a password that is not good, and
// the next run prints another one; but no device whose password nobody has.
func (r *importing) passwords(ctx context.Context, batch []credentials.Record) (fresh map[device.ID]bool, err error) {
	ids := make([]device.ID, len(batch))
	for i, e := range batch {
		ids[i] = e.Device
	}
	known, err := r.to.Get(ctx, ids)
	if err != nil {
		return nil, err
	}
	fresh = map[device.ID]bool{}
	out := json.NewEncoder(r.out)
	for i, e := range batch {
		was := known[e.Device]
		if len(e.Issued) > 0 || !e.Revoked.IsZero() || len(was.Issued) > 0 || !was.Revoked.IsZero() {
			continue
		}
		id := "first-" + rand.Text()
		secret, hash := credentials.NewSecret()
		batch[i].Issued = []credentials.Credential{{ID: id, At: time.Now().UTC(), Hashes: []string{hash}}}
		fresh[e.Device] = true
		if err := out.Encode(issued{id, string(e.Device), secret}); err != nil {
			return nil, fmt.Errorf("print a password: %w", err)
		}
	}
	if file, ok := r.out.(*os.File); ok && len(fresh) > 0 {
		_ = file.Sync() // a terminal or a pipe has nothing to write to a disk
	}
	return fresh, nil
}

func (r *importing) summarize(all int) {
	var parts []string
	for _, o := range credentials.Outcomes {
		if n := r.outcomes[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	fmt.Fprintf(r.notes, "%d of %s: %s\n", r.done, cli.Count(all, "device"), orDash(strings.Join(parts, ", ")))
	if r.generated > 0 {
		fmt.Fprintf(r.notes, "%s printed: they can't be printed again.\n", cli.Count(r.generated, "password"))
	}
	if n := r.outcomes[credentials.Revoked]; n > 0 {
		fmt.Fprintf(r.notes, "%s left as it is: only devicetwin credentials issue lets a revoked device in again.\n", cli.Count(n, "device"))
	}
	if r.twins != nil {
		fmt.Fprintf(r.notes, "Tags of %s set.\n", cli.Count(r.twins.set, "twin"))
		if n := r.twins.missing; n > 0 {
			fmt.Fprintf(r.notes, "%s without a twin: a device gets one with its first message. Run the import again then, to set their tags.\n", cli.Count(n, "device"))
		}
	}
}

// tagger sets the tags of twins.
type tagger struct {
	api *client.Client

	mu           sync.Mutex
	set, missing int
}

// tag sets the tags of devices that have a twin, where they are others.
func (t *tagger) tag(ctx context.Context, batch []credentials.Record) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(tagging)
	for _, e := range batch {
		if len(e.Tags) > 0 {
			all.Go(func() error { return t.one(ctx, e.Device, e.Tags) })
		}
	}
	return all.Wait()
}

func (t *tagger) one(ctx context.Context, id device.ID, tags map[string]string) error {
	is, err := t.api.Device(ctx, id)
	if err == nil && !maps.Equal(is.Tags, tags) {
		if err = t.api.SetTags(ctx, id, tags); err == nil {
			t.count(&t.set)
		}
	}
	var problem *client.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		t.count(&t.missing)
		return nil
	}
	if err != nil {
		return fmt.Errorf("set the tags of device %s: %w", id, err)
	}
	return nil
}

func (t *tagger) count(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}
