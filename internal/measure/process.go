package measure

// Fields of Process, of the process itself. Others are declared in bridge and
// points.
const (
	ProcessCPU        = "cpu_seconds"
	ProcessMemory     = "resident_bytes"
	ProcessGoroutines = "goroutines"

	// Declared where it is observed, in service: of those that use the registry of models.
	RegistryRevision = "registry_revision"
	RegistryVersions = "registry_versions"
	RegistryUnread   = "registry_unread"
	RegistryAge      = "registry_age_seconds"
	RegistryFailures = "registry_failures"
	RegistryUnknown  = "registry_unknown"
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
	WorkerCacheSize      = "cache_workflows" // once it has run a workflow
	WorkerCacheHits      = "cache_hits"
	WorkerCacheMisses    = "cache_misses"
	WorkerCacheEvictions = "cache_evictions"
	WorkerSlotsUsed      = "slots_used"
	WorkerRequestsFailed = "requests_failed"

	// Declared where it is observed, in workflows/device.
	WorkerModelsMissing   = "models_missing"             // each worker that runs has it, from its start
	WorkerEventToStateP50 = "event_to_state_p50_seconds" // from a message's arrival until its change of state is written
	WorkerEventToStateP99 = "event_to_state_p99_seconds"
)
