package service

import (
	"context"
	"slices"
	"strings"

	"devicetwin/api"
	twinclient "devicetwin/workflows/client"
)

// maxFetches bounds how many pages of Temporal's one page of the API is made of. Where
// Temporal finds more than was asked for, a page may be short.
const maxFetches = 16

// Devices implements api.Backend.
func (b apiBackend) Devices(ctx context.Context, query api.Query, limit int, cursor []byte) ([]api.Summary, []byte, error) {
	text, exact := visibilityQuery(query, b.client.VisibilityDatabase(ctx))
	var devices []api.Summary
	for range maxFetches {
		page, err := b.client.ListDevices(ctx, text, limit-len(devices), cursor)
		if err != nil {
			return nil, nil, err
		}
		devices = append(devices, matching(page.Devices, query, exact)...)
		cursor = page.Cursor
		if exact || cursor == nil || len(devices) == limit {
			break
		}
	}
	return devices, cursor, nil
}

// CountDevices implements api.Backend. Where Temporal finds more than was asked for,
// it lists them all.
func (b apiBackend) CountDevices(ctx context.Context, query api.Query) (int, error) {
	text, exact := visibilityQuery(query, b.client.VisibilityDatabase(ctx))
	if exact {
		return b.client.CountDevices(ctx, text)
	}
	count := 0
	for cursor := []byte(nil); ; {
		page, err := b.client.ListDevices(ctx, text, twinclient.MaxPage, cursor)
		if err != nil {
			return 0, err
		}
		count += len(matching(page.Devices, query, false))
		if cursor = page.Cursor; cursor == nil {
			return count, nil
		}
	}
}

// matching are the devices as the API shows them, without those that Temporal should
// not have found.
func matching(found []twinclient.DeviceSummary, query api.Query, exact bool) []api.Summary {
	devices := make([]api.Summary, len(found))
	for i, d := range found {
		devices[i] = shownSummary(d)
	}
	if exact {
		return devices
	}
	return slices.DeleteFunc(devices, func(d api.Summary) bool { return !query.Matches(d) })
}

func shownSummary(d twinclient.DeviceSummary) api.Summary {
	s := api.Summary{
		ID: d.Device, Model: d.Model, ModelHash: d.ModelHash, State: strings.Join(d.States, ","), Connection: connectionWord(d.Connection),
		Firmware: d.Firmware, Site: d.Site, Tags: pairs(d.Tags), Properties: pairs(d.Properties),
		LastSeen: moment(d.LastSeen),
	}
	s.ReportCount = uint64(max(0, d.Faults))
	s.Processing, s.ProcessFailed = d.Processing, uint64(max(0, d.ProcessFailed))
	return s
}

// pairs reads "key=value".
func pairs(texts []string) map[string]string {
	out := make(map[string]string, len(texts))
	for _, text := range texts {
		key, value, _ := strings.Cut(text, "=")
		out[key] = value
	}
	return out
}
