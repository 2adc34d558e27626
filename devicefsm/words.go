package devicefsm

import (
	"devicetwin/device"
)

// WordFaults are what the service itself cannot use of a message, whatever state the
// model is in: an unknown status, unless a rule of the model knows it; an acknowledgement
// whose status means nothing, unless the model names its event; and a firmware or site
// that is not a string. Connection says whether the status is known.
func (m *Model) WordFaults(msg device.Message) []device.Fault {
	var list []device.Fault
	add := func(reason device.FaultReason, key, detail string) {
		f := device.Fault{At: msg.Time, Topic: msg.Topic(), Reason: reason, Detail: detail}
		if v, ok := msg.Data[key]; ok {
			f.Value = jsonText(v)
		}
		list = append(list, f)
	}
	switch msg.Channel {
	case device.ChannelStatus:
		for _, key := range []string{"firmware", "site"} {
			switch v := msg.Data[key].(type) {
			case nil, string:
			default:
				add(device.FaultNotText, key, key+": expected a string; found "+device.TypeName(v))
			}
		}
		if _, known := m.Classify(msg); !known && msg.Says() == device.ConnectionUnknown {
			add(device.FaultUnknownStatus, "status", statusDetail(msg.Data["status"]))
		}
	case device.ChannelAck:
		word, _ := msg.Data["status"].(string)
		if _, ok := device.AckStatus(word); ok {
			break
		}
		if name, ok := m.Classify(msg); !ok || !m.Names(name) {
			add(device.FaultUnknownAck, "status", "expected the status accepted, succeeded, failed or rejected"+foundType(msg.Data["status"]))
		}
	}
	return list
}

func statusDetail(status any) string {
	switch status.(type) {
	case nil:
		return "expected a status" + foundType(status)
	case string:
		return "expected a status word, or a rule of the model that knows this one"
	}
	return "expected a status word" + foundType(status)
}

// foundType is the type of a value that should be a string; "" if it is one.
func foundType(v any) string {
	switch v.(type) {
	case nil:
		return "; found none"
	case string:
		return ""
	}
	return "; found " + device.TypeName(v)
}
