package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"devicetwin/api"
	"devicetwin/device"
)

// Event is one server-sent event. Data is JSON, of the type that api names for
// the event's type.
type Event struct {
	ID   string
	Type string
	Data []byte
}

// Stream passes the changes of a device to handle, those after the event of the
// given id if it is not empty. It returns nil when the service ended the stream, and
// the error of handle.
func (c *Client) Stream(ctx context.Context, id device.ID, after string, handle func(Event) error) error {
	header := http.Header{"Accept": {"text/event-stream"}}
	if after != "" {
		header.Set("Last-Event-ID", after)
	}
	response, err := c.send(ctx, request{method: http.MethodGet, path: api.PathOf(id, "stream"), header: header})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := readEvents(response.Body, handle); err != nil {
		return fmt.Errorf("read stream of device %s: %w", id, err)
	}
	return nil
}

// maxEvent bounds one event: a device with all its shadows and commands.
const maxEvent = 16 << 20

// readEvents reads events as the HTML living standard (9.2) writes them, as far
// as the service uses it.
func readEvents(from io.Reader, handle func(Event) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxEvent)
	var e Event
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if e.Type != "" {
				if err := handle(e); err != nil {
					return err
				}
			}
			e = Event{}
		case name == "id":
			e.ID = value
		case name == "event":
			e.Type = value
		case name == "data":
			e.Data = append(e.Data, value...)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}
