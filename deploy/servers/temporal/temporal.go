//go:build tools

// Package temporal names the programs that deploy/servers/temporal.sh builds, so that go.mod
// and go.sum pin them and what they are made of.
package temporal

import (
	_ "go.temporal.io/server/cmd/server"
	_ "go.temporal.io/server/cmd/tools/elasticsearch"
	_ "go.temporal.io/server/cmd/tools/sql"
)
