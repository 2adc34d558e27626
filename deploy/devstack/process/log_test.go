package process

import (
	"slices"
	"testing"
)

// Each part has a log of its own, or is told to have none.
func TestLogFlags(t *testing.T) {
	s := NewSystem(nil, "case", 0)
	for ack, want := range map[Ack][2][]string{
		Logged:   {{"--bridge-log", "case/data/log-bridge-2", "--bridge-ack", "logged"}, {"--worker-log", "case/data/log-worker"}},
		Accepted: {{"--bridge-log", "case/data/log-bridge-2", "--bridge-ack", "accepted"}, {"--worker-log", "case/data/log-worker"}},
		NoLog:    {{"--bridge-log="}, {"--worker-log="}},
	} {
		if got := s.BridgeLogFlags("bridge-2", ack); !slices.Equal(got, want[0]) {
			t.Errorf("bridge, %s: %v, want %v", ack, got, want[0])
		}
		if got := s.WorkerLogFlags(Worker, ack); !slices.Equal(got, want[1]) {
			t.Errorf("worker, %s: %v, want %v", ack, got, want[1])
		}
	}
}
