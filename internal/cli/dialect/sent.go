package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// sent are the flags of what is sent to a device.
type sent struct {
	Command string            `help:"Show how this command is sent, with the data that follows." placeholder:"NAME"`
	Desired bool              `help:"Show how desired properties that follow are sent, a JSON object."`
	Device  string            `help:"The device, or kind/id of an entity of another kind." placeholder:"ID"`
	ID      string            `help:"The template by which the device's id was made, if that is not the dialect's own." name:"id" placeholder:"TEMPLATE"`
	Var     map[string]string `help:"A variable that the device's topics have and its id does not say." placeholder:"NAME=VALUE"`
	TTL     time.Duration     `help:"The command's time to live; with --command only." name:"ttl"`
}

// sends reports whether something is sent.
func (c *sent) sends() bool { return c.Command != "" || c.Desired }

// none reports flags that have no effect without --command or --desired.
func (c *sent) none() error {
	if c.Device != "" || c.ID != "" || len(c.Var) > 0 || c.TTL != 0 {
		return cli.Usage(errors.New("--device, --id, --var and --ttl: expected --command or --desired with them"))
	}
	return nil
}

// send prints what is published in the words of a dialect, a line for each, and what ends a
// command.
func (c *sent) send(out io.Writer, s *dialect.Set, d *dialect.Dialect, data string, at time.Time) error {
	if c.Device == "" {
		return cli.Usage(errors.New("expected --device, to which it is sent"))
	}
	id, err := device.Parse(c.Device)
	if err != nil {
		return cli.Usage(fmt.Errorf("--device: %w", err))
	}
	to, err := d.AddressOf(id, c.ID, c.Var)
	if err != nil {
		return cli.Usage(err)
	}
	if c.Command != "" && c.Desired {
		return cli.Usage(errors.New("expected --command or --desired"))
	}
	if c.Desired && c.TTL != 0 {
		return cli.Usage(errors.New("--ttl: expected --command with it: desired properties have no time to live"))
	}
	if c.Desired {
		if !isObject(data) {
			return cli.Usage(fmt.Errorf("desired properties %q: expected a JSON object, such as '{\"speed\": 7}'", data))
		}
		all, err := s.EncodeDesired(id, to, []byte(data))
		printSent(out, all)
		if err == nil && len(all) == 0 {
			err = errors.New("nothing is sent: the dialect has no words for it")
		}
		return err
	}
	if !device.ValidName(c.Command) {
		return cli.Usage(fmt.Errorf("command %q: expected 1 to %d letters, digits and ._-", c.Command, device.MaxEventName))
	}
	if at.IsZero() {
		at = time.Now()
	}
	sending, err := s.Encode(id, to, wire.Command{ID: dialect.SampleCommand, Name: c.Command, At: at, TTL: c.TTL, Data: dataOf(data)})
	if err != nil {
		return err
	}
	printSent(out, sending.Publications)
	switch {
	case sending.Done:
		fmt.Fprintln(out, "done when it is sent")
	case sending.Shows != nil:
		fmt.Fprintf(out, "done when the device reports %s\n", sending.Shows)
	default:
		fmt.Fprintln(out, "done when it is answered")
	}
	return nil
}

func printSent(out io.Writer, all []wire.Publication) {
	for _, p := range all {
		fmt.Fprintln(out, dialect.SentLine(p))
	}
}

func isObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

// dataOf is the data of a command: JSON, or a string. Nil: there is none.
func dataOf(text string) any {
	switch {
	case text == "":
		return nil
	case json.Valid([]byte(text)):
		return json.RawMessage(text)
	}
	return text
}
