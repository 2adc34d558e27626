package measure

// Fields of Bridge. Names that end in no unit are counters or numbers of things.
const (
	BridgeReceived       = "received"
	BridgeRepeated       = "repeated"
	BridgeIgnored        = "ignored"
	BridgeForeign        = "foreign"
	BridgeMessages       = "messages"
	BridgeGaps           = "gaps"
	BridgeRelevant       = "relevant"
	BridgeEvents         = "events"
	BridgeSignals        = "signals"
	BridgeSignalFailures = "signal_failures"

	BridgeDeadLetters            = "dead_letters"
	BridgeDeadLettersOf          = "dead_letters_" // followed by the reason
	BridgeDeadLettersUnpublished = "dead_letters_unpublished"

	BridgeConnects        = "connects"
	BridgeConnectionsLost = "connections_lost"
	BridgeSessionsLost    = "sessions_lost"
	BridgeConnected       = "connected"       // boolean
	BridgeTemporalOutage  = "temporal_outage" // boolean

	BridgeWindow          = "window_messages"
	BridgeHeld            = "held_messages"
	BridgeOldest          = "oldest_unacknowledged_seconds"
	BridgeSignalsInFlight = "signals_in_flight"
	BridgeSignalsLimit    = "signals_limit"
	BridgeLinger          = "linger_seconds"
	BridgeBatch           = "batch_messages" // mean since the point before

	BridgeDevicesResting = "devices_resting"
	BridgeDevicesWaiting = "devices_waiting"
	BridgeDevicesStuck   = "devices_stuck"
	BridgeDevicesSilent  = "devices_silent"
	BridgeDevicesKnown   = "devices_known"

	// Of the road to InfluxDB of the bridge's process.
	BridgeInfluxWritten            = "influx_written"
	BridgeInfluxDropped            = "influx_dropped"
	BridgeInfluxRefused            = "influx_refused"
	BridgeInfluxFailures           = "influx_failures"
	BridgeInfluxQueued             = "influx_queued"
	BridgeInfluxOutage             = "influx_outage" // boolean
	BridgeInfluxSpoolPoints        = "influx_spool_points"
	BridgeInfluxSpoolBytes         = "influx_spool_bytes"
	BridgeInfluxSpoolOldestSeconds = "influx_spool_oldest_seconds"
	BridgeInfluxSpoolDropped       = "influx_spool_dropped"
)
