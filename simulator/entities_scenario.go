package simulator

import (
	"regexp"
	"slices"
	"time"

	"devicetwin/source"
)

// EntityScenario says what entities do whose messages are records of Kafka, and what the
// service is expected to make of them. ReadEntityScenario makes one.
type EntityScenario struct {
	Name     string
	Duration time.Duration // of a run that is given none; 0: the simulator's own default
	Kafka    EntityTopics
	Profiles []EntityProfile
	Records  []RecordKind
	// Duplicates are records that are written twice, as by a sender that repeats a request: PerMessage
	// is the part of the records, and Delay when the second one follows.
	Duplicates Repeats
	Deletions  Deletions
	Poison     Poison
	Expect     EntityExpect
}

// EntityTopics are what bridge and worker need to read what the entities say, and the topics that
// they write to.
type EntityTopics struct {
	Kinds       string // file of kinds, as it is written in the scenario
	Dialect     string // file of the dialect, the same
	DeadLetters string // topic
	Partitions  int    // of the topics of records, for who makes them
	// Receivers are those of the worker that the model needs, each with its topic.
	Receivers map[string]string
}

// EntityProfile is a way to behave. Weights are relative to those of the others; Pace is how many
// records there are for each of Rate.
type EntityProfile struct {
	Name   string
	Weight float64
	Pace   float64
}

// RecordKind is one kind of records. Weights are relative.
type RecordKind struct {
	Name   string
	Weight float64
	Topic  string
	Value  []Field
	ID     string // field of the value that has an id of its own in each record; "": none has
}

// Deletions are records without a value.
type Deletions struct {
	PerMinute float64 // of each entity
	Topic     string
	Back      float64 // part of the entities that go on after it
	After     Range   // and when
}

// Poison is records that cannot be read.
type Poison struct {
	PerMinute float64 // of each entity
	Topic     string
}

// EntityExpect is the oracle's own configuration, written down apart from the model, so that a mistake in
// the model shows.
type EntityExpect struct {
	Count    EntityCount
	Notified Notified
}

// EntityCount says which records are counted, and where the model of the entity has the
// count. A deletion begins again at 0.
type EntityCount struct {
	Record string // name of a RecordKind
	In     string // name in the context of the model
}

// Notified is what somebody outside is notified of, by records of a topic of the worker, when the count
// reaches a number; once for each time that it does. Without a Topic, there are no notifications.
type Notified struct {
	Topic string
	Field string // of the data
	At    []Threshold
}

// Threshold is a count, and what is said then.
type Threshold struct {
	Count int
	Says  string
}

// PlaysEntities reports whether a scenario file is one of entities: it has records. A file that
// cannot be read is one of devices, whose reader has the faults.
func PlaysEntities(src []byte) bool {
	f := source.Parse("scenario", src)
	if f.Err() != nil || !f.Root().IsMap() {
		return false
	}
	return slices.ContainsFunc(f.Root().Entries(), func(e source.Entry) bool { return e.Key == "records" })
}

// ReadEntityScenario reads a scenario file of entities. The error is source.Faults, all faults at
// once with line and column.
func ReadEntityScenario(file string, src []byte) (*EntityScenario, error) {
	f := source.Parse(file, src)
	s := readEntityScenario(f.Root())
	if err := f.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func readEntityScenario(root source.Node) *EntityScenario {
	if !root.Exists() {
		root.Faultf("the file is empty; expected a scenario")
		return nil
	}
	m := root.Fields("scenario", "duration", "kafka", "profiles", "records", "duplicates", "deleted", "poison", "expect")
	root.Require(m, "scenario", "kafka", "records", "expect")
	s := &EntityScenario{
		Name:       readName(m["scenario"]),
		Duration:   readPositiveDuration(m["duration"]),
		Kafka:      readEntityTopics(m["kafka"]),
		Profiles:   readEntityProfiles(m["profiles"]),
		Records:    readRecordKinds(m["records"]),
		Duplicates: readRecordRepeats(m["duplicates"]),
		Deletions:  readDeletions(m["deleted"]),
		Poison:     readRecordPoison(m["poison"]),
	}
	s.Expect = readEntityExpect(m["expect"], s.Records)
	return s
}

func readEntityTopics(n source.Node) EntityTopics {
	if !n.Exists() {
		return EntityTopics{}
	}
	m := n.Fields("kinds", "dialect", "dead_letters", "partitions", "receivers")
	n.Require(m, "kinds", "dialect", "dead_letters")
	t := EntityTopics{Kinds: m["kinds"].String(), Dialect: m["dialect"].String(), DeadLetters: readTopic(m["dead_letters"]), Partitions: 6, Receivers: map[string]string{}}
	for _, e := range m["receivers"].Entries() {
		t.Receivers[e.Key] = readTopic(e.Value)
	}
	if m["partitions"].Exists() {
		t.Partitions = int(m["partitions"].Int(1, 1000))
	}
	return t
}

var kafkaTopicForm = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func readTopic(n source.Node) string {
	topic := n.String()
	if n.IsString() && !kafkaTopicForm.MatchString(topic) {
		n.Faultf("expected a topic of Kafka, of 1 to 249 of a-z A-Z 0-9 . _ -, found %q", topic)
	}
	return topic
}

func readEntityProfiles(n source.Node) []EntityProfile {
	if !n.Exists() {
		return []EntityProfile{{Name: "usual", Weight: 1, Pace: 1}}
	}
	var all []EntityProfile
	total := 0.0
	for _, e := range n.Entries() {
		m := e.Value.Fields("weight", "pace")
		p := EntityProfile{Name: e.Key, Weight: 1, Pace: 1}
		if m["weight"].Exists() {
			p.Weight = readWeight(m["weight"])
		}
		if m["pace"].Exists() {
			p.Pace = readWithin(m["pace"], 0.001, 1000, "a pace")
		}
		total += p.Weight
		all = append(all, p)
	}
	if n.IsMap() && total == 0 {
		n.Faultf("expected at least one profile with a weight above 0")
	}
	return all
}

func readRecordKinds(n source.Node) []RecordKind {
	if !n.Exists() {
		return nil
	}
	var all []RecordKind
	total := 0.0
	for _, e := range n.Entries() {
		m := e.Value.Fields("weight", "topic", "value", "id")
		e.Value.Require(m, "topic", "value")
		k := RecordKind{Name: e.Key, Weight: 1, Topic: readTopic(m["topic"]), ID: m["id"].String()}
		if m["weight"].Exists() {
			k.Weight = readWeight(m["weight"])
		}
		if m["value"].Exists() {
			for _, f := range m["value"].Entries() {
				if f.Key == k.ID {
					f.KeyAt.Faultf("key %q is written by the simulator itself, as the id of the record", f.Key)
				}
				k.Value = append(k.Value, Field{Name: f.Key, Generator: readGenerator(f.Value)})
			}
		}
		total += k.Weight
		all = append(all, k)
	}
	if n.IsMap() && total == 0 {
		n.Faultf("expected at least one kind of records with a weight above 0")
	}
	return all
}

func readRecordRepeats(n source.Node) Repeats {
	if !n.Exists() {
		return Repeats{}
	}
	m := n.Fields("per_record", "delay")
	n.Require(m, "per_record")
	return Repeats{PerMessage: readPart(m["per_record"]), Delay: readRange(m["delay"])}
}

func readDeletions(n source.Node) Deletions {
	if !n.Exists() {
		return Deletions{}
	}
	m := n.Fields("per_minute", "topic", "back", "after")
	n.Require(m, "per_minute", "topic")
	return Deletions{PerMinute: readRate(m["per_minute"]), Topic: readTopic(m["topic"]), Back: readPart(m["back"]), After: readRange(m["after"])}
}

func readRecordPoison(n source.Node) Poison {
	if !n.Exists() {
		return Poison{}
	}
	m := n.Fields("per_minute", "topic")
	n.Require(m, "per_minute", "topic")
	return Poison{PerMinute: readRate(m["per_minute"]), Topic: readTopic(m["topic"])}
}

func readEntityExpect(n source.Node, records []RecordKind) EntityExpect {
	if !n.Exists() {
		return EntityExpect{}
	}
	m := n.Fields("count", "notified")
	n.Require(m, "count")
	var e EntityExpect
	if c := m["count"]; c.Exists() {
		f := c.Fields("record", "in")
		c.Require(f, "record", "in")
		e.Count = EntityCount{Record: f["record"].String(), In: f["in"].String()}
		var names []string
		for _, k := range records {
			names = append(names, k.Name)
		}
		if f["record"].IsString() && !slices.Contains(names, e.Count.Record) {
			f["record"].FaultHint(source.DidYouMean(e.Count.Record, names), "there are no records %q", e.Count.Record)
		}
	}
	if t := m["notified"]; t.Exists() {
		f := t.Fields("topic", "field", "at")
		t.Require(f, "topic", "field", "at")
		e.Notified = Notified{Topic: readTopic(f["topic"]), Field: f["field"].String(), At: readThresholds(f["at"])}
	}
	return e
}

func readThresholds(n source.Node) []Threshold {
	if !n.Exists() {
		return nil
	}
	var all []Threshold
	for _, each := range n.List() {
		m := each.Fields("count", "says")
		each.Require(m, "count", "says")
		t := Threshold{Count: int(m["count"].Int(1, 1_000_000)), Says: m["says"].String()}
		if last := len(all) - 1; last >= 0 && m["count"].Exists() && t.Count <= all[last].Count {
			m["count"].Faultf("expected more than the count before, %d, found %d", all[last].Count, t.Count)
		}
		all = append(all, t)
	}
	if n.IsList() && len(all) == 0 {
		n.Faultf("expected at least one count")
	}
	return all
}

// recordTopics are those of records, sorted.
func (s *EntityScenario) recordTopics() []string {
	var all []string
	for _, k := range s.Records {
		all = append(all, k.Topic)
	}
	for _, topic := range []string{s.Deletions.Topic, s.Poison.Topic} {
		if topic != "" {
			all = append(all, topic)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Topics are all topics of the scenario, with the number of partitions of each, for who makes them:
// the service makes none.
func (s *EntityScenario) Topics() map[string]int {
	all := map[string]int{s.Kafka.DeadLetters: 1}
	for _, topic := range s.recordTopics() {
		all[topic] = s.Kafka.Partitions
	}
	if s.Expect.Notified.Topic != "" {
		all[s.Expect.Notified.Topic] = 1
	}
	for _, topic := range s.Kafka.Receivers {
		all[topic] = 1
	}
	return all
}
