package main

import (
	"devicetwin/bridge/ingest"
	m "devicetwin/internal/measure"
)

// The panels that alert rules refer to.
const (
	titleOldest     = "Oldest unacknowledged message"
	titleLetters    = "Dead letters by reason"
	titlePointsWait = "Points that wait"
)

func pipeline() *dashboard {
	d := newDashboard("pipeline", "Pipeline", "Bridges and workers: what goes through them, and what is in the way. Red is where a person should act.", "now-1h")
	d.choose(m.TagBridge, "Bridge", "Names of bridges (--bridge-id)", tagValues(m.TagBridge, m.Bridge), true)
	d.choose(m.TagProcess, "Process", "Names of processes: of the bridge, or of the worker (--worker-id), or of the machine", tagValues(m.TagProcess, m.Process), true)
	b, p, w := of(m.Bridge, matches(m.TagBridge)...), of(m.Process, matches(m.TagProcess)...), of(m.Worker, matches(m.TagProcess)...)
	last := func(f from, field, tag, as string) query {
		return f.overTime(call("last", field, "value"), tag).as("$tag_" + tag + " " + as)
	}
	bridges := func(field, as string) query { return last(b, field, m.TagBridge, as) }
	processes := func(field, as string) query { return last(p, field, m.TagProcess, as) }
	workers := func(field, as string) query { return last(w, field, m.TagProcess, as) }
	rate := func(f from, field, tag, as string) query {
		return f.overTime(perSecond(field, "rate"), tag).as("$tag_" + tag + " " + as)
	}
	newly := func(field string) query {
		return within(b.overTime(`non_negative_difference(last("`+field+`")) AS "n"`, m.TagBridge)).inAll(call("sum", "n", "n"))
	}

	connected := stat(4, "Connected", "bool_yes_no", "Whether each bridge is connected to the broker and subscribed. No: look at the broker and at the bridge's log; devices keep what they cannot send.",
		bridges("broker_connected", ""))
	connected.Options["graphMode"] = "none"
	d.row(4,
		connected,
		stat(4, "Oldest unacknowledged", "s", "Age of the oldest message that waits for Temporal. Red: Temporal or a worker is down or too slow; nothing is lost while the broker keeps the session.",
			bridges("oldest_unacknowledged_seconds", "")).coloured(orange(5), red(30)),
		stat(4, "Dead letters", "short", "Messages refused in the time shown. Any: subscribe to bridge/+/deadletter, the reason is in each of them.",
			newly("dead_letters")).coloured(orange(1)).unless("0"),
		stat(4, "Points on disk", "bytes", "Bytes of the log from which points are not yet in InfluxDB. They grow only while InfluxDB is down or too slow.",
			processes("points_backlog_bytes", "")).coloured(orange(64<<20), red(512<<20)),
		stat(4, "Signal, p99", "s", "How long Temporal takes to accept a signal. Over 100 ms it is near its limit; batches grow automatically.",
			processes("signal_p99_seconds", "")).coloured(orange(.2), red(2)),
		stat(4, "Workflow task wait, p99", "s", "How long a workflow task waits for a worker. Over a second: start more workers.",
			workers(m.WorkerTaskWaitP99, "")).coloured(orange(.5), red(2)),
	)
	d.row(8,
		lines(12, "Messages, events, signals", "cps", "What comes in, what matters, what Temporal has accepted. Events below relevant for long: Temporal does not keep up.",
			rate(b, "messages", m.TagBridge, "messages"), rate(b, "relevant", m.TagBridge, "relevant"),
			rate(b, "events", m.TagBridge, "events"), rate(b, "signals", m.TagBridge, "signals")),
		lines(12, titleOldest, "s", "Age of the oldest message without acknowledgement. It saws with the flow; a steady rise means that nothing is accepted: look at Temporal, then at the workers.",
			bridges("oldest_unacknowledged_seconds", "")).marked(red(30)),
	)
	d.row(8,
		lines(8, "Batch size", "short", "Messages in one signal. Large batches are how load is carried; at --bridge-batch-messages (500) all the time, Temporal is too slow.",
			bridges("batch_messages", "mean"), processes("batch_p50_messages", "p50"), processes("batch_p99_messages", "p99")),
		lines(8, "Linger", "s", "Rest of a device between its signals: 0 while Temporal is idle. At --bridge-linger all the time, Temporal is the bottleneck.",
			bridges("linger_seconds", "linger")),
		lines(8, "Signal latency", "s", "How long signals take, and how long the first message of a batch waits for its signal. Both rise: Temporal. Only the wait: the limit of signals in flight.",
			processes("signal_p50_seconds", "signal p50"), processes("signal_p99_seconds", "signal p99"),
			processes("wait_p50_seconds", "wait p50"), processes("wait_p99_seconds", "wait p99")).marked(red(2)),
	)
	d.row(8,
		lines(8, "In-flight window", "short", "Messages without acknowledgement, and in memory. At --bridge-window (4096) the broker stops sending: widen it if Temporal is idle.",
			bridges("window_messages", "window"), bridges("held_messages", "in memory")).marked(orange(4096)),
		lines(8, "Signals in flight", "short", "Signals on their way, and how many may be. The limit falls when signals slow down; at its least (8) Temporal is overloaded.",
			bridges("signals_in_flight", "in flight"), bridges("signals_limit", "limit")),
		lines(8, "Devices that wait", "short", "Devices whose batch waits for its turn, lingers, or is given up. Any stuck: the log names it; look at its workflow.",
			bridges("devices_waiting", "waiting"), bridges("devices_resting", "lingering"), bridges("devices_stuck", "stuck")),
	)
	var letters []query
	for _, reason := range ingest.Reasons() {
		letters = append(letters, rate(b, "dead_letters_"+string(reason), m.TagBridge, string(reason)))
	}
	d.row(8,
		lines(8, titleLetters, "cps", "Refused messages by reason. quota: a device is too loud; bad_payload after a new firmware: it sends something else than JSON; read them on bridge/+/deadletter.", letters...).
			marked(orange(.001)),
		lines(8, titlePointsWait, "bytes", "Bytes of the log from which points are not yet in InfluxDB. When they grow, look at InfluxDB and its disk; when the log is full, the oldest points are dropped.",
			processes("points_backlog_bytes", "")).marked(orange(64<<20), red(512<<20)),
		lines(8, "Points to InfluxDB", "cps", "Points written, dropped and refused, and requests that failed. Dropped are lost: enlarge the log, or repair InfluxDB; of the refused one is named in the log.",
			rate(p, "points_written", m.TagProcess, "written"), rate(p, "points_dropped", m.TagProcess, "dropped"),
			rate(p, "points_refused", m.TagProcess, "refused"), rate(p, "influx_failures", m.TagProcess, "failed requests")),
	)
	d.row(8,
		lines(8, "Reconnects", "short", "Connections to the broker, those lost, and sessions that the broker had forgotten, since the start. A forgotten session has lost what it held: see that the broker persists.",
			bridges("connects", "connects"), bridges("connections_lost", "lost"), bridges("sessions_lost", "forgotten")).steps(),
		lines(8, "Gaps and repetitions", "cps", "Missing numbers of devices, and messages that were delivered again. Gaps of many devices at once: the broker has lost messages.",
			rate(b, "gaps", m.TagBridge, "gaps"), rate(b, "repeated", m.TagBridge, "repeated")),
		lines(8, "Failures", "cps", "Signals, workflow tasks and requests to Temporal that failed. Tasks that fail stay until a worker with the right model comes: see the worker's log.",
			rate(b, "signal_failures", m.TagBridge, "signals"), rate(w, m.WorkerTasksFailed, m.TagProcess, "workflow tasks"),
			rate(w, m.WorkerRequestsFailed, m.TagProcess, "requests")).
			mayBeEmpty("a worker counts no failures before the first"),
	)
	d.row(8,
		lines(8, "Workflow tasks", "s", "How long they wait for a worker, and how long they take. Wait rises: more workers. Run rises: the machine is busy, or histories are replayed.",
			workers(m.WorkerTaskWaitP50, "wait p50"), workers(m.WorkerTaskWaitP99, "wait p99"),
			workers(m.WorkerTaskRunP50, "run p50"), workers(m.WorkerTaskRunP99, "run p99")).marked(red(2)),
		lines(8, "Sticky cache", "short", "Workflows in a worker's memory, and how often one was there, was not, or had to go. Evictions and misses that rise with the signals: more workers, each has a cache of its own.",
			workers(m.WorkerCacheSize, "workflows"), workers(m.WorkerCacheHits, "hits"),
			workers(m.WorkerCacheMisses, "misses"), workers(m.WorkerCacheEvictions, "evictions")).
			mayBeEmpty("a worker counts no evictions before the first"),
		lines(8, "CPU", "percentunit", "Cores that each process uses. All of the machine's: everything waits for it; move a part elsewhere.",
			rate(p, m.ProcessCPU, m.TagProcess, "")),
	)
	d.row(8,
		lines(12, "Memory", "bytes", "Resident memory of each process. A worker has up to 20,000 workflows in memory; a bridge less than 1 KiB for each device. Steady growth beyond that: report it.",
			processes(m.ProcessMemory, "")),
		lines(12, "Goroutines", "short", "Goroutines of each process. They follow the load; a rise without load: report it with the profile of the process.",
			processes(m.ProcessGoroutines, "")),
	)
	return d
}
