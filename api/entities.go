package api

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
)

// Everything below /v1/devices/{id} is below /v1/entities/{kind}/{id} as well, by the same
// handlers: a path without a kind is that of a device.

// kindParam is the kind of a path, for the document. DeviceParam.Resolve reads it.
func kindParam() *huma.Param {
	return &huma.Param{
		Name: "kind", In: "path", Required: true, Description: "Kind of the entity: device, or one of the configuration.", Example: "customer",
		Schema: &huma.Schema{Type: huma.TypeString, Pattern: device.KindPattern},
	}
}

// Resolve makes the id of the kind and the name of a path. It may be called several times.
func (p *DeviceParam) Resolve(ctx huma.Context) []error {
	word, name := ctx.Param("kind"), ctx.Param("id")
	if word == "" {
		return nil
	}
	kind, err := device.ParseKind(word)
	if err != nil {
		return []error{&huma.ErrorDetail{Location: "path.kind", Message: err.Error(), Value: word}}
	}
	if id, err := device.New(kind, name); err == nil { // else the parameter id has its fault
		p.ID = id
	}
	return nil
}

// both registers an operation on a device for every entity, too.
func both[I, O any](api huma.API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, ofEntities(op), handler)
	huma.Register(api, op, handler)
}

// ofEntities is an operation on a device as that on any entity.
func ofEntities(op huma.Operation) huma.Operation {
	op.Path = strings.Replace(op.Path, "/v1/devices/", "/v1/entities/{kind}/", 1)
	if id := strings.Replace(op.OperationID, "device", "entity", 1); id != op.OperationID {
		op.OperationID = id
	} else {
		op.OperationID = "entity-" + id
	}
	op.Summary = strings.NewReplacer("a device", "an entity", "device's", "entity's").Replace(op.Summary)
	op.Parameters = append([]*huma.Param{kindParam()}, op.Parameters...)
	return op
}

// PathOf is the path of an entity, a device's below /v1/devices, or of what is below it.
func PathOf(id device.ID, below ...string) string {
	path := "/v1/devices/" + url.PathEscape(id.Name())
	if kind := id.Kind(); kind != device.KindDevice {
		path = "/v1/entities/" + url.PathEscape(kind.Word()) + "/" + url.PathEscape(id.Name())
	}
	for _, part := range below {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// entityOf is the id of a path for records, valid or not.
func entityOf(ctx huma.Context) string {
	if kind := ctx.Param("kind"); kind != "" && kind != device.KindDevice.Word() {
		return kind + "/" + ctx.Param("id")
	}
	return ctx.Param("id")
}

// OfKind is a query of the entities of one kind. Ids in it are their names.
func OfKind(kind device.Kind, q Query) Query {
	of := Term{Field: FieldKind, Value: kind.Word()}
	if q == nil {
		return of
	}
	return And{of, named(kind, q)}
}

// named gives the names in a query their kind.
func named(kind device.Kind, q Query) Query {
	return each(q, func(t Term) Term {
		if t.Field == FieldID && kind != device.KindDevice {
			t.Value = string(kind) + "/" + t.Value
		}
		return t
	})
}

// KindParams are those of queries of entities.
type KindParams struct {
	Kind string `query:"kind" maxLength:"32" pattern:"^([a-z][a-z0-9-]*)?$" doc:"Kind of the entities: device, or one of the configuration; without it, those of all kinds. With it, id in the query is the name within the kind, and without it the whole id, such as customer/4711." example:"customer"`
}

// of is the query of the kind.
func (k KindParams) of(q Query) (Query, error) {
	if k.Kind == "" {
		return q, nil
	}
	kind, err := device.ParseKind(k.Kind)
	if err != nil {
		return nil, fmt.Errorf("kind: %w", err)
	}
	return OfKind(kind, q), nil
}

type entitiesInput struct {
	ListParams
	KindParams
}

func (s *Server) listEntities(ctx context.Context, in *entitiesInput) (*body[Page], error) {
	return s.list(ctx, &in.ListParams, in.Kind+" "+in.Query, in.of)
}

type countEntitiesInput struct {
	CountParams
	KindParams
}

func (s *Server) countEntities(ctx context.Context, in *countEntitiesInput) (*body[Count], error) {
	return s.count(ctx, in.Query, in.of)
}

// ofDevices is the query of devices.
func ofDevices(q Query) (Query, error) { return OfKind(device.KindDevice, q), nil }
