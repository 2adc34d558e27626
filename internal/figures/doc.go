// Package figures writes a selection of a process's Prometheus metrics as points,
// for those who look at InfluxDB and run no Prometheus. Every so often it gathers
// the registry and writes one point for each Group.
//
// Set declares metrics: each once, with the fields that it becomes.
//
// A metric with several label sets is summed over all of them. A quantile is that
// of the observations since the previous point, found by linear interpolation in
// the buckets of a histogram, as PromQL's histogram_quantile does; where nothing
// was observed, the field is left out. The type of a field is its Sample's Kind.
package figures
