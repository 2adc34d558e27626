// Package servers runs the real servers that make servers has installed, each as a
// process of its own (package process): for tests (package serverstest) and for
// chaos. It needs nothing of them to be built.
package servers
