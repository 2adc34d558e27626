// Package chaos injects faults while a fleet plays, and checks the simulator's
// ledger afterwards.
//
// A case is one fault with one broker. Each case has servers, a bridge, a worker
// and a fleet of its own, every one of them a process that can be killed, paused
// and started again on the same port and the same data; the workflows are
// continued as new all the time. A link between two of them leads through a
// proxy (Toxiproxy) if it is what the fault is about, and only then.
//
// # What counts
//
// A case passes if the simulator reports no violations: nothing lost, duplicated or
// reordered, and exactly the reprovisionings that were due. The model and
// the scenario (testdata) leave more time for an answer than any fault takes, so
// that the simulator can distinguish what was due from what the devices did on their own.
//
// In phases of the model each reading has to be applied; in the others only those
// that cross a threshold with hysteresis, and the bridge leaves out the rest. What
// may be left out may be missing. What crosses the threshold is written in the
// scenario as well, so that the ledger does not depend on the analysis that the bridge
// goes by. A case in which nothing was left out, or no threshold crossed, is an error.
//
// Whether messages are a crash loop is a matter of the devices' own clocks. Some devices
// record while they are offline, and send a backlog; some give no numbers; and some
// readings are odd. A case in which one of these did not happen is an error.
//
// Telemetry counts as well: each reading in the simulator's ledger has to be a point of
// its own in InfluxDB, with each value under its name. A bridge that is killed loses none of
// them. What was in records of a bridge's log that were overwritten before they were
// delivered may be missing, and no more than that; so may the points of the last seconds of
// a bridge that is killed and loses its log.
//
// Devices that were reprovisioned log in with their passwords. A wrong password, and topics of
// another device, have to be refused before the fault and after it.
//
// A report without violations proves nothing about a fault that did not happen, or
// had no effect. So a case is an error, and not a pass, unless the fleet was sending
// before the first round of the fault and after the last one, no process ended
// unexpectedly, the link in question carried something, and the workflows were
// continued as new.
//
// # Order and waiting
//
// Some cases run in parallel, each with ports, files and processes of its own.
// Within a case the fault comes in rounds, and each
// round waits until messages have reached the bridge since the one before: a fault
// always meets a service that is working, however slow the machine is.
//
// The end of the context ends the case and kills its processes; on Linux they also
// end with the process that started them, whatever ends that.
package chaos
