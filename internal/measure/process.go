package measure

// Fields of Process. Quantiles are of what happened since the point before.
const (
	ProcessCPU        = "cpu_seconds"
	ProcessMemory     = "resident_bytes"
	ProcessGoroutines = "goroutines"

	ProcessSpoolBytes   = "spool_bytes"
	ProcessSpoolPoints  = "spool_points"
	ProcessSpoolOldest  = "spool_oldest_seconds"
	ProcessSpoolFailed  = "spool_failures"
	ProcessQueuedPoints = "queued_points"
	ProcessWritten      = "points_written"
	ProcessDropped      = "points_dropped"
	ProcessRefused      = "points_refused"
	ProcessFailures     = "influx_failures"

	ProcessSignalP50 = "signal_p50_seconds"
	ProcessSignalP99 = "signal_p99_seconds"
	ProcessWaitP50   = "wait_p50_seconds"
	ProcessWaitP99   = "wait_p99_seconds"
	ProcessBatchP50  = "batch_p50_messages"
	ProcessBatchP99  = "batch_p99_messages"
)

// Fields of Worker. Quantiles are of what happened since the point before.
const (
	WorkerTaskWaitP50    = "task_wait_p50_seconds" // until a worker takes a workflow task
	WorkerTaskWaitP99    = "task_wait_p99_seconds"
	WorkerTaskRunP50     = "task_run_p50_seconds" // from there until it is answered
	WorkerTaskRunP99     = "task_run_p99_seconds"
	WorkerReplayP99      = "replay_p99_seconds"
	WorkerActivityP99    = "activity_p99_seconds"
	WorkerTasksFailed    = "tasks_failed"
	WorkerCacheSize      = "cache_workflows"
	WorkerCacheHits      = "cache_hits"
	WorkerCacheMisses    = "cache_misses"
	WorkerCacheEvictions = "cache_evictions"
	WorkerSlotsUsed      = "slots_used"
	WorkerRequestsFailed = "requests_failed"
)
