package nats

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"devicetwin/internal/brokertest"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testserver"
	"devicetwin/service"
)

// A real NATS server asks a real "devicetwin auth".
func TestNATS(t *testing.T) {
	startNodes(t, 1).Run(t)
}

// nodes are a server, or a cluster of them, and the "devicetwin auth" that they ask. The
// broker is the first of them.
type nodes struct {
	brokertest.Broker
	servers   []*exec.Cmd
	addresses []string // for MQTT
}

// startNodes starts servers, which end with the test.
func startNodes(t *testing.T, count int) *nodes {
	t.Helper()
	program := testserver.Installed(t, "nats", "nats-server")
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
	n := &nodes{}
	var natives, routes []string
	for range count {
		for _, list := range []*[]string{&n.addresses, &natives, &routes} {
			address, _ := testserver.FreeAddress(t)
			*list = append(*list, address)
		}
	}
	n.URL = "tcp://" + n.addresses[0]
	auth := n.StartAuth(t, func(s *service.AuthSettings) {
		to := &s.Auth.NATS
		to.Username, to.Password = "devicetwin-auth", "a-password"
		to.SeedFile = testfile.Write(t, "seed", string(seed)+"\n")
		for _, native := range natives {
			to.URL = append(to.URL, "nats://"+native)
		}
	})
	for i, address := range n.addresses {
		file, changes := "nats.conf", [][2]string{
			{"127.0.0.1:4222", natives[i]}, {"0.0.0.0:1883", address}, {"/var/lib/nats", t.TempDir()}, {`"PASSWORD"`, `"a-password"`}, {"ISSUER", public},
		}
		if count > 1 {
			file = "cluster.conf"
			changes = append(changes, [2]string{`"SERVER"`, fmt.Sprintf(`"node-%d"`, i)}, [2]string{"0.0.0.0:6222", routes[i]},
				[2]string{`"nats://HOST-1:6222", "nats://HOST-2:6222", "nats://HOST-3:6222"`, `"nats://` + strings.Join(routes, `", "nats://`) + `"`})
		}
		server := exec.Command(program, "-c", testfile.Write(t, file, brokertest.File(t, file, changes...)))
		n.servers = append(n.servers, server)
		testserver.Await(t, address, time.Minute, testserver.Run(t, server))
	}
	brokertest.AwaitReady(t, auth) // it was started first, so it has to connect
	return n
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
