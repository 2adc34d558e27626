package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
)

// The topics of cases with Kafka, as the scenario of customers names them.
const (
	purchases   = "purchases"
	deadLetters = "shop.dead"
	levels      = "shop.levels"

	partitions      = 6 // of the topic of purchases
	grownPartitions = 9
)

// kafkaSession is after what time the partitions of a bridge that is gone go to others.
const kafkaSession = 6 * time.Second

// kafkaStill is how long a bridge says after a failed fetch that it is not ready: with the usual minute, no round
// would follow another one.
const kafkaStill = 8 * time.Second

// shopFiles are the model of customers, and what belongs to it.
var shopFiles = []string{"customer.yaml", "customer.scenario.yaml", "customer.kinds.yaml", "customer.dialect.yaml"}

// kafkaSystem is what a system with Kafka has in addition.
type kafkaSystem struct {
	cluster    *servers.Kafka
	client     *kgo.Client
	admin      *kadm.Client
	partitions int    // of the topic of purchases
	dir        string // of the files
}

// startKafkaSystem starts everything for customers: three brokers, one of which is the controller, two bridges in one
// group, and a worker, which publishes no command, and has a broker of MQTT because it needs one.
func startKafkaSystem(ctx context.Context, o Options, pool *process.PortPool, dir string, c Case) (*system, error) {
	s := &system{
		System: process.NewSystem(o.Program, dir, getPatience), pool: pool, ack: c.Ack,
		bridges: several(Bridge, 2), all: several(Bridge, 2), workers: c.Fault.workers(),
		kafka: &kafkaSystem{partitions: partitions, dir: dir},
	}
	parts := slices.Concat([]Part{Broker, Temporal, linkPort, quorum}, kafkaNodes, s.workers, several(Bridge, 3))
	if err := s.Prepare(pool, parts...); err != nil {
		return s, err
	}
	if err := s.addKafka(c.Fault.Link); err != nil {
		return s, err
	}
	if err := s.AddBroker(process.NATS); err != nil {
		return s, err
	}
	s.AddTemporal()
	if err := s.launch(ctx, append([]Part{Broker, Temporal}, kafkaNodes...)); err != nil {
		return s, err
	}
	if err := s.makeTopics(ctx); err != nil {
		return s, err
	}
	for _, part := range s.workers {
		s.AddService(process.Service{Part: part, Command: "worker", Flags: slices.Concat(s.WorkerFlags("chaos-"+string(part)), s.shopFlags(), []string{
			"--worker-run-events", strconv.Itoa(runEvents), "--worker-notify", "levels=kafka:" + levels,
		})})
	}
	for _, part := range s.bridges {
		s.addKafkaBridge(part)
	}
	return s, s.Start(ctx, slices.Concat(s.workers, s.bridges)...)
}

// addKafka adds the brokers. Each record has three copies, of which two are there before it is acknowledged.
func (s *system) addKafka(link Link) error {
	var names, ports []string
	for _, node := range kafkaNodes {
		names, ports = append(names, string(node)), append(ports, s.Ports[node])
	}
	cluster, err := servers.NewKafka(s.Dir, s.Data(), names, append(ports, s.Ports[quorum]),
		"offsets.topic.replication.factor=3", "default.replication.factor=3", "min.insync.replicas=2")
	if err != nil {
		return err
	}
	if link != (Link{}) {
		if s.proxied, err = openLink(link, s.At(linkPort), s.At(kafkaNodes[slowNode])); err != nil {
			return err
		}
		cluster.Advertise(slowNode, s.proxied.addr())
	}
	for i, node := range kafkaNodes {
		s.Parts[node] = cluster.Nodes[i]
	}
	s.kafka.cluster = cluster
	return nil
}

func (s *system) makeTopics(ctx context.Context) (err error) {
	k := s.kafka
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.cluster.Addresses...), kgo.MetadataMinAge(100*time.Millisecond)); err != nil {
		return fmt.Errorf("configure the client of Kafka: %w", err)
	}
	k.admin = kadm.NewClient(k.client)
	ctx, cancel := context.WithTimeout(ctx, 2*kafkaPatience)
	defer cancel()
	for topic, n := range map[string]int32{purchases: partitions, deadLetters: 1, levels: 1} {
		var last error
		err := process.Poll(ctx, time.Second, func(ctx context.Context) (bool, error) { // until all brokers are known to the controller
			_, last = k.admin.CreateTopic(ctx, n, int16(len(kafkaNodes)), nil, topic)
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("make topic %s: %w", topic, errors.Join(err, last))
		}
	}
	return nil
}

// brokers are the addresses of all brokers, as a flag has them.
func (s *system) brokers() string { return strings.Join(s.kafka.cluster.Addresses, ",") }

// shopFlags are those of bridges and workers.
func (s *system) shopFlags() []string {
	return []string{"--kafka-brokers", s.brokers(), "--models", filepath.Join(s.kafka.dir, "customer.yaml"), "--kinds", filepath.Join(s.kafka.dir, "customer.kinds.yaml")}
}

// addKafkaBridge adds a bridge of the group.
func (s *system) addKafkaBridge(part Part) {
	s.AddService(process.Service{Part: part, Command: "kafka", Flags: append([]string{
		"--kafka-id", string(part), "--kafka-group", "shop", "--kafka-dialect", filepath.Join(s.kafka.dir, "customer.dialect.yaml"),
		"--kafka-dead-letters", deadLetters, "--kafka-session-timeout", kafkaSession.String(),
		"--kafka-still-after", kafkaStill.String(),
	}, s.shopFlags()...)})
}

// receivedRecords is how many records the present lives of the bridges have received. The error says that the
// partitions are not shared: a bridge has none, or a partition has no bridge.
func (s *system) receivedRecords(ctx context.Context) (all float64, err error) {
	shared := 0.0
	for _, part := range s.bridges {
		m, err := s.Metrics(ctx, part, process.MetricReceived, process.MetricPartitions)
		if err != nil {
			return 0, err
		}
		if m[process.MetricPartitions] == 0 {
			return 0, fmt.Errorf("%s has no partition", part)
		}
		all, shared = all+m[process.MetricReceived], shared+m[process.MetricPartitions]
	}
	if shared != float64(s.kafka.partitions) {
		return 0, fmt.Errorf("the bridges have %v of %d partitions", shared, s.kafka.partitions)
	}
	return all, nil
}

// playEntities is play of a case with Kafka.
func (p *play) playEntities(ctx context.Context, outcome *Outcome) error {
	for _, name := range shopFiles {
		raw, err := files.ReadFile("testdata/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.dir, name), raw, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	s, err := startKafkaSystem(ctx, p.Options, p.pool, p.dir, p.Case)
	defer s.close()
	if err != nil {
		return err
	}
	fleet := p.customers(s)
	if err := fleet.Launch(); err != nil {
		return fmt.Errorf("start the customers: %w", err)
	}
	defer fleet.Kill()
	in := &injection{
		system: s, fleet: fleet, fault: p.Fault, say: p.say,
		until: time.Now().Add(p.Fault.plays()), enough: p.enough(),
	}
	if err := in.run(ctx); err != nil {
		return errors.Join(err, s.Crashed())
	}
	p.say("waiting for the customers and the ledger")
	select {
	case <-fleet.Ended():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := errors.Join(outcome.readReport(p.report, fleet), in.used(), s.Crashed()); err != nil {
		return err
	}
	if err := outcome.ask(ctx, s, nil); err != nil {
		return err
	}
	outcome.Added, err = s.onAddedPartitions(ctx)
	return err
}

// enough is how many records there have to be between rounds. Of a case in which customers come all the
// time there are few at first.
func (p *play) enough() float64 {
	if p.Fault.Kind == Grow {
		return float64(p.Devices) / 4
	}
	return float64(p.Devices) * p.Rate
}

// onAddedPartitions is how many records there are on partitions that were added.
func (s *system) onAddedPartitions(ctx context.Context) (all int64, err error) {
	ends, err := s.kafka.admin.ListEndOffsets(ctx, purchases)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the ends of topic %s: %w", purchases, err)
	}
	ends.Each(func(l kadm.ListedOffset) {
		if l.Partition >= partitions {
			all += l.Offset
		}
	})
	return all, nil
}

// customers are the simulator. If the topic grows, they come one after another all the time.
func (p *play) customers(s *system) *process.Process {
	seed := fnv.New64a()
	fmt.Fprint(seed, p.Fault.Name, p.Broker, p.Seed)
	plays, come := p.Fault.plays(), 50.0
	if p.Fault.Kind == Grow {
		plays /= 2 // after the last one has come
		come = float64(p.Devices) / plays.Seconds()
	}
	return process.New(p.dir, string(Devices), nil, func() *exec.Cmd {
		return p.Program("devicetwin", "simulate", "--kafka-brokers", s.brokers(), "--temporal-address", s.At(Temporal),
			"--model", filepath.Join(p.dir, "customer.yaml"), "--report", p.report, "--log-level", "warn", "--influx-url=",
			"--devices", strconv.Itoa(p.Devices), "--rate", strconv.FormatFloat(p.Rate, 'g', -1, 64),
			"--duration", plays.String(), "--seed", strconv.FormatUint(seed.Sum64()>>1, 10),
			"--connect-rate", strconv.FormatFloat(come, 'g', -1, 64), "--drain", p.drain().String())
	})
}

// provedEntities is proved of a case with Kafka.
func (o *Outcome) provedEntities() error {
	e := o.Entities
	switch {
	case e == nil:
		return errors.New("there is no report of the customers")
	case e.Applied == 0 || e.NotifiedExpected == 0:
		return fmt.Errorf("%d records applied and %d notifications expected: nothing was proved", e.Applied, e.NotifiedExpected)
	case e.Copies == 0 || e.Deletions == 0 || e.DeadLettersMeant == 0:
		return fmt.Errorf("%d copies, %d deletions, %d values that cannot be read: nothing was proved", e.Copies, e.Deletions, e.DeadLettersMeant)
	case o.ContinuedAsNew == 0:
		return errors.New("no workflow was continued as new")
	case o.Fault == string(Grow) && o.Added == 0:
		return errors.New("no record is on a partition that was added")
	}
	return nil
}

// entityViolations is violations of a case with Kafka.
func (o *Outcome) entityViolations() error {
	e := o.Entities
	switch {
	case !e.Clean:
		return errors.New("the ledger has violations")
	// Clean is the simulator's conclusion; these are the figures.
	case e.Lost+e.Duplicated+e.Reordered+e.Unexpected+e.NotifiedMissing+e.NotifiedSpurious != 0, e.CountsWrong+e.Unsettled != 0,
		e.Applied != e.Relevant, e.DeadLetters != e.DeadLettersMeant:
		return errors.New("the figures of the ledger show violations")
	}
	return nil
}

// summarizeEntities writes how a case with Kafka ended.
func (o Outcome) summarizeEntities(w io.Writer) {
	e := o.Entities
	switch o.verdict() {
	case "yes":
		fmt.Fprintf(w, "CLEAN: %d records applied, %d counted, each once; %d notifications, each once\n", e.Applied, e.Counted, e.NotifiedExpected)
	case "error":
		fmt.Fprintf(w, "ERROR: %s\n", o.Error)
	default:
		fmt.Fprintf(w, "NOT CLEAN: %s\n", o.Error)
		var text bytes.Buffer
		_ = e.WriteText(&text) // a buffer takes everything
		_, _ = w.Write(text.Bytes())
	}
	if o.Logs != "" {
		fmt.Fprintf(w, "  logs are in %s\n", o.Logs)
	}
}
