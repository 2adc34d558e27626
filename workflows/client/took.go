package client

import (
	"context"
	"errors"
	"fmt"

	"devicetwin/device"
)

// Took reports whether the workflow of a device has taken the message at a position in a log, or
// a later one of that log: see device.Batch. False: it has not, or there is no such workflow. It is
// also an error that the workflow keeps no positions: its run began under earlier rules.
func (c *Client) Took(ctx context.Context, id device.ID, log string, position int64) (bool, error) {
	view, err := c.Snapshot(ctx, id)
	switch {
	case errors.Is(err, device.ErrUnknown):
		return false, nil
	case err != nil:
		return false, err
	case len(view.Delivery.Logs) == 0:
		return false, fmt.Errorf("device %s: its workflow keeps no positions", id)
	}
	for _, l := range view.Delivery.Logs {
		if l.Log == log {
			return l.Pos >= position, nil
		}
	}
	return false, nil
}
