package workflows

import (
	"context"
	"fmt"

	"devicetwin/twin/command"
)

// The methods of this file change one device. Each returns when the change is
// durable. Their errors wrap ErrUnknownDevice, ErrUnavailable, or are a
// *RefusedError.

// Desire changes desired properties.
func (c *Client) Desire(ctx context.Context, device string, by By, d Desire) (Desired, error) {
	r, err := c.operate(ctx, device, by, operation{Desire: &d})
	if err != nil {
		return Desired{}, fmt.Errorf("change desired properties of device %s: %w", device, err)
	}
	return *r.Desired, nil
}

// Command gives the device an order. What is returned is the command as it
// stands: it waits its turn.
func (c *Client) Command(ctx context.Context, device string, by By, o Order) (command.Command, error) {
	r, err := c.operate(ctx, device, by, operation{Command: &o})
	if err != nil {
		return command.Command{}, fmt.Errorf("order command %s of device %s: %w", o.Name, device, err)
	}
	return *r.Command, nil
}

// CommandStatus tells what became of a command. One that is not known, or not
// any more, is a *RefusedError with code 404.
func (c *Client) CommandStatus(ctx context.Context, device, id string) (command.Command, error) {
	view, err := c.Describe(ctx, device)
	if err != nil {
		return command.Command{}, err
	}
	found, ok := view.Commands.Find(id)
	if !ok {
		return command.Command{}, fmt.Errorf("find command of device %s: %w", device,
			&RefusedError{Code: 404, Message: fmt.Sprintf("no command %s is known", id)})
	}
	return found, nil
}

// CancelCommand takes back a command that has not ended.
func (c *Client) CancelCommand(ctx context.Context, device string, by By, id string) (command.Command, error) {
	r, err := c.operate(ctx, device, by, operation{Cancel: &cancelOperation{Command: id}})
	if err != nil {
		return command.Command{}, fmt.Errorf("cancel command of device %s: %w", device, err)
	}
	return *r.Command, nil
}

// SendEvent gives the state machine an event. Events that only the service or
// only the device may make are refused (409).
func (c *Client) SendEvent(ctx context.Context, device string, by By, e OperatorEvent) (EventTaken, error) {
	r, err := c.operate(ctx, device, by, operation{Event: &e})
	if err != nil {
		return EventTaken{}, fmt.Errorf("send event %s to device %s: %w", e.Name, device, err)
	}
	return *r.Taken, nil
}

// SetTags sets tags, and removes those that are nil. It returns all tags.
func (c *Client) SetTags(ctx context.Context, device string, by By, tags map[string]*string) (map[string]string, error) {
	r, err := c.operate(ctx, device, by, operation{Tags: &tagChanges{Set: tags}})
	if err != nil {
		return nil, fmt.Errorf("set tags of device %s: %w", device, err)
	}
	return r.Tags, nil
}

// Reprovision has the device reprovisioned: by its model, if that takes the event
// operator.reprovision, or else by the service.
func (c *Client) Reprovision(ctx context.Context, device string, by By, reason string) (Reprovisioning, error) {
	r, err := c.operate(ctx, device, by, operation{Reprovision: &reprovisionReason{Reason: reason}})
	if err != nil {
		return Reprovisioning{}, fmt.Errorf("reprovision device %s: %w", device, err)
	}
	return *r.Reprovisioning, nil
}

// Delete ends the device's workflow, and forgets all that it knew. A device that
// says something afterwards is a new one.
func (c *Client) Delete(ctx context.Context, device string, by By) error {
	if _, err := c.operate(ctx, device, by, operation{Delete: true}); err != nil {
		return fmt.Errorf("delete device %s: %w", device, err)
	}
	return nil
}
