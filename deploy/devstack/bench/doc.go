// Package bench measures how much one machine can do: servers, bridge
// and worker as processes of their own, and a load generator on the same machine.
//
// # Cases
//
// A stage is a system that is started, one or more cases on it, and its end. Each
// case has a row in the table; the last two rows are what the same machine can do
// without this service: the broker alone, and Temporal alone. Targets are ratios
// to other rows wherever that is possible, because a number alone says more about
// the machine.
//
// # What counts
//
// A case counts only if its ledger has no violations. The load generator numbers the
// messages of each device; after the case every workflow is asked how many it
// applied, how many of them late, and what its state machine has made of them. A
// case that lost, duplicated or reordered anything has failed, and so has the
// run.
//
// A rate is counted from when the server has stored the workflow task that applied
// a message, not from when a message was accepted. A latency begins when the
// message was due, so that a generator that lags behind makes no figure better.
//
// # Bounds
//
// Everything is bounded: a case ends after its time and the time that its last
// message may take, and everything at the end of the context. Processes end with
// this one.
package bench
