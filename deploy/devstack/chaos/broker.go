package chaos

import (
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
)

// broker prepares the broker. Mosquitto saves after every change, which is the
// least that it can lose: what it has acknowledged, neither saved nor sent on, is
// gone with kill -9.
func (s *system) broker(kind BrokerKind) (*process.Process, error) {
	if kind == NATS {
		return s.server(Broker, stack.PartMQTT, "--mqtt-port"), nil
	}
	return process.NewMosquitto(s.dir, string(Broker), s.data, s.ports[Broker],
		"autosave_on_changes true", "autosave_interval 1", "log_type notice")
}
