package kafka

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/faults"
)

// Config is everything about a Source that can be set. Begin with DefaultConfig; New refuses
// what Validate refuses.
type Config struct {
	// ID names this bridge, and is its static membership in the group: [a-zA-Z0-9_-]{1,64}. Two
	// bridges of a group never share one, and each keeps its own over restarts.
	ID     string
	Client ClientConfig
	Group  string // of consumers: bridges with the same one share the partitions

	// FromEnd begins a topic on which the group has committed nothing at the end of what it
	// has; else at its beginning. Partitions that are added later are always read from their
	// beginning.
	FromEnd bool
	// GoOn passes over records that are gone, and begins a topic that was deleted and made
	// again at its beginning. Else their partitions stop.
	GoOn bool
	// DeadLetters is the topic of records that are refused; "": they are counted and
	// logged only.
	DeadLetters string

	ingest.Config

	Waiting        int           // records of a partition that wait to be taken; with more, it is paused
	CommitEvery    time.Duration // what was accepted meanwhile
	SessionTimeout time.Duration // without a sign of a member, its partitions go to others
	TopicsEvery    time.Duration // between looks for new partitions
	StillAfter     time.Duration // a partition with records that has not moved for so long is not ready

	// DrainTimeout is how long Run goes on, in all, after the end of its context.
	DrainTimeout time.Duration
}

// DefaultConfig is a bridge named "bridge", in a group "devicetwin", for a broker on this host. There
// is no quota: what a topic has kept is not more than an entity may say.
func DefaultConfig() Config {
	c := Config{
		ID:     "bridge",
		Client: ClientConfig{Brokers: []string{"127.0.0.1:9092"}},
		Group:  "devicetwin",
		Config: ingest.DefaultConfig(),

		Waiting:        1000,
		CommitEvery:    time.Second,
		SessionTimeout: 45 * time.Second,
		TopicsEvery:    time.Minute,
		StillAfter:     time.Minute,
		DrainTimeout:   10 * time.Second,
	}
	c.QuotaRate, c.QuotaWaiting, c.QuotaCatchUp = 0, 0, 0
	return c
}

var (
	idPattern    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	topicPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
)

// Validate reports every fault, as one error with a line for each.
func (c Config) Validate() error {
	var f faults.List
	f.Check(idPattern.MatchString(c.ID), "bridge id %q: expected %s", c.ID, idPattern)
	f.Check(c.Group != "" && len(c.Group) <= 249, "consumer group %q: expected 1 to 249 characters", c.Group)
	f.Check(c.DeadLetters == "" || topicPattern.MatchString(c.DeadLetters), "topic of dead letters %q: expected %s", c.DeadLetters, topicPattern)
	f.Add(c.Client.Validate())
	f.Add(c.Config.Validate())
	f.Check(c.Partition.Of <= 1, "partition %v: the group shares the partitions of topics; expected none", c.Partition)
	f.Between("records of a partition that wait", c.Waiting, 1, 1_000_000)
	f.Positive("interval of commits", c.CommitEvery)
	f.Check(time.Second <= c.SessionTimeout && c.SessionTimeout <= 30*time.Minute, "session timeout %v: expected 1s to 30m", c.SessionTimeout)
	f.Positive("interval between looks for new partitions", c.TopicsEvery)
	f.Positive("time after which a partition that does not move is not ready", c.StillAfter)
	f.Positive("drain timeout", c.DrainTimeout)
	return f.Err()
}

// CheckTopics reports topics that cannot be read; New refuses them.
func (c Config) CheckTopics(topics []string) error {
	var f faults.List
	f.Check(len(topics) > 0, "no topic is read: expected a dialect with one")
	for _, t := range topics {
		f.Check(topicPattern.MatchString(t), "topic %q: expected %s", t, topicPattern)
		f.Check(t != c.DeadLetters, "topic %q: it is that of dead letters, each of which would become another one", t)
	}
	return f.Err()
}

// CheckTopic reports a name that is not one of a topic.
func CheckTopic(name string) error {
	if !topicPattern.MatchString(name) {
		return fmt.Errorf("topic %q: expected %s", name, topicPattern)
	}
	return nil
}

// instance is the name of the static member.
func (c Config) instance() string { return "devicetwin-" + c.ID }

// known lists mechanisms for errors.
var known = strings.Join([]string{Plain, ScramSHA256, ScramSHA512, OAuthBearer}, ", ")
