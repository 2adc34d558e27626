// Package auth decides once, for all MQTT brokers, who may connect and which topics
// a client may use. What brokers ask is different, the answer is not: the plugin for
// Mosquitto (deploy/mosquitto), the HTTP requests of EMQX, RabbitMQ and VerneMQ
// (package hooks) and NATS's authorization callout all call one Decider.
//
// # Who
//
// A client is a device, a service, or nobody. The name of a device is its id, and
// that of a service contains a dot, which no id does. What follows a "?" in a user
// name does not belong to the name: the SDKs for AWS IoT send
// "?SDK=JavaScript&Version=2.2.16". A device has the password that a worker gave it;
// a service has that of a file of accounts. A certificate that the broker has
// verified replaces the password, where the broker says which name it has.
//
// The client id of a device is its own id, or begins with it and a dot or a slash:
// whoever may choose any could take over the session of another device or of a
// bridge, with the messages that wait in it.
//
// # What
//
// What is not allowed is denied. Topics derive from the settings that bridge and
// worker have (Rules); an operator adds others (ParseRule). A client may subscribe to
// a filter if each topic that it can match is allowed.
//
// A Decider may be used from several goroutines.
package auth
