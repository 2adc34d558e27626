package api_test

import (
	"testing"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

// The fake that all tests of the API use keeps the contract that the device
// workflows keep (deploy/devstack/e2e).
func TestTheFakeKeepsTheContract(t *testing.T) {
	apitest.Contract(t, func(*testing.T) (api.Backend, device.ID) {
		b := apitest.New()
		b.Put(api.Device{
			ID: "p1", Model: "pump", State: "online", Connection: device.Online,
			Reports: []api.Fault{api.Fault(apitest.ContractFault())}, ReportCount: 2,
		})
		return b, "p1"
	})
}
