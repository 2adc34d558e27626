package nats

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"devicetwin/internal/brokertest"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// A real NATS server asks a real "devicetwin auth".
func TestNATS(t *testing.T) {
	server := brokertest.Installed(t, "nats", "nats-server")
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := issuer.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := issuer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	b := &brokertest.Broker{}
	native, _ := brokertest.FreeAddress(t)
	address, _ := brokertest.FreeAddress(t)
	b.URL = "tcp://" + address
	auth := b.StartAuth(t, func(s *service.AuthSettings) {
		n := &s.Auth.NATS
		n.URL, n.Username, n.Password = []string{"nats://" + native}, "devicetwin-auth", "a-password"
		n.SeedFile = testfile.Write(t, "seed", string(seed)+"\n")
	})
	config := brokertest.File(t, "nats.conf",
		[2]string{"127.0.0.1:4222", native}, [2]string{"0.0.0.0:1883", address}, [2]string{"/var/lib/nats", t.TempDir()}, [2]string{`"PASSWORD"`, `"a-password"`}, [2]string{"ISSUER", public})
	ended := brokertest.Run(t, exec.Command(server, "-c", testfile.Write(t, "nats.conf", config)))
	brokertest.Await(t, address, time.Minute, ended)
	brokertest.AwaitReady(t, auth) // it was started first, so it has to connect
	b.Run(t)
}

// What a server of a cluster is set to is what one server is, and more.
func TestClusterIsLikeOneServer(t *testing.T) {
	cluster := "\n" + ClusterConfig
	compared := 0
	for line := range strings.Lines(Config) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.HasPrefix(line, "server_name") || strings.TrimSpace(line) == "" {
			continue
		}
		if compared++; !strings.Contains(cluster, "\n"+line) {
			t.Errorf("cluster.conf does not have %q", line)
		}
	}
	if compared < 10 {
		t.Errorf("only %d lines are compared", compared)
	}
}
