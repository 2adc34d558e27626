package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin"
	"devicetwin/twin/command"
)

const stateVersion = 1

// Input starts a run of a device's workflow. A first run has no State; a
// continued one has nothing else that matters.
type Input struct {
	Device device.ID `json:"device"`
	// Model is the hash of the model that the device starts with.
	Model string `json:"model"`
	// Provisional is State.Provisional of a first run.
	Provisional bool   `json:"provisional,omitempty"`
	State       *State `json:"state,omitempty"`
	// First is the event with which an entity's first run begins, whose source is the API: if
	// it is refused, and nothing else has come, there is no entity.
	First *Operation `json:"first,omitempty"`
}

// decodeInput reads an Input. It looks at the version of the state first: a newer
// one may be of another shape altogether.
func decodeInput(raw json.RawMessage) (Input, error) {
	var only struct {
		Device device.ID `json:"device"`
		State  *struct {
			Version int `json:"v"`
		} `json:"state"`
	}
	if err := json.Unmarshal(raw, &only); err != nil {
		return Input{}, fmt.Errorf("read what the run begins with: %w", err)
	}
	if only.State != nil && only.State.Version != stateVersion {
		return Input{}, fmt.Errorf("device %s: its state has version %d, and this worker reads version %d: %s",
			only.Device, only.State.Version, stateVersion, versionAdvice(only.State.Version))
	}
	var in Input
	if err := json.Unmarshal(raw, &in); err != nil {
		return Input{}, fmt.Errorf("device %s: read its state: %w", only.Device, err)
	}
	return in, nil
}

func versionAdvice(version int) string {
	if version > stateVersion {
		return "upgrade the worker"
	}
	return "run a release of the worker that reads both"
}

// State is all that a device's workflow knows, and all that one run hands to
// the next. It is JSON, small, and bounded.
type State struct {
	Version int       `json:"v"`
	Device  device.ID `json:"device"`
	// Model is the hash of the model that runs.
	Model string `json:"model"`
	// Provisional says that the device had not named a model when its workflow was started:
	// it runs the default one until it does.
	Provisional bool `json:"provisional,omitempty"`
	// Migrations are the last ones of the device, the newest last.
	Migrations []Migration `json:"migrations,omitempty"`
	// Instance distinguishes this life of the device's workflow from earlier ones,
	// whose counters began at zero too; it is part of every command id.
	Instance string              `json:"instance"`
	Snapshot *devicefsm.Snapshot `json:"snapshot"`
	Delivery Delivery            `json:"delivery"`
	// Batch is the id of the last batch applied.
	Batch string `json:"batch,omitempty"`
	// Invocations are the activities that the model wants to run now, oldest
	// first; a run that inherits them starts them again, under the same ids.
	Invocations []devicefsm.Action `json:"invocations,omitempty"`
	// ZonesAt is when the time zones in Snapshot were recorded; zero without any.
	ZonesAt time.Time `json:"zones_at,omitzero"`
	// Firmware, Site and Parent are what the device's last birth message said.
	Firmware   string     `json:"firmware,omitempty"`
	Site       string     `json:"site,omitempty"`
	Parent     string     `json:"parent,omitempty"`
	Attributes Attributes `json:"attributes"`
	// Recovery is the reprovisioning that is not over, and Asides are points that
	// wait to leave; both are for figures only.
	Recovery *recovery `json:"recovery,omitempty"`
	Asides   []Point   `json:"asides,omitempty"`
	// Dated is the time of the newest point of something on the device's clock.
	Dated time.Time `json:"dated,omitzero"`
	// Inputs counts what the statechart was given, over all runs: see Journal.
	Inputs uint64 `json:"inputs,omitempty"`
	// InputsFrom is what Runs was when Inputs was 0: more than 0 if a worker that has no
	// Inputs continued the workflow as new.
	InputsFrom int `json:"inputs_from,omitempty"`
	// Runs counts the continue-as-new steps.
	Runs int `json:"runs"`
	// Faults are the newest faults of the model, and FaultCount counts all of them, as
	// runs under earlier rules keep them in addition to Reports. A later run drops one
	// of Faults for each new fault.
	Faults     []string `json:"faults,omitempty"`
	FaultCount uint64   `json:"fault_count,omitempty"`
	// Reports are the newest faults of what the device sent and of its model, newest
	// last, and ReportCount counts all of them.
	Reports     []device.Fault `json:"reports,omitempty"`
	ReportCount uint64         `json:"report_count,omitempty"`
	// FaultPoints are those of them that have not left for InfluxDB, and FaultsLeft is
	// when some left last without anything else.
	FaultPoints []device.Fault `json:"fault_points,omitempty"`
	FaultsLeft  time.Time      `json:"faults_left,omitzero"`

	// Process is what is processed one by one; nil of an entity whose models never did that.
	Process *Processing `json:"process,omitempty"`

	// Twins are the device's shadows, by name; the classic one has none.
	Twins []Shadow `json:"twins,omitempty"`
	// Convergence is what is watched for twin.diverged, in the order of the changes.
	Convergence []Convergence `json:"convergence,omitempty"`
	// Commands are those that wait, the one under way, and the last that ended.
	Commands command.Queue `json:"commands,omitzero"`
	// Address is how the device is reached that speaks a dialect which has words for what it
	// is sent; nil of any other.
	Address *device.Address `json:"address,omitempty"`
	// Informed identifies the difference between desired and reported state that the device was
	// sent in its dialect last; "" before that.
	Informed string `json:"informed,omitempty"`
	// InformedAt is when, and InformedMet says that the device has reported all of it since.
	InformedAt  time.Time `json:"informed_at,omitzero"`
	InformedMet bool      `json:"informed_met,omitempty"`
	// Untimed are the last commands without a time to live that the device may answer in its
	// dialect, oldest first.
	Untimed []untimed `json:"untimed,omitempty"`
	// Groups are those that the device is a member of, and Outbox what it has to report to
	// them.
	Groups []membership `json:"groups,omitempty"`
	Outbox outbox       `json:"outbox,omitzero"`
	// Records are those for readers of Kafka that are not written.
	Records recordBox `json:"records,omitzero"`
	// Tags are an operator's.
	Tags map[string]string `json:"tags,omitempty"`
	// Connection is what is known of the device's connection: device.Online,
	// device.Offline or, as long as it said nothing of it, "".
	Connection string `json:"connection,omitempty"`
	// Seen is when the device last showed that it is up, as far as its workflow
	// knows.
	Seen time.Time `json:"seen,omitzero"`
	// Why are the last changes of state, newest last.
	Why []Reason `json:"why,omitempty"`
	// Requests are the last Operations, oldest first: one that is repeated gets
	// its first result.
	Requests []appliedOperation `json:"requests,omitempty"`
	// Recent are the device's last messages, oldest first, if the run keeps them.
	Recent []recentMessage `json:"recent,omitempty"`
	// Origin is what was received last, as part of the ids of what follows from it, and Origins
	// are those of the activities in Invocations that the model waits for.
	Origin  string            `json:"origin,omitempty"`
	Origins map[string]string `json:"origins,omitempty"`
	// Orders counts the commands and reprovisionings of operators, for their ids.
	Orders uint64 `json:"orders,omitempty"`
}

// Shadow is one shadow of a device.
type Shadow struct {
	Name     string        `json:"name,omitempty"`
	Document twin.Document `json:"doc"`
}

// Convergence is a change of desired properties that the device has to follow in
// time.
type Convergence struct {
	Shadow  string    `json:"shadow,omitempty"`
	Version int64     `json:"version"`
	Paths   []string  `json:"paths"`
	Due     time.Time `json:"due"`
}

const keptFaults = 8

// keptReports bounds Reports.
const keptReports = 16

// report keeps a fault of what the device sent, within its bounds. The same one again
// in a row only counts.
func (s *State) report(f device.Fault) {
	s.ReportCount += max(1, f.Count)
	kept := device.AppendFault(slices.Clone(s.Reports), f)
	s.Reports = kept[max(0, len(kept)-keptReports):]
}

func (s *State) noteFaults(faults []string) {
	if len(faults) == 0 {
		return
	}
	s.FaultCount += uint64(len(faults))
	kept := append(slices.Clone(s.Faults), faults...)
	s.Faults = kept[max(0, len(kept)-keptFaults):]
}

// Attributes are the search attributes last written.
type Attributes struct {
	// States are the dotted paths of the active atomic states.
	States    []string `json:"states,omitempty"`
	Model     string   `json:"model,omitempty"`
	ModelHash string   `json:"model_hash,omitempty"`
	Firmware  string   `json:"firmware,omitempty"`
	Site      string   `json:"site,omitempty"`
	// Connection, Tags ("key=value") and Properties ("path=value") are sorted.
	Connection string   `json:"connection,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Properties []string `json:"properties,omitempty"`
	// LastSeen and Faults are less exact than the state: see writeAttributes.
	LastSeen time.Time `json:"last_seen,omitzero"`
	Faults   int64     `json:"faults,omitempty"`
	// Processing is ProcessingHeld, ProcessingWaiting or empty; ProcessFailed counts what failed permanently, as
	// Faults does.
	Processing    string `json:"processing,omitempty"`
	ProcessFailed int64  `json:"process_failed,omitempty"`
}

func (a Attributes) equal(b Attributes) bool {
	return slices.Equal(a.States, b.States) && a.Model == b.Model && a.ModelHash == b.ModelHash && a.Firmware == b.Firmware && a.Site == b.Site &&
		a.Connection == b.Connection && slices.Equal(a.Tags, b.Tags) && slices.Equal(a.Properties, b.Properties) &&
		a.LastSeen.Equal(b.LastSeen) && a.Faults == b.Faults && a.Processing == b.Processing && a.ProcessFailed == b.ProcessFailed
}

// View answers the query "snapshot": the device as its workflow sees it.
type View struct {
	State
	// ModelName is the model's name for people.
	ModelName string `json:"model_name"`
	// Value is the state value as XState writes it.
	Value any `json:"value"`
	// StateName is the active atomic states' paths, joined by commas.
	StateName string `json:"state_name"`
	// Windows are those of the model, as of the snapshot.
	Windows []devicefsm.WindowView `json:"windows,omitempty"`
	// Schedules are those of the model that run, with their next times.
	Schedules []devicefsm.Schedule `json:"schedules,omitempty"`
	// Alarms counts what the model's alarms are about; ActiveAlarms are those that are raised,
	// the oldest first, at most shownAlarms.
	Alarms       []devicefsm.Alarms      `json:"alarms,omitempty"`
	ActiveAlarms []devicefsm.ActiveAlarm `json:"active_alarms,omitempty"`
}

// shownAlarms bounds the alarms of a View.
const shownAlarms = 100

// RunLog answers the query "applied": which messages this run applied,
// in order. It is rebuilt by replay and not part of State, so it costs nothing
// to carry and covers exactly one run.
type RunLog struct {
	Tasks []TaskLog `json:"tasks,omitempty"`
}

// TaskLog is what was applied in one workflow task.
type TaskLog struct {
	// Started is the id of the task's started event in the run's history.
	Started int           `json:"started"`
	Spans   []device.Span `json:"spans"`
	// Digests are those of the messages without a number, the first 64 bits of each.
	// Their place among those with one is not kept.
	Digests []uint64 `json:"digests,omitempty"`
}

func (l *RunLog) add(started int, m device.Message) {
	digest, err := strconv.ParseUint(m.Digest, 16, 64)
	if m.Seq == 0 && err != nil {
		return // the service's own
	}
	if n := len(l.Tasks); n == 0 || l.Tasks[n-1].Started != started {
		l.Tasks = append(l.Tasks, TaskLog{Started: started})
	}
	task := &l.Tasks[len(l.Tasks)-1]
	if m.Seq == 0 {
		task.Digests = append(task.Digests, digest)
		return
	}
	if n := len(task.Spans); n > 0 {
		if last := &task.Spans[n-1]; last.Epoch == m.Epoch && last.To+1 == m.Seq {
			last.To = m.Seq
			return
		}
	}
	task.Spans = append(task.Spans, device.Span{Epoch: m.Epoch, From: m.Seq, To: m.Seq})
}
