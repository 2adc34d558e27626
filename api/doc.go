// Package api is the operator's HTTP API: what can be seen of a fleet's devices,
// and what can be done to them. It declares what it needs of the devices
// (Backend) and who may do what (Authenticator); it knows no Temporal and no MQTT.
//
//	server, err := api.New(options)
//	http.Serve(listener, server)
//	server.Close() // ends the streams; before the http.Server is shut down
//
// The API describes itself (OpenAPI 3.1) on /openapi.json, and requests are
// validated from that description. Errors are problem documents (RFC 9457).
//
// # Changes
//
// Every change names who asks (By.Who) and an operation (By.Operation), from the
// header Idempotency-Key or else new for each request: a device carries out an
// operation once, however often it is asked for. Every change that is asked for,
// also one that is refused, leaves a line in the audit log.
//
// # Streams
//
// GET /v1/devices/{id}/stream sends what happens to a device as server-sent
// events. However many readers a device has, it is looked at once an interval,
// and not at all without readers. Every transition is sent, as long as no more
// fell between two looks than the device remembers; of anything else the newest.
//
// A stream begins with the whole device (snapshot). A reader that comes back with
// the id of the last event that it has (Last-Event-ID) gets what came after it,
// if that is still known, and the whole otherwise; so it never misses anything
// unknowingly. A reader with 64 events waiting is let go, loudly.
//
// # Access
//
// Without an Authenticator everybody may do everything, and only requests to this
// machine's own names are answered, so that no page in a browser gets at them.
// Tokens are random; their SHA-256 hashes stand in a file, compared in constant
// time. An OIDC issuer's JSON Web Tokens need an audience of their own.
//
// # Bounds
//
// Bodies, queries, pages, tags, streams, events that wait, and the time of each
// request are bounded by Options and by the constants of this package.
package api
