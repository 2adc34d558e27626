// Package process runs servers, bridges, workers and fleets as processes of their
// own, for bench, chaos, e2e and the command line: to kill, pause and restart them,
// or to measure each of them.
//
//   - Process is one program: Start, Kill, Stop, Pause, its log, its processor time.
//   - System is the processes of one case, each with a port of its own: devstack
//     serve for a server, devicetwin for a bridge or the worker, Mosquitto.
//   - Poll, Drain, Get, Metrics and QueryInflux wait for them and ask them.
//   - Report, Table and JSON are the form of what a run returns; Match and
//     CheckPatterns choose its cases.
//
// A process ends with the one that started it (on Linux, also after kill -9). A
// process that was ended on purpose is distinguished from one that ended
// unexpectedly.
package process
