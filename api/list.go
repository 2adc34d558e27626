package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"github.com/danielgtaylor/huma/v2"
)

type listInput struct {
	Query  string `query:"query" maxLength:"1024" doc:"Terms FIELD:VALUE, separated by spaces, that all must match: id, state, model, model_hash, connection, firmware, site, tag.KEY, reported.PATH, desired.PATH. Put values with spaces in quotation marks; id:pump-* matches every id with this prefix." example:"state:online tag.site:\"hall 3\""`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of devices per page."`
	Cursor string `query:"cursor" maxLength:"4096" doc:"Cursor of the previous page of the same query."`
}

func (s *Server) listDevices(ctx context.Context, in *listInput) (*body[Page], error) {
	terms, err := ParseQuery(in.Query)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	from, ok := openCursor(in.Cursor, in.Query)
	if !ok {
		return nil, huma.Error400BadRequest("the cursor belongs to another query")
	}
	devices, next, err := s.backend.Devices(ctx, terms, in.Limit, from)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if devices == nil {
		devices = []Summary{}
	}
	return &body[Page]{Page{Devices: devices, Cursor: sealCursor(next, in.Query)}}, nil
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
