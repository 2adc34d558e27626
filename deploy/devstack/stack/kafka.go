package stack

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// usualPartitions is how many a topic has that is made when it is first used.
const usualPartitions = 6

// kafkaSession is the shortest time after which a member of a group may be taken for gone.
const kafkaSession = time.Second

// Kafka is a single broker that speaks Kafka's protocol: franz-go's, which is for development. It
// logs nothing.
type Kafka struct {
	cluster *kfake.Cluster
	release func()
}

func startKafka(_ context.Context, o Options, dir string, release func()) (*Kafka, error) {
	port, err := portOrFree(o.Host, o.Ports.Kafka)
	if err != nil {
		release()
		return nil, err
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(port), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(usualPartitions),
		kfake.GroupMinSessionTimeout(kafkaSession),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return net.Listen(network, net.JoinHostPort(o.Host, strconv.Itoa(port)))
		}),
	}
	if !o.RemoveData {
		options = append(options, kfake.DataDir(dir))
	}
	for _, topic := range slices.Sorted(maps.Keys(o.KafkaTopics)) {
		options = append(options, kfake.SeedTopics(int32(o.KafkaTopics[topic]), topic))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		release()
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	return &Kafka{cluster, release}, nil
}

// Addr is the broker's host and port.
func (k *Kafka) Addr() string { return k.cluster.ListenAddrs()[0] }

// Close stops the broker.
func (k *Kafka) Close() error {
	k.cluster.Close()
	k.release()
	return nil
}
