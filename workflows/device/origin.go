package device

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// The ids of what leaves the workflow are counted, so that a retry has the same id. Where
// Temporal's database is restored to an earlier time, the workflow counts again from there: what it
// sends for another reason than before would have the id of something that the device, or the
// receiver of a notification, has had, and would be dropped there. So an id has, before its number,
// what the workflow received last: it is the same in a retry, and another one after a restore, unless
// the same is done once more for the same reason.

// receivedMessage notes that a message is what was received last.
func (d *run) receivedMessage(m device.Message) {
	d.state.Origin = strconv.FormatInt(m.Time.UnixMilli(), 36)
}

// receivedOperation notes that a request is what was received last.
func (d *run) receivedOperation(op Operation) {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(op.ID))
	d.state.Origin = fmt.Sprintf("%08x", sum.Sum32())
}

// named gives an action of the model its id. That of an invoke stays as the model knows it: see
// invocationID.
func (d *run) named(a devicefsm.Action) devicefsm.Action {
	if !d.follows(rulesOrigin) || d.state.Origin == "" {
		return a
	}
	switch a.Type {
	case devicefsm.ActionCommand, devicefsm.ActionPublish, devicefsm.ActionNotify, devicefsm.ActionProcess, actionOperator:
		a.ID = withOrigin(a.ID, d.state.Origin)
	case devicefsm.ActionInvoke:
		if d.state.Origins == nil {
			d.state.Origins = map[string]string{}
		}
		d.state.Origins[a.ID] = d.state.Origin
	}
	return a
}

// withOrigin puts an origin before the number of an id.
func withOrigin(id, origin string) string {
	at := strings.LastIndexByte(id, '-') + 1
	return id[:at] + origin + "-" + id[at:]
}

// invocationID is the id of an activity for those outside of the workflow.
func (d *run) invocationID(id string) string {
	if origin := d.state.Origins[id]; origin != "" {
		id = withOrigin(id, origin)
	}
	return d.effectID(id)
}
