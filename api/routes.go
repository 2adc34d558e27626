package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
)

// DeviceParam is the device of a path. (What huma reads has to be exported.)
type DeviceParam struct {
	ID device.ID `path:"id" pattern:"^[a-zA-Z0-9:_-]+$" patternDescription:"of a-z A-Z 0-9 : _ -" minLength:"1" maxLength:"128" doc:"Id of the device, or name of the entity."`
}

// ChangeParams are the parameters of every change.
type ChangeParams struct {
	DeviceParam
	Key string `header:"Idempotency-Key" maxLength:"64" pattern:"^[!-~]*$" doc:"Repeat a request with the same key: the change is made once, and the first response is returned again, as long as the device remembers the key. Another request with the key is refused (422)."`
}

// CommandParam is the command of a path.
type CommandParam struct {
	Command string `path:"command" minLength:"1" maxLength:"128" pattern:"^[!-~]+$" doc:"Id of the command."`
}

// body is an answer that is only a body.
type body[T any] struct{ Body T }

// The operations whose requests last.
const (
	streamOperation       = "stream-device"
	entityStreamOperation = "stream-entity"
)

func (s *Server) register(api huma.API) {
	read := func(id, path, summary string) huma.Operation {
		return s.operation(http.MethodGet, id, path, summary, ScopeRead)
	}
	change := func(method, id, path, summary string) huma.Operation {
		op := s.operation(method, id, path, summary, ScopeOperate)
		op.Errors = append(op.Errors, http.StatusTooManyRequests)
		return op
	}
	huma.Register(api, read("list-devices", "/v1/devices", "Devices, by state, model, connection, tags and indexed properties"), s.listDevices)
	// Not below /v1/devices/, where every name is that of a device.
	huma.Register(api, read("list-entities", "/v1/entities", "Entities of one kind or of all, by the same queries as devices"), s.listEntities)
	huma.Register(api, read("count-entities", "/v1/entity-count", "The number of entities of one kind or of all that a query finds"), s.countEntities)
	huma.Register(api, read("count-devices", "/v1/device-count", "The number of devices that a query finds"), s.countDevices)
	both(api, read("get-device", "/v1/devices/{id}", "Everything that is known about a device"), s.getDevice)
	both(api, read("why-device", "/v1/devices/{id}/why", "Why a device is in its state: its last transitions with their causes"), s.whyDevice)

	desired := change(http.MethodPatch, "patch-desired", "/v1/devices/{id}/desired", "Change the desired properties of a device")
	desired.Errors = append(desired.Errors, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge)
	both(api, desired, s.patchDesired)
	tags := change(http.MethodPut, "put-tags", "/v1/devices/{id}/tags", "Replace a device's tags")
	both(api, tags, s.putTags)
	for _, path := range []string{tags.Path, ofEntities(tags).Path} {
		api.OpenAPI().Paths[path].Put.RequestBody.Content["application/json"].Schema = tagsSchema()
	}

	send := change(http.MethodPost, "send-command", "/v1/devices/{id}/commands", "Send a command, after those that are waiting")
	send.DefaultStatus = http.StatusCreated
	send.Errors = append(send.Errors, http.StatusRequestEntityTooLarge)
	both(api, send, s.sendCommand)
	both(api, read("get-command", "/v1/devices/{id}/commands/{command}", "The status of a command"), s.getCommand)
	both(api, change(http.MethodDelete, "cancel-command", "/v1/devices/{id}/commands/{command}", "Cancel a command that is not done"), s.cancelCommand)

	event := change(http.MethodPost, "send-event", "/v1/devices/{id}/events", "Send an event to the device's statechart")
	event.Errors = append(event.Errors, http.StatusRequestEntityTooLarge)
	both(api, event, s.sendEvent)
	both(api, change(http.MethodPost, "reprovision-device", "/v1/devices/{id}/reprovision", "Reprovision a device now"), s.reprovision)

	decide := change(http.MethodPost, "decide-process", "/v1/devices/{id}/process", "Decide on an event that failed permanently and holds the queue of what is processed one by one")
	decide.Errors = append(decide.Errors, http.StatusPreconditionFailed)
	both(api, decide, s.decideProcess)

	migrate := s.operation(http.MethodPost, "migrate-device", "/v1/devices/{id}/migration", "Move a device to another version of its model by a plan", ScopeAdmin)
	migrate.Errors = append(migrate.Errors, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests)
	migrate.MaxBodyBytes = maxMigration + 1
	both(api, migrate, s.migrate)

	s.registerMigrations(api)

	remove := s.operation(http.MethodDelete, "delete-device", "/v1/devices/{id}", "Delete a device; its next message creates it again", ScopeAdmin)
	both(api, remove, s.deleteDevice)
	s.registerModels(api)
	s.registerStream(api, read(streamOperation, "/v1/devices/{id}/stream", "The changes of a device, as they happen"))
}

func (s *Server) operation(method, id, path, summary string, scope Scope) huma.Operation {
	errors := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable}
	if strings.Contains(path, "{id}") { // also of reads: no worker may have the device's model
		errors = append(errors, http.StatusConflict)
	}
	op := huma.Operation{
		Method: method, OperationID: id, Path: path, Summary: summary,
		Metadata:     map[string]any{scopeKey: scope},
		MaxBodyBytes: s.maxBody + 1, // huma refuses what has as many
		// The deadline stays on the connection, and would end a request before its time.
		BodyReadTimeout: s.timeout + time.Second,
		Errors:          errors,
	}
	if s.auth == nil {
		op.Errors = append(op.Errors, http.StatusMisdirectedRequest)
	} else {
		op.Security = []map[string][]string{{bearer: {string(scope)}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	return op
}

// scopeKey is the key of an operation's scope in its metadata.
const scopeKey = "scope"
