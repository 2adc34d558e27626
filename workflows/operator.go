package workflows

import (
	"context"
	"fmt"

	"devicetwin/device"
	"devicetwin/twin/command"
)

// The methods of this file change one device. Each returns when the change is
// durable. Their errors wrap device.ErrUnknown, device.ErrUnavailable, or are a
// *device.Refused.

// Desire changes desired properties.
func (c *Client) Desire(ctx context.Context, id device.ID, by device.By, d Desire) (Desired, error) {
	r, err := c.operate(ctx, id, by, operation{Desire: &d})
	if err != nil {
		return Desired{}, fmt.Errorf("change desired properties of device %s: %w", id, err)
	}
	return *r.Desired, nil
}

// Command gives the device an order. What is returned is the command as it
// stands: it waits its turn.
func (c *Client) Command(ctx context.Context, id device.ID, by device.By, o Order) (command.Command, error) {
	r, err := c.operate(ctx, id, by, operation{Command: &o})
	if err != nil {
		return command.Command{}, fmt.Errorf("order command %s of device %s: %w", o.Name, id, err)
	}
	return *r.Command, nil
}

// CommandStatus tells what became of a command. One that is not known, or not
// any more, is a *device.Refused with code 404.
func (c *Client) CommandStatus(ctx context.Context, id device.ID, commandID string) (command.Command, error) {
	view, err := c.Describe(ctx, id)
	if err != nil {
		return command.Command{}, err
	}
	found, ok := view.Commands.Find(commandID)
	if !ok {
		return command.Command{}, fmt.Errorf("find command of device %s: %w", id, refusedCommand(commandID))
	}
	return found, nil
}

func refusedCommand(id string) error {
	return device.Refuse(404, "no such command of this id, or it was forgotten: %s", id)
}

// CancelCommand takes back a command that has not ended.
func (c *Client) CancelCommand(ctx context.Context, id device.ID, by device.By, commandID string) (command.Command, error) {
	r, err := c.operate(ctx, id, by, operation{Cancel: &cancelOperation{Command: commandID}})
	if err != nil {
		return command.Command{}, fmt.Errorf("cancel command of device %s: %w", id, err)
	}
	return *r.Command, nil
}

// SendEvent gives the state machine an event. Events that only the service or
// only the device may make are refused (409).
func (c *Client) SendEvent(ctx context.Context, id device.ID, by device.By, e OperatorEvent) (EventTaken, error) {
	r, err := c.operate(ctx, id, by, operation{Event: &e})
	if err != nil {
		return EventTaken{}, fmt.Errorf("send event %s to device %s: %w", e.Name, id, err)
	}
	return *r.Taken, nil
}

// SetTags sets tags, and removes those that are nil. It returns all tags.
func (c *Client) SetTags(ctx context.Context, id device.ID, by device.By, tags map[string]*string) (map[string]string, error) {
	return c.changeTags(ctx, id, by, tagChanges{Set: tags})
}

// ReplaceTags makes these the device's only tags, in one operation.
func (c *Client) ReplaceTags(ctx context.Context, id device.ID, by device.By, tags map[string]string) error {
	in := tagChanges{Set: make(map[string]*string, len(tags)), Replace: true}
	for key, value := range tags {
		in.Set[key] = &value
	}
	_, err := c.changeTags(ctx, id, by, in)
	return err
}

func (c *Client) changeTags(ctx context.Context, id device.ID, by device.By, in tagChanges) (map[string]string, error) {
	r, err := c.operate(ctx, id, by, operation{Tags: &in})
	if err != nil {
		return nil, fmt.Errorf("set tags of device %s: %w", id, err)
	}
	return r.Tags, nil
}

// Reprovision has the device reprovisioned: by its model, if that takes the event
// operator.reprovision, or else by the service.
func (c *Client) Reprovision(ctx context.Context, id device.ID, by device.By, reason string) (Reprovisioning, error) {
	r, err := c.operate(ctx, id, by, operation{Reprovision: &reprovisionReason{Reason: reason}})
	if err != nil {
		return Reprovisioning{}, fmt.Errorf("reprovision device %s: %w", id, err)
	}
	return *r.Reprovisioning, nil
}

// Delete ends the device's workflow, and forgets all that it knew. A device that
// says something afterwards is a new one.
func (c *Client) Delete(ctx context.Context, id device.ID, by device.By) error {
	if _, err := c.operate(ctx, id, by, operation{Delete: true}); err != nil {
		return fmt.Errorf("delete device %s: %w", id, err)
	}
	return nil
}
