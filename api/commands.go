package api

import (
	"context"
	"log/slog"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
)

type sendCommandInput struct {
	NotedParams
	Body struct {
		Name          string `json:"name" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9_.-]+$" patternDescription:"of a-z A-Z 0-9 _ . -" doc:"Name, the last part of its topic."`
		Data          Object `json:"data,omitempty" doc:"Data for the device."`
		TTL           string `json:"ttl,omitempty" maxLength:"16" doc:"Time to live, from 1s to 30d, such as 90s, 5m, 48h or 7d; 1d if it is absent. A command that is not done by then expires." example:"5m"`
		MaxDeliveries int    `json:"max_deliveries,omitempty" minimum:"1" maximum:"100" doc:"How often it may be sent to a device that restarts before it answers; after that its status becomes exhausted. Default: the service's setting, 10 if not changed."`
		Replace       bool   `json:"replace,omitempty" doc:"Replace waiting commands of the same name; their status becomes superseded."`
	}
}

type sendCommandOutput struct {
	Location string `header:"Location" doc:"URL of the command and its status."`
	Body     Command
}

func (s *Server) sendCommand(ctx context.Context, in *sendCommandInput) (*sendCommandOutput, error) {
	ttl, err := readDuration("ttl", in.Body.TTL, device.MaxCommandTTL)
	if err != nil {
		return nil, huma.Error400BadRequest(err.Error())
	}
	remark(ctx, slog.String("command", in.Body.Name), slog.String("data", clipTo(string(in.Body.Data), maxRemark)))
	command, err := s.backend.SendCommand(ctx, in.ID, in.by(ctx), NewCommand{
		Name: in.Body.Name, Data: in.Body.Data, TTL: ttl, MaxDeliveries: in.Body.MaxDeliveries, Replace: in.Body.Replace,
	})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	remark(ctx, slog.String("command_id", command.ID))
	return &sendCommandOutput{
		Location: PathOf(in.ID, "commands", command.ID), Body: command,
	}, nil
}

type commandInput struct {
	DeviceParam
	CommandParam
}

func (s *Server) getCommand(ctx context.Context, in *commandInput) (*body[Command], error) {
	command, err := s.backend.Command(ctx, in.ID, in.Command)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[Command]{command}, nil
}

type cancelInput struct {
	NotedParams
	CommandParam
}

func (s *Server) cancelCommand(ctx context.Context, in *cancelInput) (*body[Command], error) {
	remark(ctx, slog.String("command_id", in.Command))
	command, err := s.backend.CancelCommand(ctx, in.ID, in.by(ctx), in.Command)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[Command]{command}, nil
}

type eventInput struct {
	NotedParams
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"128" pattern:"^[a-zA-Z0-9._-]+$" patternDescription:"of a-z A-Z 0-9 . _ -" doc:"Name of an event that the model knows."`
		Data Object `json:"data,omitempty" doc:"Its data, which guards read as event.…"`
	}
}

func (s *Server) sendEvent(ctx context.Context, in *eventInput) (*body[Taken], error) {
	remark(ctx, slog.String("event", in.Body.Name), slog.String("data", clipTo(string(in.Body.Data), maxRemark)))
	taken, err := s.backend.SendEvent(ctx, in.ID, in.by(ctx), in.Body.Name, in.Body.Data)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[Taken]{taken}, nil
}

// ProcessDecision is what is to be done with an event that holds the queue.
type ProcessDecision struct {
	ID string `json:"id,omitempty" maxLength:"200" doc:"Id of the event; another one is refused. Absent: whichever holds the queue."`
	Do string `json:"do" enum:"retry,skip" doc:"retry: it is tried again, with all its attempts. skip: the next event has its turn."`

	Note string `json:"note,omitempty" maxLength:"256" doc:"Why, for the model, for why and for the audit."`
}

type decideInput struct {
	ChangeParams
	Body ProcessDecision
}

func (s *Server) decideProcess(ctx context.Context, in *decideInput) (*body[ProcessDecided], error) {
	remark(ctx, slog.String("do", in.Body.Do), slog.String("event_id", in.Body.ID), slog.String("note", in.Body.Note))
	decided, err := s.backend.DecideProcess(ctx, in.ID, in.by(ctx), in.Body)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[ProcessDecided]{decided}, nil
}

// ReprovisionRequest is optional.
type ReprovisionRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"256" doc:"Why, for the model and the audit."`
}

type reprovisionInput struct {
	ChangeParams
	Body *ReprovisionRequest
}

func (s *Server) reprovision(ctx context.Context, in *reprovisionInput) (*body[Reprovisioning], error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	remark(ctx, slog.String("reason", reason))
	done, err := s.backend.Reprovision(ctx, in.ID, in.by(ctx), reason)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[Reprovisioning]{done}, nil
}
