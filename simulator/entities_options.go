package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/device"
	"devicetwin/wire"
)

// EntityTwins answers for the workflows of entities.
type EntityTwins interface {
	Twins
	// Context is the context of the entity's model; nil if it has no workflow.
	Context(ctx context.Context, id string) (map[string]any, error)
}

// EntityOptions say what RunEntities does. The zero values of the fields that are not marked as
// required have the defaults named next to them.
type EntityOptions struct {
	Kafka    []kgo.Opt       // required: how the brokers are reached
	Scenario *EntityScenario // required
	Kind     device.Kind     // required: of the entities
	Model    Model           // required
	Twins    EntityTwins     // required
	// Meaning is what a record says, by the dialect of the bridges; required. It is called from many
	// goroutines.
	Meaning func(topic string, key, value []byte) ([]wire.Received, error)

	Entities int           // required, 1 to 1,000,000
	Rate     float64       // records per second of an entity with a pace of 1; 1
	Duration time.Duration // of the run at full strength; that of the scenario, or 1 minute
	Seed     uint64

	// Prefix is the beginning of each entity's name: <prefix>0001. Default: the time of the start in
	// seconds, so that names of two runs differ and have digits only.
	Prefix    string
	StartRate float64       // entities that begin per second; 100
	Drain     time.Duration // longest wait after the run; 1 minute + 50 ms per entity

	Progress func(EntityProgress) // called about once a second; may be nil
	Log      *slog.Logger         // default: slog.Default()
}

func (o *EntityOptions) setDefaults(start time.Time) {
	if o.Rate == 0 {
		o.Rate = 1
	}
	if o.Duration == 0 && o.Scenario != nil {
		o.Duration = o.Scenario.Duration
	}
	if o.Duration == 0 {
		o.Duration = time.Minute
	}
	if o.Prefix == "" {
		o.Prefix = strconv.FormatInt(start.Unix(), 10)
	}
	if o.StartRate == 0 {
		o.StartRate = 100
	}
	if o.Drain == 0 {
		o.Drain = time.Minute + time.Duration(o.Entities)*50*time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(EntityProgress) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Validate reports every error, joined.
func (o EntityOptions) Validate() error {
	o.setDefaults(time.Unix(0, 0))
	var faults []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	refuse(o.Scenario == nil, "scenario: none given")
	refuse(o.Model == nil, "model: none given")
	refuse(o.Twins == nil, "twins: none given")
	refuse(o.Meaning == nil, "dialect: none given")
	refuse(o.Entities < 1 || o.Entities > 1_000_000, "entities: expected 1 to 1000000, found %d", o.Entities)
	refuse(!(o.Rate > 0 && o.Rate <= 1000), "rate: expected more than 0 and at most 1000 records per second, found %g", o.Rate)
	refuse(o.Duration < time.Second, "duration: expected at least 1s, found %s", o.Duration)
	refuse(!(o.StartRate > 0 && o.StartRate <= 10_000), "start rate: expected more than 0 and at most 10000 per second, found %g", o.StartRate)
	refuse(o.Drain < 0, "drain: expected a length of time, found %s", o.Drain)
	refuse(!prefixForm.MatchString(o.Prefix), "prefix: expected 1 to 100 of a-z A-Z 0-9 : _ -, found %q", o.Prefix)
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return o.checkMeanings()
}

// checkMeanings reports records of the scenario that the dialect does not take for those of the entity
// that is their key.
func (o EntityOptions) checkMeanings() error {
	var faults []error
	plan := newEntityPlan(o.Scenario, o.entityName(0), o.Seed, 0, o.Rate, o.Duration)
	for i, k := range o.Scenario.Records {
		plan.weights = make([]float64, len(o.Scenario.Records))
		plan.weights[i] = 1
		act := plan.record(0)
		if plan.err != nil {
			return plan.err
		}
		if _, err := o.meaning(k.Topic, o.entityName(0), act.value); err != nil {
			faults = append(faults, fmt.Errorf("scenario %s: record %s: %w", o.Scenario.Name, k.Name, err))
		}
	}
	if p := o.Scenario.Poison; p.PerMinute > 0 {
		if _, err := o.meaning(p.Topic, o.entityName(0), poison); err == nil {
			faults = append(faults, fmt.Errorf("scenario %s: poison: the dialect reads %s on topic %s, which is to be refused", o.Scenario.Name, poison, p.Topic))
		}
	}
	return errors.Join(faults...)
}

// meaning is what a record of an entity says. A record that says nothing, or something of another
// entity, is an error.
func (o EntityOptions) meaning(topic, name string, value []byte) ([]wire.Received, error) {
	received, err := o.Meaning(topic, []byte(name), value)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	for i := range received {
		if got := received[i].ID; got.Kind() != o.Kind || got.Name() != name {
			return nil, fmt.Errorf("topic %s: the record with the key %s is of %s: expected one of %s", topic, name, got, o.entityID(name))
		}
		received[i].Complete()
		if m := received[i].Message; m.Seq != 0 || m.Digest == "" {
			return nil, fmt.Errorf("topic %s: records with numbers (seq) are not played: let the dialect read an id", topic)
		}
	}
	return received, nil
}

// entityName is the name of the entity with this index, from 0: the key of its records.
func (o EntityOptions) entityName(index int) string {
	width := max(4, len(strconv.Itoa(o.Entities)))
	return fmt.Sprintf("%s%0*d", o.Prefix, width, index+1)
}

func (o EntityOptions) entityID(name string) string {
	if o.Kind == device.KindDevice {
		return name
	}
	return string(o.Kind) + "/" + name
}
