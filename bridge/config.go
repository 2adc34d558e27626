package bridge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/faults"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// Config is everything about a bridge that can be set. Begin with
// DefaultConfig; New refuses what Validate refuses.
type Config struct {
	// ID names this bridge in its topics (bridge/{ID}/deadletter) and figures:
	// [a-zA-Z0-9_-]{1,64}. Two bridges never share one.
	ID   string
	MQTT mqtt.Config

	// Wire is the grammar of topics and payloads, unless Deps has a dialect of its
	// own. New sets Wire.Mine.
	Wire wire.Config
	// Subscribe lists the topic filters to subscribe to. Empty means those of the
	// dialect. "$share/{group}/…" filters are probed at start, because some brokers
	// accept them and never deliver.
	Subscribe []string

	ingest.Config

	DeadLetterTimeout time.Duration // a refused message is acknowledged after this, published or not

	// DrainTimeout is how long Run goes on, in all, after the end of its context.
	DrainTimeout time.Duration
	FiguresEvery time.Duration // between counts of silent devices, and reports of refused messages in the log
}

// DefaultConfig is a bridge named "bridge" for a broker on this host. New
// fills an empty MQTT.ClientID with "devicetwin-bridge-{ID}".
func DefaultConfig() Config {
	return Config{
		ID:     "bridge",
		MQTT:   mqtt.DefaultConfig(),
		Wire:   wire.DefaultConfig(),
		Config: ingest.DefaultConfig(),

		DeadLetterTimeout: 5 * time.Second,

		DrainTimeout: 10 * time.Second,
		FiguresEvery: 10 * time.Second,
	}
}

var idPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Reading is the grammar of topics and payloads as a bridge reads it: only what devices of
// its partition say, and no more of that than it needs.
func (c Config) Reading() wire.Config {
	w := c.Wire
	if c.Partition.Of > 1 {
		w.Mine = c.Partition.Owns
	}
	w.Lazy = true
	return w
}

// Validate reports every fault, as one error with a line for each.
func (c Config) Validate() error {
	var f faults.List
	f.Check(idPattern.MatchString(c.ID), "bridge id %q: expected %s", c.ID, idPattern)
	f.Add(c.MQTT.Validate())
	f.Add(c.Wire.Validate())
	f.Add(c.checkShadowTopics())
	for _, filter := range c.Subscribe {
		if err := mqtt.CheckFilter(filter); err != nil {
			f.Add(fmt.Errorf("subscription %q: %w", filter, err))
		}
		// Else every dead letter would come back and make another one.
		f.Check(!slices.ContainsFunc(c.ownTopics(), func(own string) bool { return mqtt.Matches(filter, own) }),
			"subscription %q: it matches what the bridge itself publishes, %s", filter, strings.Join(c.ownTopics(), ", "))
	}
	f.Add(c.Config.Validate())
	f.Check(c.Partition.Of <= 1 || !slices.ContainsFunc(c.Subscribe, mqtt.Shared),
		"partition %v of a shared subscription: nobody would get the rest of what the broker delivers here; choose one of the two", c.Partition)
	f.Check(!c.RetainedBirths || !slices.ContainsFunc(c.Subscribe, mqtt.Shared),
		"retained births with a shared subscription: brokers send no retained messages for one")
	f.Check(c.WindowBytes >= c.Wire.MaxPayload, "window of %d bytes: expected at least the largest payload, %d", c.WindowBytes, c.Wire.MaxPayload)
	f.Positive("dead letter timeout", c.DeadLetterTimeout)
	f.Positive("drain timeout", c.DrainTimeout)
	f.Positive("interval of figures", c.FiguresEvery)
	return f.Err()
}

// ownTopics are those that belong to the bridge: it publishes on them.
func (c Config) ownTopics() []string {
	return []string{wire.DeadLetterTopic(c.ID), wire.StatusTopic(c.ID), wire.ClaimTopic(c.ID)}
}

// checkShadowTopics refuses templates that match what the bridge itself publishes.
func (c Config) checkShadowTopics() error {
	schemes, err := wire.ParseSchemes(c.Wire.Prefix, c.Wire.ShadowTopics)
	if err != nil {
		return nil // Wire.Validate reports it
	}
	var f faults.List
	for _, scheme := range schemes {
		for _, filter := range scheme.Filters() {
			own := c.ownTopics()
			i := slices.IndexFunc(own, func(own string) bool { return mqtt.Matches(filter, own) })
			f.Check(i < 0, "topic template %q: it takes in %s", scheme, own[max(0, i)])
		}
	}
	return f.Err()
}
