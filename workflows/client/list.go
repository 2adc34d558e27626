package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// DeviceSummary is a device in a list. It trails the device by some
// tens of milliseconds.
type DeviceSummary struct {
	Device     device.ID
	States     []string // the active atomic states
	Model      string   // the model's name
	ModelHash  string   // of the model that runs
	Firmware   string
	Site       string
	Connection string
	Tags       []string  // "key=value"
	Properties []string  // "path=value", of the paths that are indexed
	LastSeen   time.Time // up to a quarter of an hour ago; zero if it is not known
	Faults     int64     // exact below 10, from there on rounded down to the first digit
	// Processing is deviceworkflow.ProcessingHeld, ProcessingWaiting or empty, and ProcessFailed how many
	// events failed permanently, as Faults are counted.
	Processing    string
	ProcessFailed int64
	Started       time.Time
}

// DevicePage is a part of a list of devices.
type DevicePage struct {
	Devices []DeviceSummary
	// Cursor is where the next page begins; nil at the end.
	Cursor []byte
}

// ListDevices lists the devices that a visibility query finds, over the search
// attributes DeviceState, DeviceModel, DeviceModelHash, DeviceFirmware, DeviceSite,
// DeviceConnection, DeviceTags, DeviceProperties, DeviceLastSeen, DeviceFaults,
// DeviceProcessing, DeviceProcessFailed and WorkflowId, which is device/{id}. An empty query finds all. The query has to be well formed: what
// comes from outside belongs into quotes (Quote).
func (c *Client) ListDevices(ctx context.Context, query string, limit int, cursor []byte) (DevicePage, error) {
	answer, err := c.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: c.namespace, PageSize: int32(min(limit, MaxPage)), NextPageToken: cursor, Query: ofDevices(query),
	})
	if err != nil {
		return DevicePage{}, fmt.Errorf("list devices: %w", availability(err))
	}
	page := DevicePage{Cursor: answer.GetNextPageToken()}
	for _, e := range answer.GetExecutions() {
		page.Devices = append(page.Devices, summaryOf(e))
	}
	if len(page.Cursor) == 0 {
		page.Cursor = nil
	}
	return page, nil
}

// MaxPage is how many devices one page has, at most.
const MaxPage = 1000

// CountDevices counts the devices that a visibility query finds, as ListDevices
// lists them.
func (c *Client) CountDevices(ctx context.Context, query string) (int, error) {
	answer, err := c.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: c.namespace, Query: ofDevices(query),
	})
	if err != nil {
		return 0, fmt.Errorf("count devices: %w", availability(err))
	}
	return int(answer.GetCount()), nil
}

// ofDevices is a visibility query of devices that are there.
func ofDevices(query string) string {
	all := fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running'", deviceworkflow.WorkflowType)
	if query != "" {
		all += " AND (" + query + ")"
	}
	return all
}

// Quote makes a string a literal of a visibility query. In that language a backslash
// escapes as well, also a quotation mark.
func Quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

func summaryOf(e *workflow.WorkflowExecutionInfo) DeviceSummary {
	fields := e.GetSearchAttributes().GetIndexedFields()
	read := func(name string, into any) {
		if p, ok := fields[name]; ok {
			_ = converter.GetDefaultDataConverter().FromPayload(p, into) // of another type: as if it were not there
		}
	}
	d := DeviceSummary{
		Device:  deviceworkflow.EntityOf(e.GetExecution().GetWorkflowId()),
		Started: e.GetStartTime().AsTime(),
	}
	word := func(key temporal.SearchAttributeKeyKeyword, into *string) { read(key.GetName(), into) }
	list := func(key temporal.SearchAttributeKeyKeywordList, into *[]string) { read(key.GetName(), into) }
	list(deviceworkflow.AttributeState, &d.States)
	word(deviceworkflow.AttributeModel, &d.Model)
	word(deviceworkflow.AttributeModelHash, &d.ModelHash)
	word(deviceworkflow.AttributeFirmware, &d.Firmware)
	word(deviceworkflow.AttributeSite, &d.Site)
	word(deviceworkflow.AttributeConnection, &d.Connection)
	list(deviceworkflow.AttributeTags, &d.Tags)
	list(deviceworkflow.AttributeProperties, &d.Properties)
	read(deviceworkflow.AttributeLastSeen.GetName(), &d.LastSeen)
	read(deviceworkflow.AttributeFaults.GetName(), &d.Faults)
	word(deviceworkflow.AttributeProcessing, &d.Processing)
	read(deviceworkflow.AttributeProcessFailed.GetName(), &d.ProcessFailed)
	return d
}

// CountStates counts the running devices in each of the given states, by search
// attribute; the count trails the truth by some tens of milliseconds. A device
// in parallel states counts in each of them.
func (c *Client) CountStates(ctx context.Context, states []string) (map[string]int, error) {
	return c.countStates(ctx, "", states)
}

// CountModelStates counts as CountStates does, the devices of one model only.
func (c *Client) CountModelStates(ctx context.Context, model string, states []string) (map[string]int, error) {
	return c.countStates(ctx, " AND "+deviceworkflow.AttributeModel.GetName()+" = "+Quote(model), states)
}

func (c *Client) countStates(ctx context.Context, and string, states []string) (map[string]int, error) {
	counts := make(map[string]int, len(states))
	for _, state := range states {
		n, err := c.CountDevices(ctx, deviceworkflow.AttributeState.GetName()+" = "+Quote(state)+and)
		if err != nil {
			return nil, fmt.Errorf("state %s: %w", state, err)
		}
		counts[state] = n
	}
	return counts, nil
}
