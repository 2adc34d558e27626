// Package mqtt is the MQTT 3.1.1 client of this module, over the Paho library:
// connections ([Conn], [Dialer]), a loop that keeps one connected ([Connector]),
// a [Publisher], and the rules of topics and filters ([CheckFilter], [Matches]).
//
// A connection delivers what it receives to a [Handler], one message at a time,
// in the order of receipt. A handler may wait: nothing more is read from the
// connection meanwhile, which is the back-pressure towards the broker, and the
// connection stays alive. Nothing is acknowledged automatically; each message of
// QoS 1 carries its own acknowledgement, and whoever calls it keeps their order
// [MQTT-4.6.0-2].
//
// A lost connection never comes back. The next one is a new Conn, on which the
// broker delivers again what was not acknowledged.
package mqtt
