package device

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
	"devicetwin/devicefsm/replay"
)

// What a database of time zones says may be something else when a run is replayed, on another
// worker or years later. So a run computes with zones that it has recorded: they are in the
// snapshot, and what is read of the database is in its history.

// zonesLast is how long a run computes with the zones that it recorded. After that it reads
// them again when it has something to do, so that it follows a change of a country's rules.
const zonesLast = 7 * 24 * time.Hour

// zonesRecord is what a run records.
type zonesRecord struct {
	Zones calendar.Zones `json:"zones,omitempty"`
	Fault string         `json:"fault,omitempty"` // why it could not
}

// recordZones reads zones from the worker's database, and records them in the run; of a run
// that is replayed it gives those that were recorded.
func (w *Workflow) recordZones(ctx workflow.Context, names []string) (calendar.Zones, error) {
	now := workflow.Now(ctx)
	read := w.zoneDatabase()
	var record zonesRecord
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any {
		zones, err := read(names, now)
		if err != nil {
			return zonesRecord{Fault: err.Error()}
		}
		return zonesRecord{Zones: zones}
	})
	if err := recorded.Get(&record); err != nil {
		return nil, fmt.Errorf("read the recorded time zones: %w", err)
	}
	if record.Fault != "" {
		return nil, fmt.Errorf("%s", record.Fault)
	}
	return record.Zones, nil
}

func (w *Workflow) zoneDatabase() func(names []string, at time.Time) (calendar.Zones, error) {
	if w.Zones == nil {
		return zonedata.Record
	}
	return w.Zones
}

// zonesOf are those of a model with which a device begins. Without them, the workflow task
// fails: the device waits for a worker whose database has them.
func (d *run) zonesOf(m *devicefsm.Model) calendar.Zones {
	names := m.Zones()
	if len(names) == 0 {
		return nil
	}
	zones, err := d.readZones(names)
	if err != nil {
		panic(fmt.Sprintf("device %s: %v", d.state.Device, err))
	}
	d.state.ZonesAt = d.now()
	return zones
}

// renewZones reads the zones of the model again. Where that fails, the run goes on with those
// that it has.
func (d *run) renewZones() {
	names := d.model.Zones()
	if len(names) == 0 {
		return
	}
	zones, err := d.readZones(names)
	d.state.ZonesAt = d.now()
	if err == nil {
		var renewed *devicefsm.Snapshot
		if renewed, err = d.model.Renew(d.state.Snapshot, zones); err == nil {
			d.journalBegin(replay.DoZones, d.state.ZonesAt, zones, renewed, devicefsm.Outcome{})
			d.state.Snapshot = renewed
			return
		}
	}
	d.noteStepFaults(device.FaultExpression, err.Error())
}

// zonesAreOld reports whether the zones are to be read again.
func (d *run) zonesAreOld(now time.Time) bool {
	return !d.state.ZonesAt.IsZero() && now.Sub(d.state.ZonesAt) >= zonesLast
}
