// Package figures writes a selection of a process's Prometheus metrics as points,
// for those who look at InfluxDB and run no Prometheus. Every so often it gathers
// the registry and writes one point for each Group.
//
// A metric with several label sets is summed over all of them. A quantile is that
// of the observations since the point before, found by linear interpolation in
// the buckets of a histogram, as PromQL's histogram_quantile does; where nothing
// was observed, the field is left out. All fields are floating point numbers.
package figures
