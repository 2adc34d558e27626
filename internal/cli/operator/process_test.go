package operator

import (
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

// heldOrder is an order whose first event has failed permanently.
func heldOrder(id device.ID) api.Device {
	queue := []api.ProcessEvent{
		{ID: string(id) + "-e3", Number: 3, Event: "packed", At: apitest.Now.Add(-time.Hour), Source: "call", To: "warehouse"},
		{ID: string(id) + "-e4", Number: 4, Event: "shipped", At: apitest.Now.Add(-time.Minute), Source: "call", To: "warehouse"},
	}
	began := apitest.Now.Add(-time.Hour)
	return api.Device{
		ID: id, Model: "order", State: "waits", Connection: api.Unknown,
		Processing: &api.Processing{
			State: api.ProcessingHeld, Waiting: 2, Capacity: 50, First: &queue[0], Since: &began, Held: "no such article", Done: 2, Failed: 1, Queue: queue,
			Failures: []api.ProcessFailed{{ID: queue[0].ID, Number: 3, Event: "packed", Message: "no such article", At: began}},
		},
	}
}

// A person finds the orders that are held, looks at one, has it tried again, and skips the other.
func TestProcess(t *testing.T) {
	fleet, _ := serveFleet(t)
	for _, id := range []device.ID{"order/17", "order/18"} {
		fleet.Put(heldOrder(id))
	}
	fleet.Put(api.Device{ID: "order/19", Model: "order", State: "informed", Connection: api.Unknown, Processing: &api.Processing{State: api.ProcessingWaiting, Waiting: 1, Failed: 0}})
	fleet.Put(api.Device{ID: "order/20", Model: "order", State: "informed", Connection: api.Unknown, Processing: &api.Processing{Done: 8, Failed: 3}})

	for _, tt := range []struct {
		args   []string
		status int
		want   []string
		not    []string
	}{
		{[]string{"process", "list", "--kind", "order"}, 0, []string{"order/17  order  waits     held        1", "order/18", "order/19  order  informed  waiting     0"}, []string{"order/20", "pump-1"}},
		{[]string{"process", "list", "--kind", "order", "--failed", "NOT", "state:waits", "OR", "id:18"}, 0, []string{"order/18", "order/20"}, []string{"order/17", "order/19"}},
		{[]string{"process", "show", "--kind", "order", "17"}, 0, []string{
			"2 of 50 waiting, 2 done, 1 failed; packed, number 3", "held: no such article", "3        packed   ", "4        shipped  ", "call warehouse", "order/17-e3  -",
		}, nil},
		{[]string{"process", "show", "pump-1"}, 0, []string{"0 of 0 waiting"}, []string{"WAITING", "FAILED"}},
		{[]string{"process", "retry", "order/17", "--event", "another"}, 1, []string{"the event that holds the queue is order/17-e3"}, nil},
		{[]string{"process", "retry", "order/17", "order/18", "--event", "order/17-e3"}, 2, []string{"--event is the id of an event of one device"}, nil},
		{[]string{"process", "retry", "order/17", "--event", "order/17-e3", "--note", "the article is there now"}, 0, []string{"order/17: packed, number 3, is tried again; 2 events in the queue"}, nil},
		{[]string{"process", "skip", "--kind", "order", "17", "18", "21", "--note", "by hand"}, 1, []string{
			"order/18: packed, number 3, is skipped; 1 event in the queue", "skip order/17: ", "no event has failed that holds the queue", "skip order/21: ",
		}, nil},
		{[]string{"process", "show", "order/18"}, 0, []string{"1 of 50 waiting, 2 done, 1 failed, 1 skipped; shipped, number 4", "skip at " + clock(apitest.Now), ": by hand"}, nil},
		{[]string{"process", "list", "--kind", "order"}, 0, []string{"order/19"}, []string{"order/17", "order/18"}},
		{[]string{"devices", "why", "order/18"}, 0, []string{"operator.process", "operation"}, nil},
	} {
		status, stdout, stderr := run(tt.args...)
		if status != tt.status {
			t.Errorf("%v: status %d, want %d: %s", tt.args, status, tt.status, stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v: no %q in\n%s%s", tt.args, want, stdout, stderr)
			}
		}
		for _, not := range tt.not {
			if strings.Contains(stdout+stderr, not) {
				t.Errorf("%v: %q in\n%s%s", tt.args, not, stdout, stderr)
			}
		}
	}
}
