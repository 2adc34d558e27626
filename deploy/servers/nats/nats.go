//go:build tools

// Package nats names the program that deploy/servers/nats.sh builds, so that go.mod and
// go.sum pin it and what it is made of.
package nats

import _ "github.com/nats-io/nats-server/v2"
