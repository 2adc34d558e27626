// Package rabbitmq holds the broker's configuration, for whoever starts a RabbitMQ with it.
package rabbitmq

import _ "embed"

// The files of /etc/rabbitmq. Addresses and the secret of "devicetwin auth" are to be
// replaced.
var (
	//go:embed rabbitmq.conf
	Config string
	//go:embed advanced.config
	AdvancedConfig string
	//go:embed enabled_plugins
	EnabledPlugins string
)
