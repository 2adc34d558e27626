package chaos

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"time"
)

// connected is what a bridge logs when the connection of its session is there, the first
// time or again: see Connector in package mqtt. The groups are the broker's port, and how long
// there was no connection, if there was one before.
var connected = regexp.MustCompile(`onnected to the broker".* connection=devicetwin-bridge-\S* broker=\S*:(\d+)(?: after=(\S+))?`)

// connections calls a function with what is found in each line of a bridge's log about a
// connection.
func connections(log string, found func(port, after string) error) error {
	file, err := os.Open(log)
	if err != nil {
		return fmt.Errorf("read the log of a bridge: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := connected.FindStringSubmatch(lines.Text()); m != nil {
			if err := found(m[1], m[2]); err != nil {
				return fmt.Errorf("read the log of a bridge: %w", err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the log of a bridge: %w", err)
	}
	return nil
}

// offlineOf are how long bridges were without a connection, each time that they came back to
// the broker, in the order of the logs.
func offlineOf(logs []string) (offline []time.Duration, err error) {
	for _, log := range logs {
		err := connections(log, func(_, after string) error {
			if after == "" {
				return nil
			}
			d, err := time.ParseDuration(after)
			offline = append(offline, d)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return offline, nil
}

// connectedTo is the port of the broker that a bridge is connected to, or was last.
func connectedTo(log string) (port string, err error) {
	err = connections(log, func(found, _ string) error {
		port = found
		return nil
	})
	return port, err
}
