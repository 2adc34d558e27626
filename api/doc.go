// Package api is the operator's HTTP API: it shows the devices of a fleet and
// executes operations on them. It declares what it needs of the devices
// (Backend) and of callers (Authenticator); it imports neither Temporal nor MQTT.
//
//	server, err := api.New(options)
//	http.Serve(listener, server)
//	server.Close() // ends the streams; before the http.Server is shut down
//
// The API describes itself (OpenAPI 3.1) at /openapi.json, and requests are
// validated from that description. Errors are problem documents (RFC 9457).
//
// # Changes
//
// Every change names its caller (By.Who) and an operation (By.Operation), from the
// header Idempotency-Key or else new for each request: a device executes an
// operation once, however often it is requested. Every requested change, also one
// that is refused, writes an audit record.
//
// # Streams
//
// GET /v1/devices/{id}/stream sends the changes of a device as server-sent
// events. However many readers a device has, it is polled once per interval,
// and not at all without readers. Every transition is sent, unless more
// happened between two polls than the device remembers; for anything else the
// newest value.
//
// A stream begins with the whole device (snapshot). A reader that reconnects with
// the id of its last event (Last-Event-ID) gets the events after it if they are
// still available, and a snapshot otherwise; so it always knows if it missed
// events. A reader with 64 events waiting is disconnected, with a warning.
//
// # Access
//
// Without an Authenticator every caller has admin access, and only requests to
// loopback names are answered, so that no page in a browser can use the API.
// Tokens are random; a file holds their SHA-256 hashes, compared in constant
// time. JSON Web Tokens of an OIDC issuer must have the configured audience.
//
// # Bounds
//
// Bodies, queries, pages, tags, streams, events that wait, and the time of each
// request are bounded by Options and by the constants of this package.
package api
