package measure

// Fields of Simulator. Counters count from the start of the run.
const (
	SimulatorPhase     = "phase"
	SimulatorDevices   = "devices"
	SimulatorConnected = "connected"
	SimulatorUnsettled = "unsettled" // devices whose workflows have not caught up, from the end of the plans on

	SimulatorSent             = "sent"
	SimulatorRelevant         = "relevant"
	SimulatorUnacknowledged   = "unacknowledged"
	SimulatorRepeated         = "repeated"
	SimulatorReconnects       = "reconnects"
	SimulatorCommands         = "commands"
	SimulatorCommandsRepeated = "commands_repeated"
	SimulatorDeadLetters      = "dead_letters"
	SimulatorDeadLettersMeant = "dead_letters_meant"
	SimulatorReprovisions     = "reprovisions" // devices that came back with new credentials
	SimulatorCommandP99       = "sequence_to_command_p99_seconds"

	// Of the verdict, in the last point of a run only.
	SimulatorClean         = "clean" // 1 or 0
	SimulatorApplied       = "applied"
	SimulatorLost          = "lost"
	SimulatorDuplicated    = "duplicated"
	SimulatorReordered     = "reordered"
	SimulatorUnexpected    = "unexpected"
	SimulatorMissing       = "reprovisions_missing"
	SimulatorSpurious      = "reprovisions_spurious"
	SimulatorEventStateP50 = "event_to_state_p50_seconds"
	SimulatorEventStateP99 = "event_to_state_p99_seconds"
)
