package aggregate

import (
	"encoding/json"
	"hash/fnv"
	"strconv"
)

// Names that workers, clients and people use.
const (
	WorkflowType   = "Aggregator"
	SignalReports  = "reports"  // carries Reports
	QuerySnapshot  = "snapshot" // answered with a State
	ActivitySignal = "signal"
)

// Reports are what a reporter has to say, in its order.
type Reports struct {
	From string `json:"from"`
	// Epoch is when the reporter's numbers began, unix milliseconds: those of a higher epoch
	// come after all of a lower one.
	Epoch int64    `json:"epoch"`
	List  []Report `json:"list"`
}

// Report is a value and its number, which is at least 1, and rises, but not always by one.
type Report struct {
	N     uint64          `json:"n"`
	Value json.RawMessage `json:"v"`
}

// Receiver is the workflow that receives the batches.
type Receiver struct {
	Workflow string `json:"workflow"` // its id
	Type     string `json:"type"`
	Signal   string `json:"signal"` // carries a Batch
	// Input starts the receiver where there is none.
	Input json.RawMessage `json:"input"`
}

// Batch is what a receiver gets. As JSON it is a device.Batch.
type Batch struct {
	// Log is the name of this life of the aggregator, in at most 32 bytes, and First the
	// position of the first value in it; those after it have the next ones.
	Log    string            `json:"log"`
	First  int64             `json:"first"`
	Values []json.RawMessage `json:"m"`
}

// Input starts a run of an aggregator. A first run has no State.
type Input struct {
	// Index is the number of this aggregator among those of the receiver.
	Index int      `json:"index"`
	To    Receiver `json:"to"`
	State *State   `json:"state,omitempty"`
}

// WorkflowID is the id of an aggregator of a receiver. No entity's workflow has such an id.
func WorkflowID(receiver string, index int) string {
	return "aggregator:" + receiver + "/" + strconv.Itoa(index)
}

// IndexOf is which of so many aggregators a reporter reports to.
func IndexOf(reporter string, aggregators int) int {
	if aggregators <= 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(reporter)) // never fails
	return int(h.Sum32() % uint32(aggregators))
}

// To is the signal with which a reporter reports to one of a receiver's aggregators.
func To(to Receiver, index int, reports Reports) (Signal, error) {
	arg, err := json.Marshal(reports)
	if err != nil {
		return Signal{}, err
	}
	input, err := json.Marshal(Input{Index: index, To: to})
	if err != nil {
		return Signal{}, err
	}
	return Signal{Workflow: WorkflowID(to.Workflow, index), Type: WorkflowType, Name: SignalReports, Arg: arg, Input: input}, nil
}
