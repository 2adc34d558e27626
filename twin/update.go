package twin

import (
	"strconv"
	"time"

	"devicetwin/device"
)

// Answers are the payloads that answer an accepted update.
type Answers struct {
	Delta     []byte // …/update/delta; nil if reported has all desired values
	Documents []byte // …/update/documents
	Accepted  []byte // …/update/accepted

	desired any // of the request
}

// Asked are the paths of the desired properties that the request gives a value,
// whether or not that changes them. They are sorted.
func (a Answers) Asked() []string {
	asked := Document{version: 1, desired: section{}.merged(a.desired, &stamp{})}
	return ChangedPaths(Document{}, asked).Desired
}

// RestCurrent ends the topic on which the present document can be kept retained.
const RestCurrent = "documents/current"

// Message is a payload, and the end of its topic: "update/delta".
type Message struct {
	Topic   string
	Payload []byte
}

// Messages lists the answers in the order in which they are published.
func (a Answers) Messages() []Message {
	var m []Message
	if a.Delta != nil {
		m = append(m, Message{"update/delta", a.Delta})
	}
	return append(m, Message{"update/documents", a.Documents}, Message{"update/accepted", a.Accepted})
}

// Update merges the payload of …/update. A refused request leaves the document
// as it was.
func Update(doc Document, payload []byte, now time.Time, limits Limits) (Document, Answers, *Rejection) {
	r, refused := readRequest(payload, limits)
	if refused != nil {
		return doc, Answers{}, refused
	}
	return apply(doc, r, now, limits)
}

// Desire merges a patch into desired, as an update without version and token
// does: what a state machine does. The patch is JSON as Go represents
// it, numbers as float64, int, int64 or json.Number; nil values remove keys.
func Desire(doc Document, patch map[string]any, now time.Time, limits Limits) (Document, Answers, *Rejection) {
	desired, err := fromPlain(patch, 1)
	if err != nil {
		return doc, Answers{}, invalid(textNode, "desired: "+err.Error())
	}
	r := request{state: object{"desired": desired}}
	if refused := checkState(r.state, limits); refused != nil {
		return doc, Answers{}, refused
	}
	if size := (section{value: desired.(object)}).size(); size > limits.Request {
		return doc, Answers{}, tooLarge("the request has", size, limits.Request)
	}
	return apply(doc, r, now, limits)
}

func apply(doc Document, r request, now time.Time, limits Limits) (Document, Answers, *Rejection) {
	before := Prune(doc, now, limits)
	if refused := checkVersion(before, r.version); refused != nil {
		return doc, Answers{}, refused.with(r.token)
	}
	next := Document{version: before.version + 1, desired: before.desired, reported: before.reported}
	at := &stamp{at: now.Unix()}
	if r.state == nil {
		next.desired, next.reported = section{}, section{}
	}
	if patch, ok := r.state["desired"]; ok {
		next.desired = next.desired.merged(patch, at)
	}
	if patch, ok := r.state["reported"]; ok {
		next.reported = next.reported.merged(patch, at)
	}
	if size := next.desired.size() + next.reported.size(); size > limits.Document {
		return doc, Answers{}, tooLarge("the merged document would have", size, limits.Document).with(r.token)
	}
	return next, answers(before, next, r, at, now), nil
}

// checkVersion compares the version of a request with the document's.
func checkVersion(doc Document, version *int64) *Rejection {
	switch {
	case version == nil:
	case doc.IsZero() && *version != 1:
		return invalid(textVersion, "there is no shadow; the first version is 1")
	case !doc.IsZero() && *version != doc.version:
		return &Rejection{Refused: device.Refused{Code: 409, Message: textConflict},
			Detail: "the shadow has version " + strconv.FormatInt(doc.version, 10)}
	}
	return nil
}

func answers(before, next Document, r request, at *stamp, now time.Time) Answers {
	var state any
	if r.state != nil {
		state = r.state
	}
	return Answers{
		desired: r.state["desired"],
		Delta:   deltaPayload(next, r.token, now),
		Documents: payload(r.token, now, object{
			"previous": raw(appendDocument(nil, before)),
			"current":  raw(appendDocument(nil, next)),
		}),
		Accepted: payload(r.token, now, object{
			"state":    state,
			"metadata": raw(at.append(nil, state)),
			"version":  next.version,
		}),
	}
}

// payload completes an answer: timestamp in epoch seconds, and the token.
func payload(token *string, now time.Time, o object) []byte {
	o["timestamp"] = now.Unix()
	if token != nil {
		o["clientToken"] = *token
	}
	return appendValue(nil, o)
}

// appendDocument writes {state, metadata, version}.
func appendDocument(b []byte, d Document) []byte {
	state, metadata := d.parts()
	return appendValue(b, object{"state": state, "metadata": metadata, "version": d.version})
}

func (d Document) parts() (state, metadata object) {
	state, metadata = object{}, object{}
	put := func(name string, s section) {
		if s.value != nil {
			state[name], metadata[name] = s.value, raw(s.times.append(nil, s.value))
		}
	}
	put("desired", d.desired)
	put("reported", d.reported)
	return state, metadata
}

func deltaPayload(d Document, token *string, now time.Time) []byte {
	delta, ok := d.delta()
	if !ok {
		return nil
	}
	return payload(token, now, object{
		"state": delta, "metadata": raw(d.desired.times.append(nil, delta)), "version": d.version,
	})
}

// Delta is the present payload for …/update/delta, for a device that reconnects
// and may have missed it; nil if reported has all desired values.
func Delta(doc Document, now time.Time) []byte { return deltaPayload(doc, nil, now) }

// Get answers …/get: the payload for …/get/accepted, with the state, its delta
// if there is one, metadata and version. The request may be empty. The name is
// used in the refusal; see NoShadow.
func Get(doc Document, name string, request []byte, now time.Time, limits Limits) ([]byte, *Rejection) {
	var token *string
	if len(request) > 0 {
		body, refused := readBody(request, limits)
		if refused != nil {
			return nil, refused
		}
		if token, refused = readToken(body, limits); refused != nil {
			return nil, refused
		}
	}
	if !doc.Exists() {
		return nil, NoShadow(name, token)
	}
	state, metadata := doc.parts()
	if delta, ok := doc.delta(); ok {
		state["delta"] = delta
	}
	return payload(token, now, object{"state": state, "metadata": metadata, "version": doc.version}), nil
}

// Delete answers …/delete: a document that only remembers its version, and the
// payload for …/delete/accepted. The payload of the request is ignored but for a
// clientToken, which is repeated.
func Delete(doc Document, name string, request []byte, now time.Time, limits Limits) (Document, []byte, *Rejection) {
	token := ClientToken(request, limits)
	if !doc.Exists() {
		return doc, nil, NoShadow(name, token)
	}
	gone := Document{version: doc.version, deleted: true, deletedAt: now.UnixMilli()}
	return gone, payload(token, now, object{"version": doc.version}), nil
}
