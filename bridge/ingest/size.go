package ingest

import (
	"devicetwin/device"
	"devicetwin/internal/jsonsize"
)

// envelopeSize is that of a Message without name, data and digest, with the comma after
// it: every other field as long as it can be.
const envelopeSize = 250

// messageSize is an upper bound of the length of a message in JSON, cheaper
// than writing it.
func messageSize(m device.Message) int {
	return envelopeSize + modelSize(m.Model) + len(m.Name) + len(m.Digest) + idSize(m.SenderID) + jsonsize.Value(m.Data) + leftOutSize(m.LeftOut) + restartSize(m.Restart) + requestSize(m.Twin) + faultsSize(m.Faults) + addressSize(m.From)
}

func addressSize(a *device.Address) int {
	if a == nil {
		return 0
	}
	size := 80 + jsonsize.String(a.Dialect) + jsonsize.String(a.ID)
	for name, value := range a.Vars {
		size += 2 + jsonsize.String(name) + jsonsize.String(value)
	}
	return size
}

func idSize(id string) int {
	if id == "" {
		return 0
	}
	return 9 + len(id)
}

func modelSize(hash string) int {
	if hash == "" {
		return 0
	}
	return 15 + len(hash)
}

// requestSize counts base64 for the payload.
func requestSize(r *device.TwinRequest) int {
	if r == nil {
		return 0
	}
	return 80 + len(r.Shadow) + jsonsize.String(r.Reply) + (len(r.Payload)+2)/3*4
}

func faultsSize(faults []device.Fault) int {
	size := 0
	for _, f := range faults {
		size += 170 + jsonsize.String(f.Topic) + jsonsize.String(f.Detail) + jsonsize.String(f.Value)
	}
	return size
}

func restartSize(r *device.Restart) int {
	if r == nil {
		return 0
	}
	return 150 + 90*len(r.LeftOut)
}

func leftOutSize(l *device.LeftOut) int {
	if l == nil {
		return 0
	}
	return 40 + 90*len(l.Spans) + 20*len(l.Digests) // numbers have 20 digits at most
}
