//go:build tools

// Package influxdb names the programs that deploy/servers/influxdb.sh builds, so that go.mod
// and go.sum pin them and what they are made of.
package influxdb

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
