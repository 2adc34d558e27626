package devicefsm

import (
	"regexp"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
)

// Membership says which entities are members of a group, and of which one. Exactly one of
// Site, Tag, ID and Parent is set.
type Membership struct {
	Site   bool   `json:"site,omitempty"`   // the site in the birth message names the group
	Tag    string `json:"tag,omitempty"`    // the value of this tag does
	ID     string `json:"id,omitempty"`     // what this regular expression finds as "group" in the entity's name
	Parent bool   `json:"parent,omitempty"` // the parent in the birth message does, or else the entity's own name
	// Aggregators is how many workflows collect what the members of a group report.
	Aggregators int `json:"aggregators"`
}

// Member is what decides of which group an entity is a member.
type Member struct {
	ID     device.ID
	Site   string
	Parent string
	Tags   map[string]string
}

const (
	memberBySite = "site"
	memberGroup  = "group" // name of the part of the regular expression

	maxAggregators = 64
)

// Members says which entities are members of groups with this model; ok is false if it is
// not the model of a group.
func (m *Model) Members() (by Membership, ok bool) {
	if m.members == nil {
		return Membership{}, false
	}
	return *m.members, true
}

// GroupOf is the name of the entity's group; "" if it has none. It is not always one that
// an id may have: see device.New.
func (b Membership) GroupOf(of Member) string {
	switch {
	case b.Site:
		return of.Site
	case b.Tag != "":
		return of.Tags[b.Tag]
	case b.ID != "":
		expr, err := regexp.Compile(b.ID)
		if err != nil {
			return ""
		}
		found, at := expr.FindStringSubmatch(of.ID.Name()), expr.SubexpIndex(memberGroup)
		if at < 0 || found == nil {
			return ""
		}
		return found[at]
	case b.Parent && of.Parent != "":
		return of.Parent
	case b.Parent:
		return of.ID.Name()
	}
	return ""
}

var memberKeys = []string{"by", "tag", "id", "parent", "aggregators", "description"}

// members reads `members:`.
func (l *loader) members(n source.Node) {
	if !n.Exists() {
		return
	}
	if l.m.kind == device.KindDevice {
		l.m.kind = device.Kind(l.m.name)
	}
	if _, err := device.New(l.m.kind, "x"); err != nil {
		n.Faultf("members: the model's name is the kind of the groups: %v", err)
	}
	fields := n.Fields(memberKeys...)
	by := &Membership{Aggregators: 1}
	ways := slices.DeleteFunc([]string{"by", "tag", "id", "parent"}, func(k string) bool { return !fields[k].Exists() })
	if len(ways) != 1 {
		n.FaultHint("for example members: {by: site}", "expected one of by, tag, id and parent")
	}
	if f := fields["by"]; f.Exists() {
		by.Site = l.oneOf(f, memberBySite) != ""
	}
	if f := fields["tag"]; f.Exists() {
		by.Tag = f.String()
		if err := device.CheckTag(by.Tag, "x"); f.IsString() && err != nil {
			f.Faultf("%v", err)
		}
	}
	if f := fields["id"]; f.Exists() {
		by.ID = memberID(f)
	}
	if f := fields["parent"]; f.Exists() {
		if by.Parent = f.Bool(); !by.Parent {
			f.Faultf("expected parent: true")
		}
	}
	if f := fields["aggregators"]; f.Exists() {
		by.Aggregators = int(f.Int(1, maxAggregators))
	}
	l.m.members = by
}

// memberID is a regular expression that finds a group in an id.
func memberID(n source.Node) string {
	text := n.String()
	expr, err := regexp.Compile(text)
	switch {
	case !n.IsString():
	case err != nil:
		n.Faultf("id: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	case expr.SubexpIndex(memberGroup) < 0:
		n.FaultHint("for example ^pump-(?P<group>[a-z]+)-", "id: expected a part (?P<group>…)")
	case len(text) > maxMemberID:
		n.Faultf("id: expected at most %d bytes", maxMemberID)
	}
	return text
}

// maxMemberID bounds a regular expression: every run of a member records it.
const maxMemberID = 256
