package dialect

import (
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
)

// What is checked here can be read, and can never be right: a message of which there is none, whatever
// is published, or whose keys have no effect. The nodes f are those of its keys.

// checkStatus notes words without a status that could be one of them.
func (m *message) checkStatus(f map[string]source.Node) {
	if m.channel != device.ChannelStatus {
		f["status"].Faultf("status: only what is on the channel status has words")
		return
	}
	m.needsStatus(f, "status, whose words say whether the device is connected", f["status"], "status: data has no member")
}

// needsStatus notes data that never has the member status, which is what. Where the members of data are others,
// that is the fault of a node, which begins with why.
func (m *message) needsStatus(f map[string]source.Node, what string, n source.Node, why string) {
	named := func(member member) bool { return member.name == "status" }
	switch {
	case m.only != nil && !m.only.has("status"):
		f["only"].Faultf("only: it leaves out %s", what)
	case m.omit.has("status"):
		f["omit"].Faultf("omit: it leaves out %s", what)
	case m.data.members != nil && !slices.ContainsFunc(m.data.members, named):
		n.Faultf("%s %s", why, what)
	}
}

// checkItem notes what reads the element of a list that there is not.
func (m *message) checkItem(f map[string]source.Node) {
	if f["each"].Exists() && m.each == nil { // it has a fault
		return
	}
	for _, formula := range m.formulas() {
		inherited := m.time != nil && formula == m.time.at && !f["time"].Exists()
		if formula.reads(varItem) && !inherited && (m.each == nil || formula == m.each) {
			formula.at.Faultf("item: expected each, a list of which it is an element")
		}
	}
}

// checkPayload notes what reads members of payloads that have none.
func (m *message) checkPayload(is shape, f map[string]source.Node) {
	if is == (shape{}) {
		return
	}
	for _, formula := range m.formulas() {
		checked := formula.program.Checked()
		names, all := checked.Members(varPayload)
		if len(names) == 0 || !all || checked.Binds(varPayload) {
			continue
		}
		at, hint := formula.at, ""
		if m.time != nil && formula == m.time.at && !f["time"].Exists() {
			if !is.list { // it has no time, which is right
				continue
			}
			at = m.at
		}
		if is.list {
			hint = "each: payload, and then item." + names[0]
		}
		at.FaultHint(hint, "payload.%s: the payload is %s", names[0], is.is)
	}
}

// checkAbsent notes words that no payload is, because those of the format number are numbers.
func (m *message) checkAbsent(is shape, f map[string]source.Node) {
	if is != shapes["number"] {
		return
	}
	for _, v := range f["absent"].OneOrList() {
		if v.IsString() {
			v.FaultHint("payload: {format: text, numbers: true}", "absent: the format number refuses the word %q", v.String())
		}
	}
}

// checkMembers notes members of data none of which is taken.
func (m *message) checkMembers(f map[string]source.Node) {
	if len(m.data.members) == 0 || slices.ContainsFunc(m.data.members, func(member member) bool { return m.takes(member.name) }) {
		return
	}
	var names []string
	for _, member := range m.data.members {
		names = append(names, member.name)
	}
	at := f["only"]
	if !at.Exists() {
		at = f["omit"]
	}
	at.Faultf("nothing is taken of the members that data makes: %s", strings.Join(names, ", "))
}
