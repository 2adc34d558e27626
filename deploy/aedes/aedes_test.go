// Package aedes holds a start of the broker aedes; this tests it with the real broker from npm,
// which asks a real "devicetwin auth".
package aedes

import (
	"os/exec"
	"testing"
	"time"

	"devicetwin/internal/brokertest"
	"devicetwin/internal/npmtest"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testserver"
	"devicetwin/service"
)

func TestAedes(t *testing.T) {
	const secret = "a secret of the broker's"
	dir := npmtest.Install(t, ".")
	b := &brokertest.Broker{}
	address, _ := testserver.FreeAddress(t)
	b.URL = "tcp://" + address
	listen, _ := testserver.FreeAddress(t)
	auth := b.StartAuth(t, func(s *service.AuthSettings) {
		s.Auth.Listen, s.Auth.SecretFile = listen, testfile.Write(t, "secret", secret+"\n")
	})
	broker := exec.Command("node", "broker.js", address, "http://"+listen)
	broker.Dir, broker.Env = dir, append(broker.Environ(), "DEVICETWIN_AUTH_SECRET="+secret)
	testserver.Await(t, address, time.Minute, testserver.Run(t, broker))
	brokertest.AwaitReady(t, auth)
	b.Run(t)
}
