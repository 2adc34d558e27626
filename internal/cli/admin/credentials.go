package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"

	"devicetwin/device"
	"devicetwin/internal/cli"
	"devicetwin/internal/credentials"
)

// credentialsCommand is "devicetwin credentials".
type credentialsCommand struct {
	Issue issueCommand `cmd:"" help:"Issue the first credentials of a new device, in the format of a reprovisioning."`
}

type issueCommand struct {
	Device string `arg:"" help:"Id of the device."`

	Worker struct {
		Credentials string `help:"Folder with the hashes of issued credentials, the same as for the worker." placeholder:"DIR"`
	} `embed:"" prefix:"worker-"`
}

// Run prints the only copy of the password.
func (c *issueCommand) Run(ctx context.Context, streams cli.Streams) error {
	of, err := device.New(device.KindDevice, c.Device)
	if err != nil {
		return cli.Usage(err)
	}
	store, err := credentials.Open(c.Worker.Credentials)
	if err != nil {
		return err
	}
	defer store.Close()
	id := "first-" + rand.Text()
	secret, err := store.Enrol(ctx, of, id)
	if err != nil {
		return err
	}
	return json.NewEncoder(streams.Out).Encode(struct {
		ID       string `json:"id"`
		Username string `json:"username"`
		Password string `json:"password"`
	}{id, c.Device, secret})
}
