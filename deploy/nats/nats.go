// Package nats holds the broker's configuration, for whoever starts a NATS server with it.
package nats

import _ "embed"

// Config is that of one server. Addresses, folder, password and issuer are to be replaced;
// ClusterConfig is what each server of a cluster has in addition.
var (
	//go:embed nats.conf
	Config string
	//go:embed cluster.conf
	ClusterConfig string
)
