package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/internal/cli"
)

type devicesWatchCommand struct {
	ClientConfig
	EntityArg
}

// errGone ends a watch: the device was deleted.
var errGone = errors.New("the device is gone")

// Run follows the stream, and comes back to it when it ends.
func (c *devicesWatchCommand) Run(ctx context.Context, streams cli.Streams) error {
	from, err := c.client()
	if err != nil {
		return err
	}
	id, err := c.id()
	if err != nil {
		return err
	}
	var screen watcher = lineWatcher{streams.Out, time.Now}
	switch {
	case c.Output == "json":
		screen = jsonWatcher{streams.Out}
	case cli.IsTerminal(streams.Out):
		screen = &screenWatcher{out: streams.Out, from: from, device: id, now: time.Now}
	}
	err = follow(ctx, from, id, screen, streams.Err)
	if ctx.Err() != nil || errors.Is(err, errGone) {
		return nil
	}
	return err
}

// watcher shows events.
type watcher interface {
	show(ctx context.Context, e client.Event) error
}

// follow reads the stream, again and again. After the first connection, it
// waits for a service that is unavailable.
func follow(ctx context.Context, from *client.Client, id device.ID, screen watcher, complaints io.Writer) error {
	last, been := "", false
	const shortest, longest = time.Second, 15 * time.Second
	for wait := shortest; ; wait = min(2*wait, longest) {
		err := from.Stream(ctx, id, last, func(e client.Event) error {
			been, wait = true, shortest
			if e.ID != "" {
				last = e.ID
			}
			if e.Type == api.EventGone {
				return errors.Join(screen.show(ctx, e), errGone)
			}
			return screen.show(ctx, e)
		})
		var problem *client.Problem
		refused := errors.As(err, &problem) && problem.Status < 500 && problem.Status != 429
		if ctx.Err() != nil || errors.Is(err, errGone) || refused || !been {
			return err
		}
		if err != nil {
			fmt.Fprintf(complaints, "the stream broke off, and is asked for again: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// jsonWatcher writes one object a line.
type jsonWatcher struct{ out io.Writer }

func (w jsonWatcher) show(_ context.Context, e client.Event) error {
	raw, err := json.Marshal(struct {
		Type string          `json:"type"`
		ID   string          `json:"id,omitempty"`
		Data json.RawMessage `json:"data"`
	}{e.Type, e.ID, e.Data})
	if err != nil {
		return fmt.Errorf("write %s event: %w", e.Type, err)
	}
	_, err = fmt.Fprintf(w.out, "%s\n", raw)
	return err
}

// lineWatcher writes one line an event.
type lineWatcher struct {
	out io.Writer
	now func() time.Time
}

func (w lineWatcher) show(_ context.Context, e client.Event) error {
	_, err := fmt.Fprintf(w.out, "%s  %-10s %s\n", clock(w.now()), e.Type, eventText(e))
	return err
}

// eventText describes an event in a line.
func eventText(e client.Event) string {
	text := printable(string(e.Data))
	switch e.Type {
	case api.EventSnapshot:
		var d api.Device
		if json.Unmarshal(e.Data, &d) == nil {
			text = fmt.Sprintf("%s, %s, twin version %d", d.State, d.Connection, d.Twin.Version)
		}
	case api.EventState:
		var s api.StateChange
		if json.Unmarshal(e.Data, &s) == nil {
			text = s.State
			if t := s.Transition; t != nil {
				text = fmt.Sprintf("%s -> %s on %s (%s)", orNone(t.From), t.To, t.Event, causeText(t.Cause))
			}
		}
	case api.EventTwin:
		var t api.TwinChange
		if json.Unmarshal(e.Data, &t) == nil {
			text = strings.TrimSpace(fmt.Sprintf("%s version %d, delta %s", printable(t.Shadow), t.Version, jsonText(t.Delta)))
		}
	case api.EventCommand:
		var c api.Command
		if json.Unmarshal(e.Data, &c) == nil {
			text = strings.TrimSpace(fmt.Sprintf("%s (%s) %s %s", c.Name, c.ID, c.Status, printable(c.Reason)))
		}
	case api.EventConnection:
		var c api.ConnectionChange
		if json.Unmarshal(e.Data, &c) == nil {
			text = c.Connection
		}
	case api.EventProblem, api.EventEnd:
		var t api.Trouble
		if json.Unmarshal(e.Data, &t) == nil {
			text = t.Detail
		}
	case api.EventGone:
		text = errGone.Error()
	}
	return text
}

// screenWatcher redraws the whole device, with the newest events below it.
type screenWatcher struct {
	out    io.Writer
	from   *client.Client
	device device.ID
	now    func() time.Time

	last   api.Device
	recent []string
}

const shownEvents = 10

func (w *screenWatcher) show(ctx context.Context, e client.Event) error {
	if e.Type == api.EventSnapshot {
		if err := json.Unmarshal(e.Data, &w.last); err != nil {
			return fmt.Errorf("read the device: %w", err)
		}
	} else {
		w.recent = append(w.recent, fmt.Sprintf("%s  %-10s %s", w.now().Format("15:04:05"), e.Type, eventText(e)))
		w.recent = w.recent[max(0, len(w.recent)-shownEvents):]
		// The events tell what changed, the device how it all is now.
		if shown, err := w.from.Device(ctx, w.device); err == nil {
			w.last = shown
		}
	}
	return w.draw()
}

// draw writes over what stood there: home, each line with its rest cleared, and
// then everything below.
func (w *screenWatcher) draw() error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	deviceDetails(table, w.last)
	if err := table.Flush(); err != nil {
		return err
	}
	text.WriteString("\n" + strings.Join(w.recent, "\n"))
	lines := strings.ReplaceAll(strings.TrimRight(text.String(), "\n"), "\n", "\x1b[K\n")
	_, err := fmt.Fprintf(w.out, "\x1b[H%s\x1b[K\n\x1b[J", lines)
	return err
}
