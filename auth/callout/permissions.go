package callout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"

	"devicetwin/auth"
)

// own are the subjects by which streams, and with them sessions and messages of all
// clients, can be reached. No rule gives access to them. Those below $MQTT are not among
// them: the server delivers there, in the name of a client.
var own = []string{"$JS.>", "$SYS.>", "$KV.>", "$O.>"}

// Permissions are the rules of a client as NATS has them. Without any, a user of NATS may do
// everything.
func Permissions(rules []auth.Rule) jwt.Permissions {
	var p jwt.Permissions
	for _, r := range rules {
		if r.Publish {
			p.Pub.Allow.Add(Subjects(r.Filter)...)
		}
		if r.Subscribe {
			p.Sub.Allow.Add(Subjects(r.Filter)...)
		}
	}
	p.Pub.Deny.Add(own...)
	p.Sub.Deny.Add(own...)
	for _, filter := range tooWide(rules) {
		p.Sub.Deny.Add(Subjects(filter + "/#")[0])
	}
	if len(p.Pub.Allow) == 0 {
		p.Pub.Deny.Add(">")
	}
	if len(p.Sub.Allow) == 0 {
		p.Sub.Deny.Add(">")
	}
	return p
}

// tooWide are the filters of rules that end in + and by which NATS would allow all below
// them: it takes the # of a subscription for a level, so that who may subscribe to a and
// to a/+ may subscribe to a/#. Of such a subscription it then delivers what is not denied.
func tooWide(rules []auth.Rule) (filters []string) {
	for _, r := range rules {
		above, ok := strings.CutSuffix(r.Filter, "/+")
		if !r.Subscribe || !ok && r.Filter != "+" {
			continue
		}
		mayAll := maySubscribe(rules, below(r.Filter))
		mayAbove := !ok || maySubscribe(rules, above)
		if mayAbove && !mayAll && !slices.Contains(filters, r.Filter) {
			filters = append(filters, r.Filter)
		}
	}
	return filters
}

func maySubscribe(rules []auth.Rule, filter string) bool {
	return slices.ContainsFunc(rules, func(r auth.Rule) bool { return r.Subscribe && auth.Covers(r.Filter, filter) })
}

// below is the filter of all topics below those of a filter.
func below(filter string) string { return filter + "/+/#" }

// Check reports rules by which NATS would allow more than they do, or deny what they allow.
func Check(d *auth.Decider) error {
	for _, c := range d.Kinds() {
		if err := check(d.Permissions(c)); err != nil {
			return err
		}
	}
	return nil
}

// check is Check for the rules of one client.
func check(rules []auth.Rule) error {
	for _, r := range rules {
		for level := range strings.SplitSeq(r.Filter, "/") {
			if level == "*" || level == ">" {
				return fmt.Errorf("rule for %q: level %q: NATS takes it for a wildcard", r.Filter, level)
			}
		}
	}
	for _, filter := range tooWide(rules) {
		for _, r := range rules {
			if r.Subscribe && overlap(strings.Split(r.Filter, "/"), strings.Split(below(filter), "/")) {
				return fmt.Errorf("rules to subscribe to %q and to %q: NATS cannot allow just these, because it takes # for a level: allow %q, or leave one of them out", filter, r.Filter, filter+"/#")
			}
		}
	}
	return nil
}

// overlap reports whether there are topics that both filters match, given by their
// levels.
func overlap(a, b []string) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == "#" || b[0] == "#":
			return true
		case a[0] != b[0] && a[0] != "+" && b[0] != "+":
			return false
		}
		a, b = a[1:], b[1:]
	}
	rest := slices.Concat(a, b)
	return len(rest) == 0 || len(rest) == 1 && rest[0] == "#" // which is also the level above it
}

// Subjects are a topic filter as NATS has it: levels end with dots, an empty one is a
// slash, and # does not include the level above it.
func Subjects(filter string) []string {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch level {
		case "+":
			levels[i] = "*"
		case "#":
			levels[i] = ">"
		case "":
			levels[i] = "/"
		default:
			levels[i] = strings.ReplaceAll(level, ".", "//")
		}
	}
	s := strings.Join(levels, ".")
	if above, ok := strings.CutSuffix(s, ".>"); ok {
		return []string{s, above}
	}
	return []string{s}
}
