package rabbitmq

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"devicetwin/internal/brokertest"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testserver"
	"devicetwin/service"
)

const startPatience = 4 * time.Minute // an Erlang system, on a busy machine

// A real RabbitMQ asks a real "devicetwin auth": one for all, since it takes long to start.
func TestRabbitMQ(t *testing.T) {
	server := testserver.Installed(t, "rabbitmq", "rabbitmq-server")
	b := &brokertest.Broker{DotsAreLevels: true}
	auth := b.StartAuth(t, func(s *service.AuthSettings) { s.Auth.Secret = "a-secret" }).AuthURL()
	// Not in a folder of the test, which the user of RabbitMQ cannot enter.
	dir, err := os.MkdirTemp("", "rabbitmq-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address, _ := testserver.FreeAddress(t)
	amqp, _ := testserver.FreeAddress(t)
	_, names := testserver.FreeAddress(t)
	_, distribution := testserver.FreeAddress(t)
	management, port := testserver.FreeAddress(t)
	testfile.WriteTo(t, filepath.Join(dir, "rabbitmq.conf"), brokertest.File(t, "rabbitmq.conf",
		[2]string{"listeners.tcp.1 = 127.0.0.1:5672", "listeners.tcp.1 = " + amqp}, [2]string{"mqtt.listeners.tcp.1 = 1883", "mqtt.listeners.tcp.1 = " + address},
		[2]string{"http://127.0.0.1:8095", auth}, [2]string{"SECRET", "a-secret"})+
		// What ends sessions needs the management API, and a user of its own.
		"\nauth_backends.2 = internal\ndefault_user = operator\ndefault_pass = a-password\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = "+port+"\n")
	testfile.WriteTo(t, filepath.Join(dir, "advanced.config"), brokertest.File(t, "advanced.config"))
	testfile.WriteTo(t, filepath.Join(dir, "enabled_plugins"), brokertest.File(t, "enabled_plugins", [2]string{"]", ",rabbitmq_management]"}))
	b.Ends = []string{"--rabbitmq-url=http://operator:a-password@" + management}
	testfile.GiveTo(t, dir, "rabbitmq")

	// Erlang's name server would go on running after the test if RabbitMQ had to start it.
	run(t, dir, []string{"ERL_EPMD_PORT=" + names}, "epmd", "-address", "127.0.0.1", "-port", names)
	ended := run(t, dir, []string{
		"HOME=" + dir, "ERL_EPMD_PORT=" + names, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_NODENAME=test@localhost", "RABBITMQ_DIST_PORT=" + distribution,
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(dir, "advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"), "RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_LOGS=-",
	}, server)
	testserver.Await(t, address, startPatience, ended)
	testserver.Await(t, management, startPatience, ended)
	b.URL = "tcp://" + address
	b.Run(t)
}

// run starts a program that ends with the test, with all that it starts.
func run(t *testing.T, dir string, env []string, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return testserver.Run(t, command)
}

// What docs/brokers.md says to paste is what is tested here.
func TestDocumentedSettings(t *testing.T) {
	config := "\n" + brokertest.File(t, "rabbitmq.conf")
	for _, line := range brokertest.Documented(t, "RabbitMQ") {
		if !strings.Contains(config, "\n"+line+"\n") {
			t.Errorf("rabbitmq.conf does not have %q", line)
		}
	}
}
