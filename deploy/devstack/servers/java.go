package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"devicetwin/deploy/devstack/process"
)

// hiveMQConfig are HiveMQ's settings: a bridge that was offline finds all that was published
// meanwhile, of which HiveMQ keeps 1000 messages by default.
const hiveMQConfig = `<?xml version="1.0"?>
<hivemq>
  <listeners>
    <tcp-listener><port>%s</port><bind-address>%s</bind-address></tcp-listener>
  </listeners>
  <mqtt>
    <queued-messages><max-queue-size>1000000</max-queue-size></queued-messages>
  </mqtt>
  <persistence><mode>file</mode></persistence>
  <anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
</hivemq>
`

// FindHiveMQ is the path of the program. The error is a *NotInstalledError if it is not
// installed.
func FindHiveMQ() (string, error) { return Find("hivemq", "hivemq") }

// NewHiveMQ prepares a HiveMQ CE that listens at a port of process.Host, asks "devicetwin
// auth" at a URL, and keeps its data in a folder; its log is in the folder dir. The error is
// a *NotInstalledError if it is not installed.
func NewHiveMQ(dir, name, data, auth, port string) (*process.Process, error) {
	program, err := FindHiveMQ()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, name+"-config")
	if err := os.MkdirAll(config, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of HiveMQ's configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(config, "config.xml"), fmt.Appendf(nil, hiveMQConfig, port, process.Host), 0o644); err != nil {
		return nil, fmt.Errorf("write the configuration of HiveMQ: %w", err)
	}
	return process.New(dir, name, process.SaidReady, func() *exec.Cmd {
		return exec.Command(program, config, filepath.Join(data, "data"), filepath.Join(data, "extensions"), auth)
	}), nil
}

// moquetteConfig are Moquette's settings. It saves after each change, and not twice a
// minute as by default, and keeps more than 1024 messages of a client that is offline.
const moquetteConfig = `host %s
port %s
websocket_port disabled
allow_anonymous false
persistence_enabled true
data_path %s
persistent_queue_type segmented
session_queue_size 1000000
buffer_flush_millis 0
telemetry_enabled false
`

// FindMoquette is the path of the program. The error is a *NotInstalledError if it is not
// installed.
func FindMoquette() (string, error) { return Find("moquette", "moquette") }

// NewMoquette prepares a Moquette that listens at a port of process.Host, asks "devicetwin
// auth" at a URL, and keeps its data in a folder; its log is in the folder dir. The error is
// a *NotInstalledError if it is not installed.
func NewMoquette(dir, name, data, auth, port string) (*process.Process, error) {
	program, err := FindMoquette()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of Moquette: %w", err)
	}
	config := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, moquetteConfig, process.Host, port, data), 0o644); err != nil {
		return nil, fmt.Errorf("write the configuration of Moquette: %w", err)
	}
	return process.New(dir, name, process.SaidReady, func() *exec.Cmd { return exec.Command(program, config, auth) }), nil
}
