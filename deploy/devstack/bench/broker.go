package bench

import (
	"context"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
)

// The brokers that can be measured with.
const (
	NATS      = "nats"      // embedded in devstack
	Mosquitto = "mosquitto" // the program, if it is installed
)

func (s *system) startBroker(ctx context.Context) (err error) {
	if s.parts[partBroker], err = s.broker(); err != nil {
		delete(s.parts, partBroker)
		return err
	}
	return s.parts[partBroker].Start(ctx)
}

func (s *system) broker() (*process.Process, error) {
	if s.run.Broker == NATS {
		return s.server(partBroker, stack.PartMQTT, "--mqtt-port"), nil
	}
	return process.NewMosquitto(s.dir, partBroker, s.data, s.ports[partBroker])
}
