// Command devstack runs devicetwin together with the servers that it needs: an
// MQTT broker, Temporal and InfluxDB, all in one process. Under the name
// devicetwin-standalone it is the form in which that is supported for small
// fleets. See package cli.
package main

import (
	"os"
	"path/filepath"
	"strings"

	"devicetwin/deploy/devstack/cli"
)

func main() {
	run := cli.Main
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == cli.StandaloneName {
		run = cli.Standalone
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
