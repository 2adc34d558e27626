package main

import (
	"devicetwin/bridge/ingest"
	m "devicetwin/internal/measure"
)

// The panels that alert rules refer to.
const (
	titleOldest       = "Oldest unacknowledged message"
	titleConnected    = "Connected"
	titleWorkers      = "Workers"
	titleTasks        = "Workflow tasks"
	titleBacklog      = "Age of the backlog"
	titleLog          = "Size of the log"
	titleLetters      = "Dead letters by reason"
	titlePointsWait   = "Points that wait"
	titlePoints       = "Points to InfluxDB"
	titleSilent       = "Devices silent"
	titleReprovisions = "Reprovisions"
)

// noRegistry is why the panels of the registry of models may be empty.
const noRegistry = "processes without --model-registry do not use it"

func pipeline() *dashboard {
	d := newDashboard("pipeline", "Pipeline", "Bridges and workers: what goes through them, and what is in the way. Red is where a person should act.", "now-1h")
	d.choose(m.TagBridge, "Bridge", "Names of bridges (--bridge-id)", tagValues(m.TagBridge, m.Bridge), true)
	d.choose(m.TagProcess, "Process", "Names of processes: of the bridge, or of the worker (--worker-id), or of the machine", tagValues(m.TagProcess, m.Process), true)
	b, p, w := of(m.Bridge, matches(m.TagBridge)...), of(m.Process, matches(m.TagProcess)...), of(m.Worker, matches(m.TagProcess)...)
	each := func(f from, q query, as string) query { return q.as("$tag_" + f.tag + " " + as) }
	worst := func(f from, field, as string) query { return each(f, f.worstOverTime(field), as) }
	last := func(f from, field, as string) query {
		return each(f, f.overTime(call("last", field, "value"), f.tag), as)
	}
	rate := func(f from, counter, as string) query { return each(f, f.rate(counter), as) }
	grown := func(f from, counter, as string) query { return each(f, f.news(counter).overTime(sum("n"), f.tag), as) }
	minute := of(m.Worker).last("1m")

	d.row(4,
		stat(4, titleConnected, "short", "Whether each bridge is connected to the broker and subscribed. No: look at the broker and at the bridge's log; devices keep what they cannot send. No data: no bridge runs, or InfluxDB is down.",
			b.now("broker_connected").as("$tag_bridge")).mapped("No", "red", "Yes", "green").named(),
		stat(4, titleWorkers, "short", "Workers that run. None: messages are accepted and nothing is applied; start one.",
			minute.in(minute.inAll(call("last", m.WorkerModelsMissing, "value"), m.TagProcess)).inAll(call("count", "value", "workers"))).
			atLeast(.5, 1).missing("none", "red"),
		stat(4, "Oldest unacknowledged", "s", "Age of the oldest message that was not accepted, at its highest in the last minute. Red: Temporal or a worker is down or too slow; nothing is lost while the broker keeps the session.",
			b.worst("oldest_unacknowledged_seconds").as("$tag_bridge")).coloured(orange(5), red(30)),
		stat(4, "Backlog in the log", "s", "Age of the oldest message in the log that Temporal has not accepted. Red: Temporal is down or too slow; nothing is lost while the log has room.",
			b.worst("backlog_seconds").as("$tag_bridge")).coloured(orange(10), red(60)),
		stat(4, "Dead letters", "short", "Messages refused in the time shown. Any: subscribe to bridge/+/deadletter, the reason is in each of them.",
			b.news("dead_letters").inAll(sum("n"))).coloured(orange(1)),
		stat(4, "Workflow task wait, p99", "s", "How long a workflow task waits for a worker, at its highest in the last minute. Over a second: start more workers. No data: there were no tasks.",
			w.worst(m.WorkerTaskWaitP99).as("$tag_process")).coloured(orange(.5), red(2)),
	)
	d.section("Flow")
	d.row(8,
		lines(12, "Messages, events, signals", "cps", "What comes in, what matters, what Temporal has accepted. Events below relevant for long: Temporal does not keep up.",
			rate(b, "messages", "messages"), rate(b, "relevant", "relevant"), rate(b, "events", "events"), rate(b, "signals", "signals")),
		lines(12, titleOldest, "s", "Age of the oldest message without acknowledgement. It saws with the flow; a steady rise means that nothing is accepted: look at Temporal, then at the workers.",
			worst(b, "oldest_unacknowledged_seconds", "")).marked(red(30)),
	)
	var letters []query
	for _, reason := range ingest.Reasons() {
		letters = append(letters, grown(b, "dead_letters_"+string(reason), string(reason)))
	}
	d.row(8,
		lines(8, titleLetters, "short", "Refused messages by reason. quota: a device is too loud; bad_payload after a new firmware: it sends something else than JSON; read them on bridge/+/deadletter.", letters...).
			bars().stacked(),
		lines(8, "In-flight window", "short", "Messages without acknowledgement, and in memory. At --bridge-window (4096) the broker stops sending: widen it if Temporal is idle.",
			worst(b, "window_messages", "window"), worst(b, "held_messages", "in memory")).marked(orange(4096)),
		lines(8, "Devices that wait", "short", "Devices whose batch waits for its turn, lingers, or is given up. Any stuck: the log names it; look at its workflow.",
			worst(b, "devices_waiting", "waiting"), worst(b, "devices_resting", "lingering"), worst(b, "devices_stuck", "stuck")),
	)
	d.section("Log")
	d.row(8,
		lines(8, "Backlog", "short", "Messages in the log that Temporal has not accepted. They fall as fast as Temporal accepts more than arrives; if they do not, it is too slow.",
			worst(b, "backlog_messages", "")),
		lines(8, titleBacklog, "s", "Age of the oldest message of the backlog, and time until it is gone if it goes on falling as it does. A steady rise: Temporal is down.",
			worst(b, "backlog_seconds", "age"), last(b, "backlog_empty_seconds", "left")).marked(red(60)),
		lines(8, "Growth of the backlog", "cps", "How fast the backlog grows; below zero it falls. Above zero for long: Temporal accepts less than arrives.",
			worst(b, "backlog_growth", "")).signed(),
	)
	d.row(8,
		lines(12, titleLog, "bytes", "Bytes of the log on disk. At its bound it is full: no messages are taken until there is room, and the broker keeps them.",
			worst(b, "log_bytes", "")),
		lines(12, "Trouble of the log", "short", "Attempts to write it that failed, damaged places, and 1 while it is full. Any: look at the disk; damage is lost, and the bridge's log says what.",
			grown(b, "log_failures", "failed"), grown(b, "log_unreadable", "damaged"), worst(b, "log_full", "full")).bars(),
	)
	d.section("Broker")
	d.row(8,
		lines(12, "Reconnects", "short", "Connections to the broker that were made, were lost, and found their session forgotten. A forgotten session has lost what it held: see that the broker persists.",
			grown(b, "connects", "connects"), grown(b, "connections_lost", "lost"), grown(b, "sessions_lost", "forgotten")).bars(),
		lines(12, "Gaps and repetitions", "cps", "Missing numbers of devices, and messages that were delivered again. Gaps of many devices at once: the broker has lost messages.",
			rate(b, "gaps", "gaps"), rate(b, "repeated", "repeated")),
	)
	const noKafka = "there may be no bridge from Kafka"
	d.section("Kafka")
	d.row(8,
		lines(8, "Lag", "short", "Offsets from what Temporal has accepted to the end of a bridge's partitions, together. A steady rise: Temporal or a worker is too slow, or a partition stands still.",
			worst(b, "kafka_lag", "")).mayBeEmpty(noKafka),
		lines(8, "Partitions", "short", "Partitions that each bridge has, is stopped at because records are gone, and that have records and do not move. Any of the last two: /readyz of the bridge names them, and says why.",
			last(b, "kafka_partitions", "has"), worst(b, "kafka_partitions_stopped", "stopped"), worst(b, "kafka_partitions_still", "still")).
			mayBeEmpty(noKafka),
		lines(8, "Records that are gone", "short", "Records that were gone before they could be read, and assignments whose first record was not the expected one. Any lost: the topic keeps less than came while the bridge was down.",
			grown(b, "kafka_records_lost", "lost"), grown(b, "kafka_holes", "holes")).bars().mayBeEmpty(noKafka),
	)
	d.row(8,
		lines(8, "Rebalances", "short", "Changes of the partitions that a bridge has, and records that were fetched and dropped for that. Many: bridges come and go, or their ids are not their own.",
			grown(b, "kafka_rebalances", "rebalances"), grown(b, "kafka_records_dropped", "dropped")).bars().mayBeEmpty(noKafka),
		lines(8, "Commits of offsets", "cps", "Commits, and those that failed; they are repeated. Failures for long: after a crash, all since the last commit is delivered again, and dropped by its place.",
			rate(b, "kafka_commits", "commits"), rate(b, "kafka_commits_failed", "failed")).mayBeEmpty(noKafka),
		lines(8, "Dead letters to Kafka", "short", "Dead letters that were written to their topic, and attempts that failed. Failures hold up their partitions: see that --kafka-dead-letters exists, and may be written to.",
			grown(b, "kafka_dead_letters", "written"), grown(b, "kafka_dead_letters_failed", "failed")).bars().mayBeEmpty(noKafka),
	)
	d.section("Temporal")
	d.row(8,
		lines(8, "Signal latency", "s", "How long signals take, and how long the first message of a batch waits for its signal. Both rise: Temporal. Only the wait: the limit of signals in flight.",
			worst(p, "signal_p50_seconds", "signal p50"), worst(p, "signal_p99_seconds", "signal p99"),
			worst(p, "wait_p50_seconds", "wait p50"), worst(p, "wait_p99_seconds", "wait p99")).marked(red(2)),
		lines(8, "Signals in flight", "short", "Signals on their way, and how many may be. The limit falls when signals slow down; at its least (8) Temporal is overloaded.",
			worst(b, "signals_in_flight", "in flight"), last(b, "signals_limit", "limit")),
		lines(8, "Linger", "s", "Rest of a device between its signals: 0 while Temporal is idle. At --bridge-linger all the time, Temporal is the bottleneck.",
			worst(b, "linger_seconds", "linger")),
	)
	d.row(8,
		lines(8, "Batch size", "short", "Messages in one signal. Large batches are how load is carried; at --bridge-batch-messages (500) all the time, Temporal is too slow.",
			last(b, "batch_messages", "mean"), worst(p, "batch_p50_messages", "p50"), worst(p, "batch_p99_messages", "p99")),
		lines(8, titleTasks, "s", "How long they wait for a worker, and how long they take. Wait rises: more workers. Run rises: the machine is busy, or histories are replayed.",
			worst(w, m.WorkerTaskWaitP50, "wait p50"), worst(w, m.WorkerTaskWaitP99, "wait p99"),
			worst(w, m.WorkerTaskRunP50, "run p50"), worst(w, m.WorkerTaskRunP99, "run p99")).marked(red(2)),
		lines(8, "Failures", "cps", "Signals, workflow tasks and requests to Temporal that failed. Tasks that fail stay until a worker with the right model comes: see the worker's log.",
			rate(b, "signal_failures", "signals"), rate(w, m.WorkerTasksFailed, "workflow tasks"), rate(w, m.WorkerRequestsFailed, "requests")).
			mayBeEmpty("a worker counts no failures before the first"),
	)
	d.row(8,
		lines(8, "Event to state", "s", "From the arrival of a message until the change of state that it caused is written, of each worker. Higher than signals and tasks take: messages waited at the bridge, or no worker ran.",
			worst(w, m.WorkerEventToStateP50, "p50"), worst(w, m.WorkerEventToStateP99, "p99")),
		lines(8, "Workflows in memory", "short", "Workflows in each worker's memory (up to 20,000). At the bound all the time: more workers, each has a memory of its own.",
			worst(w, m.WorkerCacheSize, "")),
		lines(8, "Sticky cache", "cps", "How often a workflow was in a worker's memory, was not, or had to go. Evictions and misses that rise with the signals: more workers.",
			rate(w, m.WorkerCacheHits, "hits"), rate(w, m.WorkerCacheMisses, "misses"), rate(w, m.WorkerCacheEvictions, "evictions")).
			mayBeEmpty("a worker counts no evictions before the first"),
	)
	d.section("InfluxDB")
	d.row(8,
		lines(8, titlePointsWait, "bytes", "Bytes of the log from which points are not yet in InfluxDB. When they grow, look at InfluxDB and its disk; when the log is full, the oldest points are dropped.",
			worst(p, "points_backlog_bytes", "")).marked(orange(64<<20), red(512<<20)),
		lines(8, "Age of points that wait", "s", "How long ago the oldest point was appended that is not in InfluxDB. Minutes: the dashboards show the past; look at InfluxDB.",
			worst(p, "points_backlog_seconds", "")).marked(red(60)),
		lines(8, titlePoints, "cps", "Points written, dropped and refused, and requests that failed. Dropped are lost: enlarge the log, or repair InfluxDB; of the refused one is named in the log.",
			rate(p, "points_written", "written"), rate(p, "points_dropped", "dropped"),
			rate(p, "points_refused", "refused"), rate(p, "influx_failures", "failed requests")),
	)
	d.section("Processes")
	d.row(8,
		lines(8, "CPU", "percentunit", "Cores that each process uses. All of the machine's: everything waits for it; move a part elsewhere.",
			rate(p, m.ProcessCPU, "")),
		lines(8, "Memory", "bytes", "Resident memory of each process. A worker has up to 20,000 workflows in memory; a bridge less than 1 KiB for each device. Steady growth beyond that: report it.",
			worst(p, m.ProcessMemory, "")),
		lines(8, "Goroutines", "short", "Goroutines of each process. They follow the load; a rise without load: report it with the profile of the process.",
			worst(p, m.ProcessGoroutines, "")),
	)
	d.row(8,
		lines(12, "Registry of models, since it answered", "s", "Time since the registry of models last answered each process, which asks every 2 seconds. It rises for all: no worker answers; for one: see its /readyz. Until it falls, a process works on with what it knew, and new versions are unknown to it.",
			worst(p, m.RegistryAge, "")).marked(red(60)).mayBeEmpty(noRegistry),
		lines(12, "Registry of models, versions", "short", "Versions that each process knows, that it could not read, and that a device ran before its worker had read them. Differences between processes for more than seconds: one does not reach Temporal. Unread: its log says why.",
			worst(p, m.RegistryVersions, "known"), worst(p, m.RegistryUnread, "unread"), worst(p, m.RegistryUnknown, "met before they were read")).
			mayBeEmpty(noRegistry),
	)
	return d
}
