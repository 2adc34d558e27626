// Package wire is the grammar of what devices and this service say to each other
// over MQTT: topics and payloads, in both directions, behind a [Dialect]. Nothing
// behind it sees a topic or a format.
//
// [Standard] is the dialect of this service:
//
//	{prefix}/{id}/telemetry               from the device: JSON objects, or arrays of them
//	{prefix}/{id}/status                  birth and last will
//	{prefix}/{id}/events/{name}           events by name
//	{prefix}/{id}/commands/{name}         to the device
//	{prefix}/{id}/commands/{name}/ack     the device's acknowledgement
//
// and the topics of the device shadow protocol, which are given by templates
// (see [Scheme]).
package wire
