package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"

	settings "devicetwin/deploy/rabbitmq"

	"devicetwin/deploy/devstack/process"
)

// RabbitMQ is a RabbitMQ as the system's packages bring it, with the settings of
// deploy/rabbitmq. Names is Erlang's name server, which has to be started first: RabbitMQ
// would start one that does not end.
type RabbitMQ struct {
	*process.Process
	Names *process.Process
}

// RabbitMQPorts is how many ports of process.Host a RabbitMQ needs; the first is that of MQTT.
const RabbitMQPorts = 4

// FindRabbitMQ is the path of the program. The error is a *NotInstalledError if it is not
// installed.
func FindRabbitMQ() (string, error) { return Find("rabbitmq", "rabbitmq-server") }

// NewRabbitMQ prepares a RabbitMQ that asks "devicetwin auth" at a URL, and keeps its data
// in a new folder, whose parents everybody can enter: RabbitMQ does not run as root. Logs are
// in the folder dir. The error is a *NotInstalledError if it is not installed.
func NewRabbitMQ(dir, name, data, auth string, ports []string) (*RabbitMQ, error) {
	program, err := FindRabbitMQ()
	if err != nil {
		return nil, err
	}
	names, err := exec.LookPath("epmd")
	if err != nil {
		return nil, fmt.Errorf("find Erlang's name server: %w", err)
	}
	config, err := replaced(settings.Config,
		[2]string{"mqtt.listeners.tcp.1 = 1883", "mqtt.listeners.tcp.1 = " + net.JoinHostPort(process.Host, ports[0])},
		[2]string{"listeners.tcp.1 = 127.0.0.1:5672", "listeners.tcp.1 = " + net.JoinHostPort(process.Host, ports[1])},
		[2]string{"http://127.0.0.1:8095", auth}, [2]string{"?secret=SECRET", ""})
	if err != nil {
		return nil, err
	}
	files := map[string]string{"rabbitmq.conf": config, "advanced.config": settings.AdvancedConfig, "enabled_plugins": settings.EnabledPlugins}
	if err := folderOf("rabbitmq", data, files); err != nil {
		return nil, fmt.Errorf("prepare the folder of RabbitMQ: %w", err)
	}
	r := &RabbitMQ{Names: process.New(dir, name+"-names", process.Listens(ports[2]), func() *exec.Cmd {
		return exec.Command(names, "-address", process.Host, "-port", ports[2])
	})}
	file := func(name string) string { return filepath.Join(data, name) }
	r.Process = process.New(dir, name, process.Listens(ports[0]), func() *exec.Cmd {
		command := exec.Command(program)
		command.Dir = data
		command.Env = append(os.Environ(), "HOME="+data, "ERL_EPMD_PORT="+ports[2], "ERL_EPMD_ADDRESS="+process.Host,
			"RABBITMQ_NODENAME=devicetwin"+ports[0]+"@localhost", "RABBITMQ_DIST_PORT="+ports[3],
			"RABBITMQ_CONFIG_FILE="+file("rabbitmq.conf"), "RABBITMQ_ADVANCED_CONFIG_FILE="+file("advanced.config"), "RABBITMQ_ENABLED_PLUGINS_FILE="+file("enabled_plugins"),
			"RABBITMQ_MNESIA_BASE="+data, "RABBITMQ_LOG_BASE="+data, "RABBITMQ_LOGS=-",
			"RUNNING_UNDER_SYSTEMD=1") // Erlang takes the place of the script, so that it is what is killed
		return command
	})
	return r, nil
}

// folderOf makes a folder with files, all of a user if this process is root's.
func folderOf(username, dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	paths := []string{dir}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		paths = append(paths, path)
	}
	if os.Getuid() != 0 {
		return nil
	}
	owner, err := user.Lookup(username)
	if err != nil {
		return err
	}
	uid, errUID := strconv.Atoi(owner.Uid)
	gid, errGID := strconv.Atoi(owner.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
