package measure

import "strings"

// EntityTags are the tags that say whose a point is. Id is as device.ID has it: the id of a
// device, or kind/name of another entity, which has TagKind in addition. So no query of
// devices ever finds two entities as one, and the series of devices are what they were.
func EntityTags(id string) map[string]string {
	tags := map[string]string{TagDevice: id}
	if kind := KindOf(id); kind != "" {
		tags[TagKind] = kind
	}
	return tags
}

// KindOf is TagKind of an entity by its TagDevice; "" is that of a device.
func KindOf(id string) string {
	kind, _, other := strings.Cut(id, "/")
	if !other {
		return ""
	}
	return kind
}
