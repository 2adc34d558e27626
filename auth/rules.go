package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"devicetwin/internal/faults"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// Accounts of services whose permissions derive from the settings.
const (
	AccountBridge = "devicetwin.bridge"
	AccountWorker = "devicetwin.worker"
	AccountFleet  = "devicetwin.fleet" // the simulator, which acts as every device
)

// placeID is the name of a device in the filter of a rule.
const placeID = "{id}"

// Rule allows something: to devices, or to one account.
type Rule struct {
	Account   string // "" for every device
	Publish   bool
	Subscribe bool
	// Filter is an MQTT topic filter, in which {id} is the name of the device.
	Filter string
}

// Config says which topics there are. Begin with DefaultConfig.
type Config struct {
	Prefix       string   // of wire.Config
	ShadowTopics []string // of wire.Config
	// Allow is what is allowed in addition: see ParseRule.
	Allow []string
	// Anonymous admits clients that name nobody, and lets them use every topic.
	Anonymous bool
}

// DefaultConfig has the topics of wire.DefaultConfig and allows nothing else.
func DefaultConfig() Config {
	c := wire.DefaultConfig()
	return Config{Prefix: c.Prefix, ShadowTopics: c.ShadowTopics}
}

// ParseRule reads "ACTION FILTER" for devices, and "ACCOUNT: ACTION FILTER" for an
// account: "publish tele/{id}/#", "devicetwin.bridge: subscribe tele/#". The action
// is publish, subscribe or all. Devices may not publish to a topic that they share.
func ParseRule(s string) (Rule, error) {
	rule := s
	var r Rule
	if account, rest, ok := strings.Cut(rule, ": "); ok {
		if r.Account, rule = strings.TrimSpace(account), rest; !isService(r.Account) {
			return Rule{}, fmt.Errorf("rule %q: account %q: expected a name with a dot in it", s, r.Account)
		}
	}
	action, filter, ok := strings.Cut(strings.TrimSpace(rule), " ")
	r.Publish, r.Subscribe = action == "publish" || action == "all", action == "subscribe" || action == "all"
	r.Filter = strings.TrimSpace(filter)
	if !ok || !r.Publish && !r.Subscribe {
		return Rule{}, fmt.Errorf("rule %q: expected publish, subscribe or all, and a topic filter", s)
	}
	if err := r.check(); err != nil {
		return Rule{}, fmt.Errorf("rule %q: filter %q: %w", s, r.Filter, err)
	}
	return r, nil
}

func (r Rule) check() error {
	if err := mqtt.CheckFilter(r.of("x")); err != nil {
		return err
	}
	own := strings.Contains(r.Filter, placeID)
	switch {
	case mqtt.Shared(r.Filter):
		return errors.New("expected a filter without $share: it holds for shared subscriptions too")
	case r.Account != "" && own:
		return fmt.Errorf("expected no %s: an account is not a device; + is every device", placeID)
	case r.Account == "" && r.Publish && !own:
		return fmt.Errorf("expected %s in it: without it, each device could publish as every other one", placeID)
	}
	return nil
}

// of is the filter for a device.
func (r Rule) of(device string) string { return strings.ReplaceAll(r.Filter, placeID, device) }

// Rules are what the settings allow, those of the operator last. The error reports
// every fault.
func (c Config) Rules() ([]Rule, error) {
	var f faults.List
	topics := wire.DefaultConfig()
	topics.Prefix, topics.ShadowTopics = c.Prefix, c.ShadowTopics
	f.Add(topics.Validate())
	var allowed []Rule
	for _, s := range c.Allow {
		r, err := ParseRule(s)
		f.Add(err)
		allowed = append(allowed, r)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	schemes, err := wire.ParseSchemes(c.Prefix, c.ShadowTopics)
	if err != nil {
		return nil, err
	}
	return slices.Concat(deviceRules(c.Prefix, schemes), serviceRules(c.Prefix, schemes), allowed), nil
}

// deviceRules are those of a device: it sends its own messages and requests of the
// shadow protocol, and may read whatever is of its own.
func deviceRules(prefix string, schemes []wire.Scheme) []Rule {
	own := prefix + "/" + placeID
	rules := []Rule{
		{Publish: true, Filter: own + "/telemetry"},
		{Publish: true, Filter: own + "/status"},
		{Publish: true, Filter: own + "/events/+"},
		{Publish: true, Filter: own + "/commands/+/ack"},
		{Subscribe: true, Filter: own + "/#"},
	}
	for _, s := range schemes {
		for _, base := range []string{s.Base(placeID, ""), s.Base(placeID, "+")} {
			for _, method := range []string{"get", "update", "delete"} {
				rules = append(rules, Rule{Publish: true, Filter: base + "/" + method})
			}
		}
		rules = append(rules, Rule{Subscribe: true, Filter: s.Base(placeID, "") + "/#"})
	}
	return rules
}

// serviceRules are those of the accounts that every deployment has. From its status and
// its claim a bridge knows, when it starts, whether another one had its session.
func serviceRules(prefix string, schemes []wire.Scheme) []Rule {
	rules := []Rule{
		{Account: AccountBridge, Subscribe: true, Filter: prefix + "/#"},
		{Account: AccountBridge, Publish: true, Subscribe: true, Filter: wire.StatusTopic("+")},
		{Account: AccountBridge, Publish: true, Subscribe: true, Filter: wire.ClaimTopic("+")},
		{Account: AccountBridge, Publish: true, Filter: wire.DeadLetterTopic("+")},
		{Account: AccountWorker, Publish: true, Filter: prefix + "/+/commands/+"},
		{Account: AccountWorker, Publish: true, Filter: prefix + "/+/twin/#"}, // retained documents, whatever the topics of shadows are
		{Account: AccountFleet, Publish: true, Subscribe: true, Filter: prefix + "/#"},
	}
	for _, s := range schemes {
		shadows := s.Base("+", "") + "/#"
		rules = append(rules,
			Rule{Account: AccountBridge, Publish: true, Subscribe: true, Filter: shadows},
			Rule{Account: AccountWorker, Publish: true, Filter: shadows})
	}
	return compact(rules)
}

// compact leaves out rules that are there twice.
func compact(rules []Rule) (all []Rule) {
	for _, r := range rules {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Covers reports whether a topic filter matches each topic that another one can
// match: MQTT 3.1.1, section 4.7. A topic is a filter that matches itself.
func Covers(filter, other string) bool { return covers(filter, "", other) }

// covers is Covers for the filter of a rule, in which {id} is the name of a device. It
// fills in no more than it compares, since brokers ask for each message.
func covers(filter, device, other string) bool {
	if strings.HasPrefix(other, "$") && !strings.HasPrefix(filter, "$") {
		return false // a wildcard in the first level matches no topic with $
	}
	for {
		want, filterRest, filterMore := strings.Cut(filter, "/")
		got, otherRest, otherMore := strings.Cut(other, "/")
		switch {
		case device == "":
		case want == placeID:
			want = device
		case strings.Contains(want, placeID):
			want = strings.ReplaceAll(want, placeID, device)
		}
		switch {
		case want == "#":
			return true
		case got == "#", want != "+" && want != got:
			return false
		case !otherMore:
			return !filterMore || filterRest == "#" // which is also the level above it
		case !filterMore:
			return false
		}
		filter, other = filterRest, otherRest
	}
}
