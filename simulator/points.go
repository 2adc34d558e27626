package simulator

import (
	"time"

	"devicetwin/internal/measure"
)

// PointWriter takes points for InfluxDB. It never blocks.
type PointWriter interface {
	WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time)
}

// pointsEvery is how many looks at the run go by from one point to the next.
const pointsEvery = 2

func (f *fleet) writePoint(fields map[string]any, at time.Time) {
	if f.options.Points == nil {
		return
	}
	f.options.Points.WritePoint(measure.Simulator, map[string]string{
		measure.TagRun: f.options.Prefix, measure.TagScenario: f.options.Scenario.Name, measure.TagModel: f.options.Model.Name(),
	}, fields, at)
}

// progressFields is what the ledger says while the run goes on.
func (f *fleet) progressFields(p Progress) map[string]any {
	_, meant := f.letters.counts()
	fields := map[string]any{
		measure.SimulatorPhase:            string(p.Phase),
		measure.SimulatorDevices:          p.Devices,
		measure.SimulatorConnected:        p.Connected,
		measure.SimulatorSent:             p.Sent,
		measure.SimulatorRelevant:         f.count.relevant.Load(),
		measure.SimulatorUnacknowledged:   f.unacknowledged(),
		measure.SimulatorRepeated:         f.count.repeated.Load(),
		measure.SimulatorReconnects:       f.count.reconnects.Load(),
		measure.SimulatorCommands:         f.count.commands.Load(),
		measure.SimulatorCommandsRepeated: f.count.commandsRepeated.Load(),
		measure.SimulatorDeadLetters:      p.DeadLetters,
		measure.SimulatorDeadLettersMeant: meant,
		measure.SimulatorReprovisions:     p.Reprovisions,
		measure.SimulatorCommandP99:       p.SequenceToCommandP99.Seconds(),
	}
	if p.Phase == PhaseSettling || p.Phase == PhaseVerifying {
		fields[measure.SimulatorUnsettled] = p.Waiting
	}
	return fields
}

func (f *fleet) unacknowledged() uint64 {
	open := uint64(0)
	for _, d := range f.devices {
		d.mutex.Lock()
		open += d.account.open()
		d.mutex.Unlock()
	}
	return open
}

// verdictFields is what the ledger says in the end.
func (r *Report) verdictFields() map[string]any {
	clean := 0
	if r.Clean {
		clean = 1
	}
	return map[string]any{
		measure.SimulatorClean:            clean,
		measure.SimulatorDevices:          r.Devices,
		measure.SimulatorUnsettled:        r.DevicesUnsettled,
		measure.SimulatorSent:             r.Sent,
		measure.SimulatorRelevant:         r.Relevant,
		measure.SimulatorUnacknowledged:   r.Unacknowledged,
		measure.SimulatorDeadLetters:      r.DeadLetters,
		measure.SimulatorDeadLettersMeant: r.DeadLettersMeant,
		measure.SimulatorApplied:          r.Applied,
		measure.SimulatorLost:             r.Lost,
		measure.SimulatorDuplicated:       r.Duplicated,
		measure.SimulatorReordered:        r.Reordered,
		measure.SimulatorUnexpected:       r.Unexpected,
		measure.SimulatorMissing:          r.ReprovisionsMissing,
		measure.SimulatorSpurious:         r.ReprovisionsSpurious,
		measure.SimulatorEventStateP50:    r.Latency.EventToState.P50 / 1000,
		measure.SimulatorEventStateP99:    r.Latency.EventToState.P99 / 1000,
	}
}
