// Package tap is the command that shows what arrives at a broker now, and what the service
// makes of it.
package tap

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"devicetwin/devicefsm"
	"devicetwin/dialects"
	"devicetwin/internal/cli"
	"devicetwin/internal/modelfile"
	"devicetwin/mqtt"
	"devicetwin/service"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// Command is "devicetwin tap".
type Command struct {
	MQTT        service.BrokerConfig `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	TopicPrefix string               `name:"mqtt-topic-prefix" help:"First level, or levels, of the service's own topics." group:"MQTT broker" placeholder:"PREFIX"`
	Dialect     []string             `help:"Dialects to read with: names of those that come with devicetwin, or files." placeholder:"NAME|FILE"`
	Model       string               `help:"Model file: shows which event a message is, and whether it would be left out." placeholder:"FILE"`
	Filter      []string             `short:"f" env:"-" help:"Topic filters. Default: those of the dialects, and with --suggest everything." placeholder:"FILTER"`
	Count       int                  `short:"n" env:"-" help:"End after so many messages; 0 for no end." default:"0"`
	For         time.Duration        `env:"-" help:"End after this time; 0s for no end. With --suggest, 30s unless told otherwise." placeholder:"DURATION"`
	Suggest     bool                 `env:"-" help:"At the end, print a proposal of a dialect for the topics that nothing reads; the messages go to standard error."`

	dial func(mqtt.Config) (mqtt.Dialer, error) // of a test
}

// New is the command with its defaults.
func New(c service.Config) Command {
	return Command{MQTT: c.MQTT.BrokerConfig, TopicPrefix: c.MQTT.TopicPrefix}
}

// suggestFor is how long topics are looked at for a proposal, unless told otherwise.
const suggestFor = 30 * time.Second

// Help is the rest of the command's help.
func (*Command) Help() string {
	return "The exit status is 0, 1 if there was no connection with a subscription, or 2 if settings, dialects or the model have errors."
}

// Run prints a line for each message, until it is told to stop.
func (c *Command) Run(ctx context.Context, streams cli.Streams) error {
	reader, err := c.reader()
	if err != nil {
		return cli.Usage(err)
	}
	reader.set.OnNote(func(note string) { fmt.Fprintln(streams.Err, "note: "+note) })
	filters, err := c.filters(reader.set)
	if err != nil {
		return cli.Usage(err)
	}
	client := c.client()
	dial, err := c.dialer(client)
	if err != nil {
		return cli.Usage(err)
	}
	lasts := c.For
	if lasts == 0 && c.Suggest && c.Count == 0 {
		lasts = suggestFor
	}
	if lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lasts)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := &tapping{reader: reader, out: streams.Out, dial: dial, filters: filters, left: c.Count, stop: stop}
	if c.Suggest { // the output is the proposal alone: people send it to a file
		t.out = streams.Err
	}
	fmt.Fprintf(streams.Err, "listening on %s for %s; press Ctrl-C to stop\n", strings.Join(c.MQTT.URL, ", "), strings.Join(filters, ", "))
	mqtt.NewConnector(client, t, slog.New(slog.NewTextHandler(streams.Err, nil))).Run(ctx)
	t.summary(streams.Err)
	switch {
	case t.failed != nil:
		return t.failed
	case !t.subscribed:
		return fmt.Errorf("listen on %s: there was no connection with a subscription", strings.Join(c.MQTT.URL, ", "))
	case c.Suggest:
		_, err = io.WriteString(streams.Out, reader.suggestion())
	}
	return err
}

// reader is what messages are read with.
func (c *Command) reader() (*reader, error) {
	var faults []error
	all, err := modelfile.Each(c.Dialect, dialects.Load)
	faults = append(faults, err)
	var model *devicefsm.Model
	if c.Model != "" {
		models, err := modelfile.Each([]string{c.Model}, modelfile.Load)
		if faults = append(faults, err); err == nil {
			model = models[0]
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	cfg := wire.DefaultConfig()
	cfg.Prefix = c.TopicPrefix
	set, err := dialect.NewSet(cfg, all...)
	if err != nil {
		return nil, err
	}
	return newReader(set, model), nil
}

func (c *Command) filters(set *dialect.Set) ([]string, error) {
	switch {
	case len(c.Filter) > 0:
		for _, f := range c.Filter {
			if err := mqtt.CheckFilter(f); err != nil {
				return nil, fmt.Errorf("topic filter %q: %w", f, err)
			}
		}
		return c.Filter, nil
	case c.Suggest:
		return []string{"#"}, nil
	}
	return set.Filters(), nil
}

// client is one of its own, whose session ends with it.
func (c *Command) client() mqtt.Config {
	return c.MQTT.Client().Named("devicetwin-tap-" + crand.Text()[:8])
}

func (c *Command) dialer(cfg mqtt.Config) (mqtt.Dialer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if c.dial != nil {
		return c.dial(cfg)
	}
	return mqtt.NewDialer(cfg, mqtt.CleanSession, nil)
}

// tapping is a connection to the broker over all its losses.
type tapping struct {
	reader  *reader
	out     io.Writer
	dial    mqtt.Dialer
	filters []string
	left    int // messages until the end; 0: there is none
	stop    func()
	failed  error // to write

	subscribed bool // at least once
}

func (t *tapping) Dial(ctx context.Context) mqtt.Conn { return t.dial(ctx, t.receive) }

func (t *tapping) Up(ctx context.Context, c mqtt.Conn, _ bool) error {
	if err := c.Subscribe(ctx, t.filters); err != nil {
		return err
	}
	t.subscribed = true
	return nil
}

func (t *tapping) Drain(mqtt.Conn) time.Duration { return 0 }

func (t *tapping) Down(mqtt.Conn) {}

func (t *tapping) receive(ctx context.Context, m mqtt.Message) {
	if m.Ack != nil {
		m.Ack()
	}
	if ctx.Err() != nil || t.failed != nil {
		return
	}
	if _, err := io.WriteString(t.out, t.reader.line(m)); err != nil {
		t.failed = fmt.Errorf("print what was received: %w", err)
		t.stop()
		return
	}
	if t.left--; t.left == 0 {
		t.stop()
	}
}

// summary says how many messages there were of each kind.
func (t *tapping) summary(w io.Writer) {
	fmt.Fprintln(w, t.reader.counts())
}
