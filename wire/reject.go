package wire

import (
	"time"

	"devicetwin/device"
	"devicetwin/twin"
)

// RejectRequest is the answer to a request of the shadow protocol that no twin
// answers, by its code: 404 there is none, 413 the request is too large, and any
// other for which the protocol has a message.
func RejectRequest(id device.ID, request device.Message, code int, at time.Time) (topic string, payload []byte) {
	limits := twin.DefaultLimits()
	r := request.Twin
	var rejection *twin.Rejection
	switch code {
	case 413:
		_, _, rejection = twin.Update(twin.Document{}, r.Payload, at, limits)
	case 404:
		name := r.Shadow
		if name == "" {
			name = id.Name()
		}
		rejection = twin.NoShadow(name, twin.ClientToken(r.Payload, limits))
	}
	if rejection == nil {
		rejection = twin.Reject(code, twin.ClientToken(r.Payload, limits))
	}
	return ReplyTopic(request, "rejected"), rejection.Payload(at)
}
