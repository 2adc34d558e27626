package twin

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"devicetwin/device"
)

// request is an update that is well formed.
type request struct {
	token   *string
	version *int64
	state   object // nil: null, which clears both sections
}

// readRequest reads the payload of update. The refusal is the first in the order
// in which the protocol lists its errors; the token is read before all else, so
// that the refusal carries it.
func readRequest(b []byte, limits Limits) (request, *Rejection) {
	body, refused := readBody(b, limits)
	if refused != nil {
		return request{}, refused
	}
	token, refused := readToken(body, limits)
	if refused != nil {
		return request{}, refused
	}
	r := request{token: token}
	state, ok := body["state"]
	if !ok {
		return request{}, invalid(textMissingState, "").with(token)
	}
	if r.state, ok = state.(object); !ok && state != nil {
		return request{}, invalid(textStateObject, "").with(token)
	}
	if v, ok := body["version"]; ok {
		n, _ := v.(json.Number)
		version, ok := wholeNumber(n)
		if !ok {
			return request{}, invalid(textVersion, "the version must be an integer of at least 0").with(token)
		}
		r.version = &version
	}
	return r, checkState(r.state, limits).with(token)
}

// checkState drops delta, which only answers have, and refuses what cannot be
// merged.
func checkState(state object, limits Limits) *Rejection {
	delete(state, "delta")
	for _, name := range sortedKeys(state) {
		if _, isObject := state[name].(object); !isObject && state[name] != nil {
			switch name {
			case "desired":
				return invalid(textDesiredObject, "")
			case "reported":
				return invalid(textReportObject, "")
			}
		}
	}
	c := checker{depth: min(limits.Depth, maxDepth), nulls: true}
	for _, name := range sortedKeys(state) {
		if name != "desired" && name != "reported" {
			return invalid(textNode, "state has a section '"+name[:min(len(name), maxDetail)]+"'")
		}
		if f := c.check(state[name], 1); f != nil {
			r := invalid(textNode, "")
			if errors.Is(f, errNesting) {
				r = tooDeep(c.depth)
			}
			r.Detail = f.below(name).Error()
			return r
		}
	}
	return nil
}

// readBody reads what all requests have in common.
func readBody(b []byte, limits Limits) (object, *Rejection) {
	if len(b) > limits.Request {
		return nil, tooLarge("the request has", len(b), limits.Request)
	}
	// The first two characters of a JSON object are ASCII, so a zero byte there
	// is UTF-16 or UTF-32 (RFC 4627, section 3).
	if !utf8.Valid(b) || bytes.IndexByte(b[:min(len(b), 2)], 0) >= 0 {
		return nil, &Rejection{Refused: device.Refused{Code: 415, Message: textEncoding}}
	}
	v, err := decode(b)
	if err != nil {
		return nil, invalid(textInvalidJSON, "the payload is not JSON")
	}
	body, ok := v.(object)
	if !ok {
		return nil, invalid(textInvalidJSON, "a request must be a JSON object")
	}
	return body, nil
}

func readToken(body object, limits Limits) (*string, *Rejection) {
	v, ok := body["clientToken"]
	if !ok {
		return nil, nil
	}
	token, ok := v.(string)
	if !ok {
		return nil, invalid(textToken, "the token must be a string")
	}
	if len(token) > limits.Token {
		return nil, invalid(textToken, "the token is longer than the limit")
	}
	return &token, nil
}

// ClientToken is the token of any request's payload, for answers without a
// document: nil if there is none, or it is not valid.
func ClientToken(payload []byte, limits Limits) *string {
	body, refused := readBody(payload, limits)
	if refused != nil {
		return nil
	}
	token, _ := readToken(body, limits)
	return token
}
