// Package measure holds the names under which this service writes points to
// InfluxDB: measurements, tags and fields. Whoever writes a point and whoever
// draws one takes them from here. Fields that are metrics of a bridge or of its
// writer of points are declared where they are counted (bridge.Declared,
// points.Declared). A test compares all of them with the queries of the dashboards
// and alert rules in deploy/grafana.
//
// Telemetry is not among them: the measurement of a device's readings is the
// name of its model, with the tags TagDevice and TagModel, and its fields are
// what the device sent, as docs/telemetry.md says. A model may therefore not be called like one of these
// measurements: see Taken.
//
// A field of a counter counts from the start of its process. What reads it takes
// the derivative and leaves out what is negative.
package measure
