package workflows

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"devicetwin/device"
)

// Describe is Snapshot with the errors of the operator's methods: it wraps
// device.ErrUnknown or device.ErrUnavailable. A device that was deleted is unknown.
func (c *Client) Describe(ctx context.Context, id device.ID) (View, error) {
	var view View
	var answer *client.QueryWorkflowWithOptionsResponse
	err := whileNotReady(ctx, queryPatience, func() (err error) {
		answer, err = c.temporal.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
			WorkflowID: WorkflowID(id), QueryType: QuerySnapshot, QueryRejectCondition: enums.QUERY_REJECT_CONDITION_NOT_OPEN,
		})
		return err
	})
	if err == nil && answer.QueryRejected != nil {
		return View{}, fmt.Errorf("query state of device %s: %w", id, device.ErrUnknown)
	}
	if err == nil {
		err = answer.QueryResult.Get(&view)
	}
	if err != nil {
		return View{}, fmt.Errorf("query state of device %s: %w", id, availability(err))
	}
	return view, nil
}

// Why tells the last changes of state, newest last, and what caused them.
func (c *Client) Why(ctx context.Context, id device.ID) ([]Reason, error) {
	view, err := c.Describe(ctx, id)
	return view.Why, err
}

// DeviceSummary is what a list tells of a device. It trails the device by some
// tens of milliseconds.
type DeviceSummary struct {
	Device     device.ID
	States     []string // the active atomic states
	Model      string   // the model's name
	Firmware   string
	Site       string
	Connection string
	Tags       []string // "key=value"
	Properties []string // "path=value", of the paths that are indexed
	Started    time.Time
}

// DevicePage is a part of a list of devices.
type DevicePage struct {
	Devices []DeviceSummary
	// Cursor is where the next page begins; nil at the end.
	Cursor []byte
}

// ListDevices lists the devices that a visibility query finds, over the search
// attributes DeviceState, DeviceModel, DeviceFirmware, DeviceSite,
// DeviceConnection, DeviceTags, DeviceProperties and WorkflowId, which is
// device/{id}. An empty query finds all. The query has to be well formed: what
// comes from outside belongs into quotes (Quote).
func (c *Client) ListDevices(ctx context.Context, query string, limit int, cursor []byte) (DevicePage, error) {
	all := fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running'", WorkflowType)
	if query != "" {
		all += " AND (" + query + ")"
	}
	answer, err := c.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: c.namespace, PageSize: int32(min(limit, maxPage)), NextPageToken: cursor, Query: all,
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

// maxPage is how many devices one page has, at most.
const maxPage = 1000

// Quote makes a text a literal of a visibility query. In that language a backslash
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
		Device:  device.ID(strings.TrimPrefix(e.GetExecution().GetWorkflowId(), workflowIDPrefix)),
		Started: e.GetStartTime().AsTime(),
	}
	word := func(key temporal.SearchAttributeKeyKeyword, into *string) { read(key.GetName(), into) }
	list := func(key temporal.SearchAttributeKeyKeywordList, into *[]string) { read(key.GetName(), into) }
	list(AttributeState, &d.States)
	word(AttributeModel, &d.Model)
	word(AttributeFirmware, &d.Firmware)
	word(AttributeSite, &d.Site)
	word(AttributeConnection, &d.Connection)
	list(AttributeTags, &d.Tags)
	list(AttributeProperties, &d.Properties)
	return d
}
