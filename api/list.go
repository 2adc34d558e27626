package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"github.com/danielgtaylor/huma/v2"
)

// ListParams are the parameters of a list.
type ListParams struct {
	Query  string `query:"query" maxLength:"1024" doc:"Terms FIELD:VALUE: id, kind, state, model, model_hash, connection, firmware, site, last_seen, faults, processing, process_failed, tag.KEY, reported.PATH, desired.PATH. All must match; OR, NOT and parentheses say otherwise. Put values with spaces, and keys with colons, in quotation marks; id:pump-* matches every id with this prefix, as do model, model_hash, firmware and site. model:pump@3 is a version of the registry of models. last_seen, faults and process_failed are compared: last_seen<now-24h, faults>=1." example:"state:online NOT tag.site:\"hall 3\""`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of devices per page."`
	Cursor string `query:"cursor" maxLength:"4096" doc:"Cursor of the previous page of the same query."`
}

func (s *Server) listDevices(ctx context.Context, in *ListParams) (*body[Page], error) {
	return s.list(ctx, in, in.Query, ofDevices)
}

// list answers a query. The cursor is bound to what was asked for.
func (s *Server) list(ctx context.Context, in *ListParams, asked string, of func(Query) (Query, error)) (*body[Page], error) {
	query, err := s.query(ctx, in.Query, of)
	if err != nil {
		return nil, err
	}
	from, ok := openCursor(in.Cursor, asked)
	if !ok {
		return nil, huma.Error400BadRequest("the cursor belongs to another query")
	}
	devices, next, err := s.backend.Devices(ctx, query, in.Limit, from)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if devices == nil {
		devices = []Summary{}
	}
	return &body[Page]{Page{Devices: devices, Cursor: sealCursor(next, asked)}}, nil
}

// query reads a query, of some of the entities only. The error is a problem.
func (s *Server) query(ctx context.Context, text string, of func(Query) (Query, error)) (Query, error) {
	query, err := ParseQuery(text)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if query, err = s.versions.resolve(ctx, query); err != nil {
		return nil, s.problem(ctx, err)
	}
	if query, err = of(query); err != nil {
		return nil, huma.Error400BadRequest(err.Error())
	}
	return query, nil
}

// CountParams are the parameters of a count.
type CountParams struct {
	Query string `query:"query" maxLength:"1024" doc:"Query as of list-devices." example:"state:online"`
}

func (s *Server) countDevices(ctx context.Context, in *CountParams) (*body[Count], error) {
	return s.count(ctx, in.Query, ofDevices)
}

func (s *Server) count(ctx context.Context, text string, of func(Query) (Query, error)) (*body[Count], error) {
	query, err := s.query(ctx, text, of)
	if err != nil {
		return nil, err
	}
	n, err := s.backend.CountDevices(ctx, query)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[Count]{Count{n}}, nil
}

// sealCursor encodes a backend's position as a string, bound to the query.
func sealCursor(place []byte, query string) string {
	if len(place) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(queryMark(query), place...))
}

func openCursor(cursor, query string) (place []byte, ok bool) {
	if cursor == "" {
		return nil, true
	}
	mark := queryMark(query)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) <= len(mark) || string(raw[:len(mark)]) != string(mark) {
		return nil, false
	}
	return raw[len(mark):], true
}

func queryMark(query string) []byte {
	h := fnv.New32a()
	_, _ = h.Write([]byte(query))
	return binary.BigEndian.AppendUint32(nil, h.Sum32())
}
