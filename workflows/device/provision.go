package device

import (
	"context"

	"devicetwin/device"
)

// Provisioner makes new credentials for devices.
type Provisioner interface {
	// Issue makes a new secret for the device under the given credential id and
	// returns it. Called again with the same id, as a retry does, it makes one
	// more secret that is valid in addition to the first: nobody knows which of the two
	// will have reached the device.
	Issue(ctx context.Context, id device.ID, credential string) (secret string, err error)
}
