package device

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	"devicetwin/internal/measure"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// Names of the activities. A model's invoke names its activity by src.
const (
	ActivityEmit        = "emit"
	ActivityReprovision = device.SourceReprovision
	ActivityNotify      = "notify"
	ActivityCall        = device.SourceCall
)

// Publisher sends MQTT messages. A nil error means that the broker has taken
// the message (PUBACK at QoS 1).
type Publisher interface {
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
}

// PointWriter takes points for InfluxDB. It never blocks: what it cannot write
// in the end, it counts.
type PointWriter interface {
	WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time)
}

// Dialect writes what is sent to devices; *wire.Standard is one.
type Dialect interface {
	Encode(id device.ID, to *device.Address, c wire.Command) (wire.Sending, error)
	EncodeDesired(id device.ID, to *device.Address, difference []byte) ([]wire.Publication, error)
	ShadowTopics(id device.ID, d wire.ShadowDocument) []string
}

// Activities are what device workflows do to the world.
type Activities struct {
	Dialect     Dialect
	Publisher   Publisher
	Points      PointWriter
	Counts      *Counts // nil: nothing is counted
	Provisioner Provisioner
	Models      Models
	// Topics are the MQTT filters of the topics that models may publish to; {id}
	// in them stands for the device.
	Topics []string
	// OfDevices reports whether a topic is one of devices, to which entities of other kinds
	// never publish. Nil: none is known.
	OfDevices func(topic string) bool
	// Receivers are the addresses of webhooks, by the names that models use; or
	// devicefsm.KafkaTopic and a topic of Kafka.
	Receivers map[string]string
	// Records writes records to Kafka, and RecordTopics are those to which; nil: there is no Kafka.
	Records      RecordWriter
	RecordTopics RecordTopics
}

// Emit sends the messages, points and records of a batch. It may run twice: a message and a record
// keep their ids, a point its time and tags. Records that cannot be written do not fail it: the result says
// how many are.
func (a *Activities) Emit(ctx context.Context, e Emission) (Emitted, error) {
	letters, done, err := a.written(e)
	if err != nil {
		return Emitted{}, err
	}
	for _, l := range letters {
		if err := a.post(ctx, e.Device, l); err != nil {
			return Emitted{}, err
		}
	}
	if len(e.Records) > 0 {
		within, cancel := context.WithTimeout(ctx, writeWithin)
		defer cancel()
		n, refused, _ := a.writeRecords(within, e) // the writer has said why
		done.Recorded, done.Refused = n, append(done.Refused, refused...)
	}
	for _, p := range e.Points {
		if a.Counts != nil && !p.Arrived.IsZero() {
			a.Counts.EventToState.Observe(max(0, time.Since(p.Arrived).Seconds()))
		}
		a.Points.WritePoint(p.Measurement, p.Tags, integers(p.Fields), p.At)
	}
	return done, nil
}

func (a *Activities) mayPublish(id device.ID, topic string) bool {
	if mqtt.CheckTopic(topic) != nil {
		return false
	}
	return slices.ContainsFunc(a.Topics, func(filter string) bool {
		return mqtt.Matches(strings.ReplaceAll(filter, "{id}", id.Name()), topic)
	})
}

// counted are the fields that are whole numbers.
var counted = []string{
	measure.Count, measure.ReprovisionStarted, measure.ReprovisionSent, measure.ReprovisionDone,
	measure.ReprovisionFailed, measure.ReprovisionAttempt, measure.TwinVersion, measure.AlarmRaised, measure.AlarmEnded,
}

// integers turns counts, which are float64 after their way through JSON, into
// the integers that they are: InfluxDB keeps one type for each field.
func integers(fields map[string]any) map[string]any {
	out := maps.Clone(fields)
	for _, name := range counted {
		if n, ok := out[name].(float64); ok {
			out[name] = int64(n)
		}
	}
	return out
}

// Credentials is what a device logs in with after it was reprovisioned.
type Credentials struct {
	// ID is the id of the command that brought them; the device names it in its
	// next birth message.
	ID       string `json:"id"`
	Username string `json:"username"`
	Password string `json:"password"`
}

type reprovisionData struct {
	Credentials Credentials    `json:"credentials"`
	Config      map[string]any `json:"config,omitempty"`
	Reason      string         `json:"reason,omitempty"`
}

// Reprovisioned is the result of the activity reprovision: the data of the
// invoke's done event.
type Reprovisioned struct {
	Credential string `json:"credential"` // id of the new credentials
	Command    string `json:"command"`    // id of the command; the same text
}

// Reprovision gets new credentials for the device and sends them to it in the
// command "reprovision", with the model's configuration. It returns when the
// broker has taken the command; whether the device obeys is seen by the state
// machine. An attempt that is repeated sends the same command id again, with
// another secret that is as good as the first: whichever the device keeps.
func (a *Activities) Reprovision(ctx context.Context, in Invocation) (Reprovisioned, error) {
	model, ok := a.Models.ByHash(in.Model)
	if !ok {
		return Reprovisioned{}, fmt.Errorf("reprovision device %s: this worker has no model with hash %s", in.Device, in.Model)
	}
	if refused := onlyDevices(in.Device); refused != nil {
		return Reprovisioned{}, temporal.NewNonRetryableApplicationError(refused.Error(), "kind", refused)
	}
	reason, _ := in.Input["reason"].(string)
	now := time.Now()
	command := func(secret string) wire.Command {
		return wire.Command{
			ID: in.ID, Name: ActivityReprovision, At: now,
			Data: reprovisionData{
				Credentials: Credentials{ID: in.ID, Username: in.Device.Name(), Password: secret},
				Config:      model.Config(), Reason: reason,
			},
		}
	}
	if _, err := a.commandOf(in.Device, in.Address, command("")); err != nil { // before there are credentials that nobody gets
		return Reprovisioned{}, final(err)
	}
	secret, err := a.Provisioner.Issue(ctx, in.Device, in.ID)
	if err != nil {
		return Reprovisioned{}, fmt.Errorf("issue credentials %s for device %s: %w", in.ID, in.Device, err)
	}
	l, err := a.commandOf(in.Device, in.Address, command(secret))
	if err != nil { // whose text may have the secret, and would be in the history
		return Reprovisioned{}, final(fmt.Errorf("reprovision device %s: its dialect cannot write credentials %s", in.Device, in.ID))
	}
	if err := a.post(ctx, in.Device, l); err != nil {
		return Reprovisioned{}, err
	}
	tags := measure.EntityTags(string(in.Device))
	tags[measure.TagModel], tags[measure.TagReason] = model.Name(), bounded(reason)
	if in.Site != "" {
		tags[measure.TagSite] = in.Site
	}
	a.Points.WritePoint(measure.Reprovisions, tags,
		map[string]any{measure.ReprovisionCommand: in.ID, measure.ReprovisionSent: int64(1)}, now)
	return Reprovisioned{Credential: in.ID, Command: in.ID}, nil
}
