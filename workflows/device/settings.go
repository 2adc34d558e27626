package device

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"devicetwin/devicefsm"
	"devicetwin/twin"
	"devicetwin/twin/command"
)

// TwinSettings is how workers keep twins. The zero value has the defaults.
type TwinSettings struct {
	// Limits are those of documents and requests.
	Limits twin.Limits
	// Shadows is how many named shadows a device may have; 0 means 10.
	Shadows int
	// Retain publishes each document, whole and retained, when it changes.
	Retain bool
	// Properties are the paths of the classic shadow ("reported.firmware") whose
	// values can be searched for.
	Properties []string
}

// DefaultShadows is how many named shadows a device may have, where
// TwinSettings.Shadows is zero.
const DefaultShadows = 10

// runSettings are what a run was started with. They are recorded in the run,
// because it must replay with the settings that it had.
type runSettings struct {
	// Rules is the version of the rules by which the run goes: see rules.
	Rules      int            `json:"rules,omitempty"`
	RunEvents  int            `json:"run_events"`
	Limits     twin.Limits    `json:"limits"`
	Shadows    int            `json:"shadows"`
	Retain     bool           `json:"retain,omitempty"`
	Properties []string       `json:"properties,omitempty"`
	Commands   command.Limits `json:"commands"`
	// Groups are what the groups of the device hear of it. A worker without models of groups
	// records none, and neither did workers before there were groups.
	Groups []groupFeed `json:"groups,omitempty"`
	// Records are which records the run makes.
	Records RecordSettings `json:"records,omitzero"`
	// Kept is how much the run remembers of what it was given.
	Kept kept `json:"kept,omitzero"`
	// Process is the version of what the run does with what is processed one by one.
	Process int `json:"process,omitempty"`
}

// kept is how much a run remembers of what it was given, in addition to what its rules say. It
// is zero in a run that began under a release before there was any of it.
type kept struct {
	// SharedLogs are how many logs it knows of those that several bridges read; 0: they are among
	// the four of all kinds.
	SharedLogs int `json:"shared_logs,omitempty"`
	// IDs are how many ids that senders gave their messages it knows.
	IDs int `json:"ids,omitempty"`
	// Recent are how many of the device's last messages it has at hand, for migrations.
	Recent int `json:"recent,omitempty"`
}

// keptNow is that of runs that begin now.
var keptNow = kept{SharedLogs: keptSharedLogs, IDs: keptIDs}

// Versions of the rules by which a run goes. A change of what a message does to a
// run gets a version here; a run that was begun under an earlier one keeps to it
// until it is continued as new, because it must replay as it was.
const (
	// rulesMessages: events have their device's time, numberings may begin again,
	// every arrival is a sign of life, and faults leave at once.
	rulesMessages = 1
	// rulesCorners: the model language has its second edition.
	rulesCorners = 2
	// rulesLog: what a log delivers again is recognized by its position.
	rulesLog = 3
	// rulesDialects: devices are sent what their dialect says, at the address that they had.
	rulesDialects = 4
	// rulesOrigin: ids of what leaves the workflow say what it follows from.
	rulesOrigin = 5
	// rulesGroups: a run learns of groups whose model its worker has got.
	rulesGroups = 6
	// rulesLeaving: a device leaves groups of which its run knows nothing.
	rulesLeaving = 7

	rulesNow = rulesLeaving
)

// Rules is the version of the rules by which runs go that begin now: for the names of
// recorded histories.
const Rules = rulesNow

// follows reports whether the run goes by the rules of this version.
func (d *run) follows(rules int) bool { return d.settings.Rules >= rules }

// inEdition is the model by the edition of the language that the run goes by.
func (d *run) inEdition(m *devicefsm.Model) *devicefsm.Model {
	if d.follows(rulesCorners) {
		return m
	}
	return m.Edition(devicefsm.EditionFirst)
}

func (w *Workflow) settings() runSettings {
	commands := command.DefaultLimits()
	if w.MaxDeliveries > 0 {
		commands.Deliveries = w.MaxDeliveries
	}
	s := runSettings{
		Rules:     rulesNow,
		RunEvents: w.RunEvents, Limits: w.Twin.Limits, Shadows: w.Twin.Shadows,
		Retain: w.Twin.Retain, Properties: w.Twin.Properties, Commands: commands, Records: w.Records, Kept: keptNow, Process: processNow,
	}
	s.Records.Published = true
	s.Kept.Recent = w.Recent
	return s.withDefaults()
}

func (s runSettings) withDefaults() runSettings {
	if s.RunEvents <= 0 {
		s.RunEvents = DefaultRunEvents
	}
	if s.Limits == (twin.Limits{}) {
		s.Limits = twin.DefaultLimits()
	}
	if s.Shadows <= 0 {
		s.Shadows = DefaultShadows
	}
	if s.Commands == (command.Limits{}) {
		s.Commands = command.DefaultLimits()
	}
	return s
}

// recordSettings records the worker's settings in a run that begins, and reads
// those of a run that is replayed.
func (w *Workflow) recordSettings(ctx workflow.Context, model *devicefsm.Model) (runSettings, error) {
	var s runSettings
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any {
		s := w.settings()
		s.Groups = w.Groups.feedsOf(model)
		return s
	})
	if err := recorded.Get(&s); err != nil {
		return runSettings{}, fmt.Errorf("read settings of the run: %w", err)
	}
	return s.withDefaults(), nil
}
