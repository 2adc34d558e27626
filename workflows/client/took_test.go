package client

import (
	"context"
	"errors"
	"testing"

	"go.temporal.io/api/serviceerror"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// queriedTemporal answers every query with a view, or with an error.
type queriedTemporal struct {
	temporalclient.Client
	view deviceworkflow.View
	err  error
}

func (f queriedTemporal) QueryWorkflowWithOptions(context.Context, *temporalclient.QueryWorkflowWithOptionsRequest) (*temporalclient.QueryWorkflowWithOptionsResponse, error) {
	if f.err != nil {
		return nil, f.err
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(f.view)
	return &temporalclient.QueryWorkflowWithOptionsResponse{QueryResult: temporalclient.NewValue(payloads)}, err
}

// Only a workflow that is there and knows positions can tell that it lacks one.
func TestTook(t *testing.T) {
	logs := func(list ...deviceworkflow.LogPosition) (v deviceworkflow.View) {
		v.Delivery.Logs = list
		return v
	}
	for name, c := range map[string]struct {
		temporal queriedTemporal
		took     bool
		want     error // nil: none; errAny: any
	}{
		"this one":                 {queriedTemporal{view: logs(deviceworkflow.LogPosition{Log: "l", Pos: 40})}, true, nil},
		"a later one":              {queriedTemporal{view: logs(deviceworkflow.LogPosition{Log: "l", Pos: 41})}, true, nil},
		"an earlier one":           {queriedTemporal{view: logs(deviceworkflow.LogPosition{Log: "l", Pos: 39})}, false, nil},
		"another log":              {queriedTemporal{view: logs(deviceworkflow.LogPosition{Log: "k", Pos: 40}, deviceworkflow.LogPosition{Log: "m", Pos: 99})}, false, nil},
		"no workflow":              {queriedTemporal{err: serviceerror.NewNotFound("workflow not found")}, false, nil},
		"a run of earlier rules":   {queriedTemporal{view: logs()}, false, errAny},
		"Temporal does not answer": {queriedTemporal{err: serviceerror.NewUnavailable("away")}, false, device.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			took, err := New(c.temporal, "default", "devices", "").Took(t.Context(), "p", "l", 40)
			if took != c.took || c.want == nil && err != nil || c.want != nil && err == nil || c.want != nil && c.want != errAny && !errors.Is(err, c.want) {
				t.Errorf("%v, %v", took, err)
			}
		})
	}
}

var errAny = errors.New("any")
