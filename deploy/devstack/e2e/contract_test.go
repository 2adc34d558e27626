package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// contractModel takes the events of the contract.
const contractModel = `model: contract
initial: idle
states:
  idle: {on: {hello: polite}}
  polite: {on: {good.bye: idle}}
`

// The device workflows keep the contract that the API's tests run on its fake.
func TestTheWorkflowsKeepTheContract(t *testing.T) {
	model := testfile.Write(t, "contract.yaml", contractModel)
	s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) { c.Model.Model = model })
	n := 0
	apitest.Contract(t, func(t *testing.T) (api.Backend, device.ID) {
		n++
		id := device.ID(fmt.Sprint("contract-", n))
		boot := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot"}, Time: time.Now()}
		fault := device.Message{
			Channel: device.ChannelSystem, Name: device.MessageFault, Time: boot.Time, Faults: []device.Fault{apitest.ContractFault()},
		}
		_, err := s.twins.Deliver(t.Context(), device.Delivery{
			ID: id, Start: true, Batch: device.Batch{ID: "a", Messages: []device.Message{boot, fault}},
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the device is there", func(ctx context.Context) bool {
			view, err := s.twins.Describe(ctx, id)
			return err == nil && view.Connection == device.Online
		})
		return service.APIBackend(s.twins), id
	})
}
