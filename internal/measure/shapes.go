package measure

// Shape is what the points of a measurement may have.
type Shape struct {
	Tags   []string
	Fields []string
}

// Taken reports whether the name is that of one of the measurements here.
func Taken(measurement string) bool {
	_, taken := Shapes()[measurement]
	return taken
}

// ReadingTags are the tags of telemetry, and those that it may be given.
func ReadingTags() []string { return []string{TagDevice, TagModel, TagSite} }

// Shapes is every measurement with its tags and fields, without the fields that
// are declared with the metrics of bridge, worker and points.
func Shapes() map[string]Shape {
	return map[string]Shape{
		Bridge: {[]string{TagBridge}, nil},
		Process: {[]string{TagProcess}, []string{
			ProcessCPU, ProcessMemory, ProcessGoroutines,
			RegistryRevision, RegistryVersions, RegistryUnread, RegistryAge, RegistryFailures, RegistryUnknown,
		}},
		Worker: {[]string{TagProcess}, []string{
			WorkerTaskWaitP50, WorkerTaskWaitP99, WorkerTaskRunP50, WorkerTaskRunP99, WorkerReplayP99, WorkerActivityP99,
			WorkerTasksFailed, WorkerCacheSize, WorkerCacheHits, WorkerCacheMisses, WorkerCacheEvictions,
			WorkerSlotsUsed, WorkerRequestsFailed,
		}},
		Devices:      {[]string{TagModel, TagState, TagKind}, []string{DevicesInState}},
		Versions:     {[]string{TagModel, TagVersion, TagKind}, []string{DevicesInState}},
		Attention:    {[]string{TagDevice, TagKind, TagModel, TagSite, TagBridge, TagReason}, []string{AttentionSeconds}},
		KnownDevices: {[]string{TagBridge, TagModel, TagSite, TagFirmware}, []string{KnownOnline, KnownSilent, KnownOffline}},
		Talkers:      {[]string{TagDevice, TagKind, TagModel, TagSite, TagBridge}, []string{TalkerMessages, TalkerBytes, TalkerShare}},
		Births:       {[]string{TagDevice, TagKind, TagModel, TagSite}, []string{Count, BirthFirmware}},
		Transitions:  {[]string{TagDevice, TagKind, TagModel, TagSite, TagFrom, TagTo, TagEvent}, []string{Count, State}},
		Sequences:    {[]string{TagDevice, TagKind, TagModel, TagSite, TagPattern}, []string{Count}},
		Alarms:       {[]string{TagDevice, TagKind, TagModel, TagSite, TagAlarm}, []string{AlarmRaised, AlarmEnded, AlarmKey, AlarmSeconds}},
		Reprovisions: {[]string{TagDevice, TagKind, TagModel, TagSite, TagReason}, []string{
			ReprovisionStarted, ReprovisionSent, ReprovisionDone, ReprovisionFailed, ReprovisionCommand, ReprovisionAttempt, RecoverySeconds,
		}},
		Commands:     {[]string{TagDevice, TagKind, TagModel, TagSite, TagName, TagStatus}, []string{Count, CommandID, Text}},
		Twin:         {[]string{TagDevice, TagKind, TagModel, TagSite, TagShadow}, []string{TwinVersion}},
		ModelFaults:  {[]string{TagDevice, TagKind, TagModel, TagSite}, []string{Count, Text}},
		DeviceFaults: {[]string{TagDevice, TagKind, TagModel, TagSite, TagReason}, []string{Count, Text, FaultTopic, FaultValue}},
		Simulator: {[]string{TagRun, TagScenario, TagModel}, []string{
			SimulatorPhase, SimulatorDevices, SimulatorConnected, SimulatorUnsettled, SimulatorSent, SimulatorRelevant,
			SimulatorUnacknowledged, SimulatorRepeated, SimulatorReconnects, SimulatorCommands, SimulatorCommandsRepeated,
			SimulatorDeadLetters, SimulatorDeadLettersMeant, SimulatorReprovisions, SimulatorCommandP99, SimulatorClean,
			SimulatorApplied, SimulatorLost, SimulatorDuplicated, SimulatorReordered, SimulatorUnexpected,
			SimulatorMissing, SimulatorSpurious, SimulatorEventStateP50, SimulatorEventStateP99,
		}},
	}
}
