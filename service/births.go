package service

import (
	"context"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// births writes a point for each birth message that is delivered: a device is on the
// dashboards from then on, with its model, before it sends a reading or changes its
// state. One that is delivered again is the same point.
type births struct {
	sink   ingest.Sink
	points deviceworkflow.PointWriter
	models map[string]string // names by hash, of "" too
}

func newBirths(sink ingest.Sink, points deviceworkflow.PointWriter, models []*devicefsm.Model, unnamed string) *births {
	b := &births{sink: sink, points: points, models: map[string]string{}}
	for _, m := range models {
		b.models[m.Hash()] = m.Name()
	}
	b.models[""] = b.models[unnamed]
	return b
}

func (b *births) Deliver(ctx context.Context, d device.Delivery) (run string, err error) {
	run, err = b.sink.Deliver(ctx, d)
	if err != nil {
		return run, err
	}
	for _, m := range d.Batch.Messages {
		if m.Channel == device.ChannelStatus && m.Alive() {
			b.write(d, m)
		}
	}
	return run, nil
}

func (b *births) write(d device.Delivery, m device.Message) {
	hash := d.Model
	if m.Model != "" {
		hash = m.Model
	}
	tags := measure.EntityTags(string(d.ID))
	addKnown(tags, measure.TagModel, b.models[hash])
	if site, ok := m.Identity("site"); ok {
		addKnown(tags, measure.TagSite, site)
	}
	fields := map[string]any{measure.Count: int64(1)}
	if firmware, ok := m.Identity("firmware"); ok && firmware != "" {
		fields[measure.BirthFirmware] = firmware
	}
	b.points.WritePoint(measure.Births, tags, fields, m.Time)
}
