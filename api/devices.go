package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
	"devicetwin/source"
)

func (s *Server) getDevice(ctx context.Context, in *DeviceParam) (*body[Device], error) {
	device, err := s.backend.Device(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[Device]{device}, nil
}

type whyInput struct {
	DeviceParam
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Maximum number of transitions."`
}

func (s *Server) whyDevice(ctx context.Context, in *whyInput) (*body[Why], error) {
	device, err := s.backend.Device(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	why := Why{ID: device.ID, Model: device.Model, State: device.State, Transitions: []Transition{}}
	why.Transitions = append(why.Transitions, device.Transitions[:min(in.Limit, len(device.Transitions))]...)
	return &body[Why]{why}, nil
}

// NotedParams are the parameters of a change that says why outside of its body. (What huma reads
// has to be exported.)
type NotedParams struct {
	ChangeParams
	Note string `query:"note" maxLength:"256" doc:"Why, for the record of the device and the audit."`
}

func (in NotedParams) by(ctx context.Context) device.By {
	by := in.ChangeParams.by(ctx)
	if by.Note = in.Note; by.Note != "" {
		remark(ctx, slog.String("note", clipTo(by.Note, maxRemark)))
	}
	return by
}

func (in ChangeParams) by(ctx context.Context) device.By { return operationBy(ctx, in.Key) }

// operationBy identifies the request; without an Idempotency-Key, each request is unique.
func operationBy(ctx context.Context, key string) device.By {
	caller := callerOf(ctx)
	if key == "" {
		key = requestID(ctx)
	}
	// Two callers may have chosen the same key. A name in which / is escaped ends at
	// the first one.
	operation := url.PathEscape(caller.Name) + "/" + key
	if len(operation) > maxOperation {
		operation = fmt.Sprintf("%x", sha256.Sum256([]byte(operation)))
	}
	return device.By{Who: clipTo(caller.Name, maxWho), ID: operation}
}

// Limits of the caller's name that a device stores, in bytes.
const (
	maxOperation = 128
	maxWho       = 100
)

type desiredInput struct {
	NotedParams
	IfMatch string `header:"If-Match" maxLength:"32" doc:"Version of the document to change, such as \"7\"; without it any version is changed." example:"\"7\""`
	Shadow  string `query:"shadow" maxLength:"64" pattern:"^[a-zA-Z0-9:_-]*$" doc:"Name of a shadow; without it the classic one."`
	Within  string `query:"within" maxLength:"16" doc:"How long the device has to report the desired value, from 1s to 366d, such as 90s, 5m, 48h or 7d; after that its statechart gets twin.diverged." example:"5m"`
	Body    Object `contentType:"application/merge-patch+json" doc:"Merge patch (RFC 7396) for the desired properties: null removes a key, arrays are replaced as a whole."`
}

type desiredOutput struct {
	ETag string `header:"ETag" doc:"The version, for If-Match."`
	Body Desired
}

func (s *Server) patchDesired(ctx context.Context, in *desiredInput) (*desiredOutput, error) {
	version, err := readVersion(in.IfMatch)
	if err != nil {
		return nil, huma.Error400BadRequest(err.Error())
	}
	within, err := readDuration("within", in.Within, maxWithin)
	if err != nil {
		return nil, huma.Error400BadRequest(err.Error())
	}
	remark(ctx, slog.String("shadow", in.Shadow), slog.String("patch", clipTo(string(in.Body), maxRemark)))
	desired, err := s.backend.Desire(ctx, in.ID, in.by(ctx), DesiredChange{Shadow: in.Shadow, Patch: in.Body, Version: version, Within: within})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	remark(ctx, slog.Int64("version", desired.Version))
	return &desiredOutput{ETag: strconv.Quote(strconv.FormatInt(desired.Version, 10)), Body: desired}, nil
}

// readVersion reads If-Match: a version with or without quotation marks.
func readVersion(text string) (int64, error) {
	if text == "" || text == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("If-Match %s: expected a version such as \"7\"", clip(text))
	}
	return version, nil
}

// readDuration reads a duration as models have it, from 1s to a limit.
func readDuration(name, text string, most time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := source.ParseDuration(text)
	if err != nil || d < time.Second || d > most {
		return 0, fmt.Errorf("%s %q: expected a duration from 1s to %s, such as 90s, 5m, 48h or 7d", name, clip(text), source.FormatDuration(most))
	}
	return d, nil
}

const (
	maxWithin = 366 * 24 * time.Hour
	maxRemark = 1024 // bytes of a change in its audit record
)

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

type tagsInput struct {
	NotedParams
	Body map[string]string `doc:"All tags of the device."`
}

// tagsSchema is what device.CheckTags takes, for the document: the handler's errors
// name every fault, also those of keys. Keywords count characters, the limit bytes.
func tagsSchema() *huma.Schema {
	one, key, value, tags := 1, device.MaxTagKey, device.MaxTagValue, device.MaxTags
	return &huma.Schema{
		Type: huma.TypeObject, MaxProperties: &tags,
		Description: fmt.Sprintf("All tags of the device: as a JSON list of \"key=value\" they have at most %d bytes.", device.MaxTagBytes),
		AdditionalProperties: &huma.Schema{
			Type: huma.TypeString, MinLength: &one, MaxLength: &value, Pattern: `^[^\x00-\x1f\x7f]*$`,
			Description: fmt.Sprintf("At most %d bytes of UTF-8 without control characters.", value),
		},
		Extensions: map[string]any{"propertyNames": &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &key, Pattern: `^[a-zA-Z0-9._:/-]+$`}},
	}
}

func (s *Server) putTags(ctx context.Context, in *tagsInput) (*body[map[string]string], error) {
	if err := device.CheckTags(in.Body); err != nil {
		return nil, huma.NewError(http.StatusUnprocessableEntity, err.Error())
	}
	remark(ctx, slog.Any("tags", in.Body))
	if err := s.backend.SetTags(ctx, in.ID, in.by(ctx), in.Body); err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[map[string]string]{in.Body}, nil
}

type deleteInput struct {
	NotedParams
	Data bool `query:"data" doc:"Also erase the device's data: what bridges and workers keep of it in their logs, and its points in InfluxDB. That happens within seconds, or when what is unavailable is reachable again."`
}

func (s *Server) deleteDevice(ctx context.Context, in *deleteInput) (*struct{}, error) {
	remove := s.backend.Delete
	if in.Data {
		remark(ctx, slog.Bool("data", true))
		remove = s.backend.Erase
	}
	if err := remove(ctx, in.ID, in.by(ctx)); err != nil {
		return nil, s.problem(ctx, err)
	}
	return nil, nil
}
