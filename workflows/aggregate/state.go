package aggregate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

const stateVersion = 1

// Bounds of an aggregator.
const (
	// MaxReporters is how many reporters' numbers are kept.
	MaxReporters = 10_000
	// MaxWaiting is how many bytes may wait for the receiver before no more is taken in.
	MaxWaiting = 512 << 10
	// Linger is the time from one batch to the next.
	Linger = time.Second

	maxBatch      = 1000
	maxBatchBytes = 256 << 10
)

// State is all that an aggregator knows, and all that one run hands to the next.
type State struct {
	Version int `json:"v"`
	// Log is the name of this life of the aggregator.
	Log string `json:"log"`
	// Reporters have the last number of each.
	Reporters map[string]Mark `json:"reporters,omitempty"`
	Tick      uint64          `json:"tick,omitempty"` // counts the signals
	// Last is the position of the last value, and Waiting are those that the receiver is not
	// known to have, the last one last.
	Last    int64             `json:"last,omitempty"`
	Waiting []json.RawMessage `json:"waiting,omitempty"`
	// Delivered is when the last batch was.
	Delivered  time.Time `json:"delivered,omitzero"`
	Duplicates uint64    `json:"duplicates,omitempty"`
	Runs       int       `json:"runs,omitempty"`
}

// Mark is the last number of a reporter.
type Mark struct {
	Epoch int64  `json:"e"`
	N     uint64 `json:"n"`
	Tick  uint64 `json:"t"` // of its last signal
}

// decodeInput reads an Input. It looks at the version of the state first: a newer one may
// be of another shape altogether.
func decodeInput(raw json.RawMessage) (Input, error) {
	var only struct {
		State *struct {
			Version int `json:"v"`
		} `json:"state"`
	}
	if err := json.Unmarshal(raw, &only); err != nil {
		return Input{}, fmt.Errorf("read what the run begins with: %w", err)
	}
	if only.State != nil && only.State.Version != stateVersion {
		return Input{}, fmt.Errorf("the aggregator's state has version %d, and this worker reads version %d", only.State.Version, stateVersion)
	}
	var in Input
	if err := json.Unmarshal(raw, &in); err != nil {
		return Input{}, fmt.Errorf("read the state of an aggregator: %w", err)
	}
	return in, nil
}

// Take takes in what is new of some reports.
func (s *State) Take(r Reports) {
	s.Tick++
	mark, known := s.Reporters[r.From]
	for _, report := range r.List {
		if known && (r.Epoch < mark.Epoch || r.Epoch == mark.Epoch && report.N <= mark.N) {
			s.Duplicates++
			continue
		}
		mark, known = Mark{Epoch: r.Epoch, N: report.N}, true
		s.Last++
		s.Waiting = append(s.Waiting, report.Value)
	}
	if !known {
		return
	}
	mark.Tick = s.Tick
	if s.Reporters == nil {
		s.Reporters = map[string]Mark{}
	}
	s.Reporters[r.From] = mark
	if len(s.Reporters) > MaxReporters {
		s.forget()
	}
}

// forget forgets a tenth of the reporters, so that it is seldom done.
func (s *State) forget() {
	names := slices.SortedFunc(maps.Keys(s.Reporters), func(a, b string) int {
		return int(min(1, max(-1, int64(s.Reporters[a].Tick)-int64(s.Reporters[b].Tick))))
	})
	for _, name := range names[:len(names)-MaxReporters*9/10] {
		delete(s.Reporters, name)
	}
}

// hasRoom reports whether more may be taken in.
func (s *State) hasRoom() bool {
	size := 0
	for _, v := range s.Waiting {
		size += len(v)
	}
	return size < MaxWaiting
}

// Next is the batch to deliver next, which has no values if there is none.
func (s *State) Next() Batch {
	n, size := 0, 0
	for n < min(len(s.Waiting), maxBatch) && (n == 0 || size+len(s.Waiting[n]) <= maxBatchBytes) {
		size += len(s.Waiting[n])
		n++
	}
	return Batch{Log: s.Log, First: s.Last - int64(len(s.Waiting)) + 1, Values: s.Waiting[:n:n]}
}

// Accepted notes that the receiver has the first n values.
func (s *State) Accepted(n int, at time.Time) {
	s.Waiting = slices.Clone(s.Waiting[n:])
	s.Delivered = at
}
