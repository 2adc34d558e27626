package service

import (
	"cmp"
	"context"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// births writes a point for each birth message that is delivered: a device is on the
// dashboards from then on, with its model, before it sends a reading or changes its
// state. One that is delivered again is the same point.
type births struct {
	sink   ingest.Sink
	points deviceworkflow.PointWriter
	// name is that of the model of a hash, "" if it is not known; unnamed is the hash of the model
	// of deliveries that name none.
	name    func(hash string) string
	unnamed string
}

func newBirths(sink ingest.Sink, points deviceworkflow.PointWriter, name func(hash string) string, unnamed string) *births {
	return &births{sink: sink, points: points, name: name, unnamed: unnamed}
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
	hash := cmp.Or(m.Model, d.Model, b.unnamed)
	tags := measure.EntityTags(string(d.ID))
	addKnown(tags, measure.TagModel, b.name(hash))
	if site, ok := m.Identity("site"); ok {
		addKnown(tags, measure.TagSite, site)
	}
	fields := map[string]any{measure.Count: int64(1)}
	if firmware, ok := m.Identity("firmware"); ok && firmware != "" {
		fields[measure.BirthFirmware] = firmware
	}
	b.points.WritePoint(measure.Births, tags, fields, m.Time)
}
