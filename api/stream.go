package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type streamInput struct {
	DeviceParam
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"Id of the last event received: later events are sent again if they are still available; otherwise the stream begins with a snapshot."`
}

type streamOutput struct {
	Body func(huma.Context)
}

func (s *Server) registerStream(api huma.API, op huma.Operation) {
	op.Description = "Server-sent events, each with an id, a type and JSON as data: snapshot (the whole device, first), " +
		"state, twin, command, connection, tags, problem (the device cannot be read now), and, at the end of the " +
		"stream, gone (it was deleted) or end. A device is polled once per second; every transition is sent, even if several happened " +
		"between two polls, for anything else the newest value."
	registry := api.OpenAPI().Components.Schemas
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Events, until the client or the service ends the stream.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: eventsSchema(registry)}},
	}}
	op.Errors = append(op.Errors, http.StatusTooManyRequests)
	both(api, op, s.streamDevice)
}

// eventTypes are the types of the data of each type of events.
var eventTypes = []struct {
	name string
	data reflect.Type
}{
	{EventSnapshot, reflect.TypeFor[Device]()}, {EventState, reflect.TypeFor[StateChange]()}, {EventTwin, reflect.TypeFor[TwinChange]()},
	{EventCommand, reflect.TypeFor[Command]()}, {EventConnection, reflect.TypeFor[ConnectionChange]()}, {EventTags, reflect.TypeFor[map[string]string]()},
	{EventProblem, reflect.TypeFor[Trouble]()}, {EventGone, reflect.TypeFor[struct{}]()}, {EventEnd, reflect.TypeFor[Trouble]()},
}

// eventsSchema describes a stream as huma's own do: as a list of its events. OpenAPI 3.1
// knows no streams.
func eventsSchema(registry huma.Registry) *huma.Schema {
	one := &huma.Schema{}
	for _, t := range eventTypes {
		fields := map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Enum: []any{t.name}, Description: "Type of the event."},
			"data":  registry.Schema(t.data, true, t.data.Name()),
		}
		if t.name == EventGone {
			fields["data"] = &huma.Schema{Type: huma.TypeObject}
		}
		required := []string{"event", "data"}
		if t.name != EventEnd {
			fields["id"] = &huma.Schema{Type: huma.TypeString, Description: "Id, for Last-Event-ID."}
			required = append(required, "id")
		}
		one.OneOf = append(one.OneOf, &huma.Schema{Type: huma.TypeObject, Title: t.name, Properties: fields, Required: required})
	}
	return &huma.Schema{
		Type: huma.TypeArray, Items: one, Title: "Server-sent events",
		Description: "Each item is one event, sent as UTF-8 text as the HTML standard describes: the fields id, event and data, which is JSON.",
	}
}

func (s *Server) streamDevice(ctx context.Context, in *streamInput) (*streamOutput, error) {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	w, r, first, err := s.hub.subscribe(limited, in.ID, in.LastEventID)
	switch {
	case errors.Is(err, errTooManyStreams):
		return nil, huma.Error429TooManyRequests(err.Error())
	case errors.Is(err, errHubClosed):
		return nil, unavailable(err.Error())
	case err != nil:
		return nil, s.problem(ctx, err)
	}
	return &streamOutput{func(ctx huma.Context) {
		defer s.hub.leave(w, r)
		ctx.SetHeader("Content-Type", "text/event-stream")
		ctx.SetHeader("X-Accel-Buffering", "no")
		ctx.SetStatus(http.StatusOK)
		_, writer := humago.Unwrap(ctx)
		out := eventWriter{writer, http.NewResponseController(writer), s.hub.options.WriteTimeout}
		if err := s.send(ctx.Context(), out, r, first); err != nil && ctx.Context().Err() == nil {
			s.log.Warn("connection of a stream lost", "device", in.ID, "from", ctx.RemoteAddr(), "error", err)
		}
	}}, nil
}

// send writes a stream until it ends or its reader is gone.
func (s *Server) send(ctx context.Context, out eventWriter, r *reader, first []Event) error {
	for _, e := range first {
		if err := out.event(e); err != nil {
			return err
		}
	}
	beat := time.NewTicker(s.hub.options.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := out.write([]byte(": still here\n\n")); err != nil {
				return err
			}
		case e, ok := <-r.events:
			if !ok {
				return out.event(Event{Type: EventEnd, Data: Trouble{r.ended}})
			}
			if err := out.event(e); err != nil {
				return err
			}
		}
	}
}

// eventWriter writes to a connection that may be stuck.
type eventWriter struct {
	to      http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

func (w eventWriter) event(e Event) error {
	text, err := e.text()
	if err != nil {
		return err
	}
	return w.write(text)
}

func (w eventWriter) write(text []byte) error {
	// A recorder in a test has no deadline, a connection has.
	_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout))
	if _, err := w.to.Write(text); err != nil {
		return fmt.Errorf("write to stream: %w", err)
	}
	if err := w.control.Flush(); err != nil {
		return fmt.Errorf("write to stream: %w", err)
	}
	return nil
}
