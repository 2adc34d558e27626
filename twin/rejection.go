package twin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"devicetwin/device"
)

// The protocol's error messages that contain nothing of the request.
const (
	textInvalidJSON   = "Invalid JSON"
	textMissingState  = "Missing required node: state"
	textStateObject   = "State node must be an object"
	textDesiredObject = "Desired node must be an object"
	textReportObject  = "Reported node must be an object"
	textVersion       = "Invalid version"
	textToken         = "Invalid clientToken"
	textNode          = "State contains an invalid node"
	textConflict      = "Version conflict"
	textTooLarge      = "The payload exceeds the maximum size allowed"
	textNesting       = "JSON contains too many levels of nesting"
	textEncoding      = "Unsupported documented encoding; supported encoding is UTF-8"
)

// Rejection is why a request was refused: what goes to …/rejected.
type Rejection struct {
	// Refused has the protocol's code, which is that of HTTP, and the protocol's
	// message. That of 413 goes on with the sizes.
	device.Refused
	// Detail says more, for people; it is not part of the payload.
	Detail string `json:"detail,omitempty"`
	// ClientToken is the request's, if it had a valid one.
	ClientToken *string `json:"clientToken,omitempty"`
}

// Error makes a rejection an error, for callers that are not shadow clients.
func (r *Rejection) Error() string {
	s := strconv.Itoa(r.Code) + " " + r.Message
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// Unwrap makes a rejection the refusal that it holds, for errors.As.
func (r *Rejection) Unwrap() error { return &r.Refused }

// Named is the rejection with the name of the node that was refused in its message, behind
// the protocol's words: "State contains an invalid node: null at desired.a[2]". A rejection
// for another reason stays as it is.
func (r *Rejection) Named() *Rejection {
	if r == nil || r.Detail == "" || r.Message != textNode && !strings.HasPrefix(r.Message, textNesting) {
		return r
	}
	named := *r
	named.Message, named.Detail = r.Message+": "+r.Detail, ""
	return &named
}

// Payload is the message for …/rejected: code, message, timestamp (epoch
// seconds), and clientToken if there was one.
func (r *Rejection) Payload(now time.Time) []byte {
	return payload(r.ClientToken, now, object{
		"code":    json.Number(strconv.Itoa(r.Code)),
		"message": strings.ToValidUTF8(r.Message, "\uFFFD"),
	})
}

// Reject is the protocol's refusal where the reason is not in a document:
// 401, 403, 404 (the thing), 429; anything else is 500.
func Reject(code int, token *string) *Rejection {
	r := &Rejection{Refused: device.Refused{Code: code}, ClientToken: token}
	switch code {
	case 401:
		r.Message = "Unauthorized"
	case 403:
		r.Message = "Forbidden"
	case 404:
		r.Message = "Thing not found"
	case 429:
		r.Message = "Too many requests"
	default:
		r.Code, r.Message = 500, "Internal service failure"
	}
	return r
}

// NoShadow is the refusal where there is no document. The name is that of the
// shadow, or of the thing for its classic shadow.
func NoShadow(name string, token *string) *Rejection {
	return &Rejection{Refused: device.Refused{Code: 404, Message: "No shadow exists with name: '" + name + "'"}, ClientToken: token}
}

func invalid(message, detail string) *Rejection {
	return &Rejection{Refused: device.Refused{Code: 400, Message: message}, Detail: detail}
}

func tooDeep(most int) *Rejection {
	return invalid(fmt.Sprintf(textNesting+"; maximum is %d", most), "")
}

func tooLarge(what string, size, most int) *Rejection {
	return &Rejection{Refused: *device.Refuse(413, "%s: %s %d bytes, the limit is %d", textTooLarge, what, size, most)}
}

// with adds the token of the request that was refused.
func (r *Rejection) with(token *string) *Rejection {
	if r != nil {
		r.ClientToken = token
	}
	return r
}
