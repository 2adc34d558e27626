// Package process runs the parts of devicetwin and its servers as processes of
// their own: to be killed, paused and started again, or to be measured apart
// from one another.
//
// A process ends with the one that started it (on Linux, whatever ends that),
// and is told apart from one that ended by itself.
package process
