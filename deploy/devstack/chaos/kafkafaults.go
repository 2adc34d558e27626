package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"devicetwin/deploy/devstack/process"
)

// Parts of cases with Kafka. The first broker is the controller, without which no partition gets another
// leader; a fault of KafkaBroker meets one of the others.
const (
	Controller  Part = "controller"
	KafkaBroker Part = "kafka"
	Everybody   Part = "everybody" // all clients, and the other brokers

	quorum Part = "kafka-quorum" // port of the controller
)

// kafkaNodes are the brokers.
var kafkaNodes = []Part{Controller, "kafka-2", "kafka-3"}

// slowNode is the broker that everybody finds behind a proxy, if the fault is about that link.
const slowNode = 2

// besidesKafka are faults of all systems that are run with Kafka as well.
var besidesKafka = []string{"kill-worker", "kill-temporal"}

// shortKafka is the fault of the short form.
const shortKafka = "kill-kafka"

// kafkaFaults are those that only Kafka has. Two bridges are in one group.
func kafkaFaults(short bool) []Fault {
	d := durationsOf(short)
	faults := []Fault{
		{Kind: Kill, Part: KafkaBroker, Rounds: d.kills, Lasts: d.full},
		{Kind: Kill, Part: Controller, Rounds: d.rolls, Lasts: d.kill},
		{Kind: Pause, Part: KafkaBroker, Rounds: 1, Lasts: d.pause},
		{Kind: Move, Rounds: d.kills, Lasts: d.kill},
		{Kind: Rebalance, Rounds: 2, Lasts: 2 * kafkaSession},
		{Kind: Delay, Link: Link{Everybody, KafkaBroker}, Rounds: 1, Lasts: d.slow},
		{Kind: Throttle, Link: Link{Everybody, KafkaBroker}, Rounds: 1, Lasts: d.slow},
		{Kind: Grow, Rounds: 1, Lasts: d.kill},
	}
	for i := range faults {
		faults[i].Kafka = true
	}
	return named(faults)
}

func (f Fault) kafkaWords(times string) string {
	switch f.Kind {
	case Move:
		return fmt.Sprintf("each partition gets another leader, up to %d times", f.Rounds)
	case Rebalance:
		return fmt.Sprintf("one of the bridges is killed (kill -9) and started again after %v, %d times; a third one is added meanwhile", f.Lasts, f.Rounds)
	default:
		return fmt.Sprintf("the topic of purchases grows from %d to %d partitions, while new customers come", partitions, grownPartitions)
	}
}

// kafkaActions begin and end the faults of Kafka that are not those of a process or a link.
func (in *injection) kafkaActions(ctx context.Context) (begin func() error, end func(context.Context) error) {
	s := in.system
	switch in.fault.Kind {
	case Move:
		return func() error { return s.moveLeaders(ctx) }, func(context.Context) error { return nil }
	case Rebalance:
		return func() error { return in.rebalance(ctx) }, func(ctx context.Context) error { return s.launch(ctx, in.killed) }
	}
	return func() error { return s.growTopic(ctx) }, s.awaitGrown
}

func (in *injection) kafkaBegun() string {
	switch in.fault.Kind {
	case Move:
		return "moved the leaders of all partitions"
	case Rebalance:
		return "killed " + inLine(in.killed) + "; there are " + fmt.Sprint(len(in.system.bridges)) + " bridges"
	}
	return "added partitions"
}

// rebalance kills a bridge, another one each time. At first it adds one as well, which has to find its place
// among those that are left.
func (in *injection) rebalance(ctx context.Context) error {
	s := in.system
	victim := s.bridges[in.met%len(s.bridges)]
	in.killed = []Part{victim}
	s.Parts[victim].Kill()
	added := several(Bridge, 3)[2]
	if slices.Contains(s.bridges, added) {
		return nil
	}
	s.addKafkaBridge(added)
	s.bridges = append(s.bridges, added)
	s.all = append(s.all, added)
	return s.Parts[added].Launch()
}

// leader is the broker that leads most partitions, but for the controller.
func (s *system) leader(ctx context.Context) (Part, error) {
	topics, err := s.kafka.admin.ListTopics(ctx, purchases)
	if err != nil {
		return "", fmt.Errorf("list the leaders of topic %s: %w", purchases, err)
	}
	led := make([]int, len(kafkaNodes))
	for _, p := range topics[purchases].Partitions {
		if p.Leader >= 1 && int(p.Leader) <= len(led) {
			led[p.Leader-1]++
		}
	}
	most := 1
	for i := 2; i < len(led); i++ {
		if led[i] > led[most] {
			most = i
		}
	}
	if led[most] == 0 {
		return "", fmt.Errorf("topic %s: no partition is led by a broker besides the controller", purchases)
	}
	return kafkaNodes[most], nil
}

const kafkaPatience = 30 * time.Second

// moveLeaders lets the next of its replicas lead each partition.
func (s *system) moveLeaders(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, kafkaPatience, errors.New("the partitions have no other leaders after 30 seconds"))
	defer cancel()
	topics, err := s.kafka.admin.ListTopics(ctx, purchases)
	if err != nil {
		return fmt.Errorf("list the leaders of topic %s: %w", purchases, err)
	}
	var request kadm.AlterPartitionAssignmentsReq
	want, all := map[int32]int32{}, kadm.TopicsSet{}
	for _, p := range topics[purchases].Partitions {
		at := slices.Index(p.Replicas, p.Leader)
		if at < 0 {
			return fmt.Errorf("partition %d of topic %s has no leader", p.Partition, purchases)
		}
		next := slices.Concat(p.Replicas[at+1:], p.Replicas[:at+1])
		request.Assign(purchases, p.Partition, next)
		want[p.Partition] = next[0]
		all.Add(purchases, p.Partition)
	}
	altered, err := s.kafka.admin.AlterPartitionAssignments(ctx, request)
	if err == nil {
		err = altered.Error()
	}
	if err != nil {
		return fmt.Errorf("change the order of the replicas of topic %s: %w", purchases, err)
	}
	return process.Poll(ctx, flowEvery, func(ctx context.Context) (bool, error) {
		if _, err := s.kafka.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, all); err != nil {
			return false, nil // tried again
		}
		now, err := s.kafka.admin.ListTopics(ctx, purchases)
		if err != nil {
			return false, nil
		}
		for _, p := range now[purchases].Partitions {
			if p.Leader != want[p.Partition] {
				return false, nil
			}
		}
		return true, nil
	})
}

// growTopic adds partitions to the topic of purchases.
func (s *system) growTopic(ctx context.Context) error {
	grown, err := s.kafka.admin.UpdatePartitions(ctx, grownPartitions, purchases)
	if err == nil {
		err = grown.Error()
	}
	if err != nil {
		return fmt.Errorf("add partitions to topic %s: %w", purchases, err)
	}
	s.kafka.partitions = grownPartitions
	return nil
}

// awaitGrown waits until the bridges have the partitions that were added.
func (s *system) awaitGrown(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("no bridge has the added partitions after 2 minutes"))
	defer cancel()
	return process.Poll(ctx, flowEvery, func(ctx context.Context) (bool, error) {
		_, err := s.receivedRecords(ctx)
		return err == nil, s.Crashed()
	})
}
