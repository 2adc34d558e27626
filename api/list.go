package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"github.com/danielgtaylor/huma/v2"
)

type listInput struct {
	Query  string `query:"query" maxLength:"1024" doc:"Terms FIELD:VALUE, separated by spaces, that all have to hold: id, state, model, connection, firmware, site, tag.KEY, reported.PATH, desired.PATH. Values with spaces stand in quotation marks; id:pump-* is every id that begins so." example:"state:online tag.site:\"hall 3\""`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Devices on a page, at most."`
	Cursor string `query:"cursor" maxLength:"4096" doc:"Of the page before, with the same query."`
}

func (s *Server) listDevices(ctx context.Context, in *listInput) (*body[Page], error) {
	terms, err := ParseQuery(in.Query)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	from, ok := openCursor(in.Cursor, in.Query)
	if !ok {
		return nil, huma.Error400BadRequest("the cursor is none of this query's")
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

// sealCursor makes a text of a backend's place, bound to the query.
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
