package client

import (
	"errors"
	"testing"

	"go.temporal.io/api/serviceerror"

	"devicetwin/device"
)

// Which errors of the server end the delivery of a batch: any other is followed by
// the same delivery again.
func TestDeliveryErrors(t *testing.T) {
	notFound := serviceerror.NewNotFound("workflow execution already completed")
	for name, c := range map[string]struct {
		err            error
		start          bool
		noTwin, refuse bool
	}{
		"accepted":                  {nil, true, false, false},
		"no workflow":               {notFound, false, true, false},
		"a workflow is started":     {notFound, true, false, false}, // it met the end of a run
		"too large":                 {serviceerror.NewInvalidArgument(blobTooLarge + "."), true, false, true},
		"a run is full of signals":  {serviceerror.NewInvalidArgument("exceeded the limit of signals"), true, false, false},
		"the server is unavailable": {serviceerror.NewUnavailable("down"), false, false, false},
	} {
		err := deliveryError(device.Delivery{ID: "p", Start: c.start}, c.err)
		var refused *device.Refused
		if errors.Is(err, device.ErrNoTwin) != c.noTwin || errors.As(err, &refused) != c.refuse || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
