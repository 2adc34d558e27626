// Command devstack runs devicetwin together with the servers that it needs: an
// MQTT broker, Temporal and InfluxDB, all in one process. See package cli.
package main

import (
	"os"

	"devicetwin/deploy/devstack/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
