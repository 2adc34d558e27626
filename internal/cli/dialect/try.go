package dialect

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/mqtt"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

type tryCommand struct {
	Dialect  string    `arg:"" name:"dialect" help:"File of a dialect, or the name of one that comes with devicetwin; several separated by commas."`
	Topic    string    `arg:"" optional:"" help:"Topic. With --command or --desired, the data: JSON, or a string."`
	Payload  string    `arg:"" optional:"" help:"Payload; - is standard input, as it is. One that begins with - and is not a number goes after --." default:"-"`
	Received time.Time `help:"When it is received, or the command is decided; by default now." placeholder:"TIME"`
	sent     `embed:""`
}

// Help is the rest of the command's help.
func (*tryCommand) Help() string {
	return "With --command or --desired it shows what a device is sent in the words of the first dialect. The exit status is 0, 1 if the message is refused, ignored, says nothing or is read by no dialect, or if there are no words for what is sent, or 2 if a file has errors or the topic is not valid."
}

// Run prints a line for each message, or why there is none.
func (c *tryCommand) Run(streams cli.Streams) error {
	all, err := names{strings.Split(c.Dialect, ",")}.load()
	if err != nil {
		return err
	}
	s, err := set(all...)
	if err != nil {
		return err
	}
	s.OnNote(func(note string) { fmt.Fprintln(streams.Err, "note: "+note) })
	if c.sends() && c.Payload != "-" {
		return cli.Usage(fmt.Errorf("%q: expected data in one argument", c.Payload))
	}
	if c.sends() {
		return c.send(streams.Out, s, all[0], c.Topic, c.Received)
	}
	if err := c.none(); err != nil {
		return err
	}
	if err := mqtt.CheckTopic(c.Topic); err != nil {
		return cli.Usage(err)
	}
	payload := []byte(c.Payload)
	if c.Payload == "-" {
		if payload, err = io.ReadAll(os.Stdin); err != nil {
			return fmt.Errorf("read the payload: %w", err)
		}
	}
	at := c.Received
	if at.IsZero() {
		at = time.Now()
	}
	received, err := s.Decode(c.Topic, payload, false, at.UTC())
	if refused := (*wire.Refused)(nil); errors.As(err, &refused) {
		return fmt.Errorf("topic %s: %w", c.Topic, err)
	}
	if err != nil {
		return fmt.Errorf("topic %s: %s", c.Topic, s.Why(c.Topic, payload, err))
	}
	for i := range received {
		fmt.Fprintln(streams.Out, dialect.Line(&received[i]))
	}
	return nil
}
