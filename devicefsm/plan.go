package devicefsm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Plan says where everything of a device goes when it is moved from one version of a model to
// another: in the words of both models, so that a person can read and change it. Package
// devicefsm/plan derives, reads and writes plans; NewMigration carries one out.
//
// A timer is named by its state and its delay, "overheated after 5m", an activity
// "fixing invoke reprovision", a schedule "online schedule report"; those of the whole chart
// begin with after, invoke or schedule.
type Plan struct {
	Model string `json:"plan"`
	From  string `json:"from"` // hash of the old model
	To    string `json:"to"`   // hash of the new model
	// States are the images of states, by their paths in the old model: paths in the new one,
	// those of several regions of a parallel state together; a history state of the new model
	// stands for what it remembers. PlanHold and PlanInitial stand alone. Every atomic and
	// final state has an image, or Otherwise has. An image of any other state says only what
	// it is there: what runs in it goes on in that.
	States map[string][]string `json:"states"`
	// Otherwise is for the atomic states that have none in States: PlanHold, PlanInitial or a
	// path. It may be empty.
	Otherwise string `json:"otherwise,omitempty"`
	// Regions are where a region of a parallel state of the new model begins in which nothing
	// has its image: PlanInitial, or a path in it.
	Regions map[string]string `json:"regions,omitempty"`
	// History are the history states of the old model: the one of the new model that remembers
	// the same, or PlanDrop.
	History map[string]string `json:"history,omitempty"`
	// Context are the keys of either model: PlanKeep, PlanDrop for those that the new model
	// does not have, or an expression on the old context.
	Context map[string]string `json:"context,omitempty"`
	// Entry are the states of the new model with entry actions: whether these run when the
	// device enters the state by the migration, and not by being the image of one it was in.
	Entry map[string]string `json:"entry,omitempty"` // PlanRun or PlanSkip
	// Timers, Invocations and Schedules are those of the old model.
	Timers      map[string]PlanItem `json:"timers,omitempty"`
	Invocations map[string]PlanItem `json:"invocations,omitempty"`
	Schedules   map[string]PlanItem `json:"schedules,omitempty"`
	// NewTimers and NewInvocations are those of states in which a device already is, but
	// that did not have them: PlanStart or PlanSkip.
	NewTimers      map[string]string `json:"new_timers,omitempty"`
	NewInvocations map[string]string `json:"new_invocations,omitempty"`
	// Patterns, Windows and Alarms are those of the old model.
	Patterns map[string]PlanItem `json:"patterns,omitempty"`
	Windows  map[string]PlanItem `json:"windows,omitempty"`
	Alarms   map[string]PlanItem `json:"alarms,omitempty"`
	// Raises are the events that wait for their delay: PlanKeep, PlanDrop or PlanFire.
	Raises map[string]string `json:"raises,omitempty"`
	// Always is whether eventless transitions whose guards hold on arrival are taken, PlanTake,
	// or keep the device where it was, PlanHold; "" is PlanHold.
	Always string `json:"always,omitempty"`
}

// planVersion is part of every hash.
const planVersion = "devicetwin plan 1\n"

// Hash identifies the plan: hex SHA-256 of what it says. How its file is written, comments and the
// order of keys do not change it.
func (p Plan) Hash() (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("hash of plan: %w", err)
	}
	sum := sha256.Sum256(append([]byte(planVersion), text...))
	return hex.EncodeToString(sum[:]), nil
}

// PlanItem says how something that runs goes on.
type PlanItem struct {
	Do string `json:"do"`
	// As is what it is in the new model; "" is the same name.
	As string `json:"as,omitempty"`
}

// The words of plans.
const (
	PlanHold    = "hold"    // the device is not moved
	PlanInitial = "initial" // where the new model begins
	PlanKeep    = "keep"    // a timer: what is left; an activity: its end counts in the new model
	PlanDrop    = "drop"
	PlanRestart = "restart" // from the beginning, now
	PlanScale   = "scale"   // of a timer: the same share of the delay is left
	PlanFire    = "fire"    // of a timer, a raise: now
	PlanCancel  = "cancel"  // of an activity
	PlanReplay  = "replay"  // of a pattern: it sees the latest events again
	PlanStart   = "start"
	PlanRun     = "run"
	PlanSkip    = "skip"
	PlanTake    = "take"
)

// PlanFault is something that is wrong with a plan, and where: the part, as in JSON, and the
// key in it. Both may be empty.
type PlanFault struct {
	Part, Key string
	Message   string
	Hint      string
}
