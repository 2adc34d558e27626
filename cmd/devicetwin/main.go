// Command devicetwin runs the parts of the device twin service: the bridge, the
// worker, both in one process, and the fleet simulator.
package main

import (
	"os"

	"devicetwin/internal/cli/devicetwin"
)

func main() {
	os.Exit(devicetwin.Main(os.Args[1:], os.Stdout, os.Stderr))
}
