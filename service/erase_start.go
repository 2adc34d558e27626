package service

import (
	"cmp"
	"context"

	"go.temporal.io/sdk/client"

	devicejournal "devicetwin/internal/journal"
	"devicetwin/internal/recordlog"
	"devicetwin/points"
	"devicetwin/wire"
)

// startEraser starts what erases devices that were deleted with all their data. Every
// process does that which keeps data of devices: a bridge in InfluxDB for its share, a
// worker for all devices, each after the points that it has itself.
func (s *Service) startEraser(p Plan, temporal client.Client, journal *recordlog.Log, inputs *devicejournal.Writer) error {
	var influx pointDeleter
	if p.Points.URL != "" {
		deleter, err := points.NewDeleter(p.Points)
		if err != nil {
			return err
		}
		s.onClose("deletion of points", func(context.Context) error { deleter.Close(); return nil })
		influx = deleter
	}
	if influx == nil && journal == nil && inputs == nil {
		return nil
	}
	e := newEraser(journal, inputs, influx, s.log)
	e.ahead = wire.DefaultConfig().MaxClockAhead
	if p.Parts.has(Bridge) {
		e.ahead = p.Bridge.Wire.MaxClockAhead
	}
	if !p.Parts.has(Worker) {
		e.owns = p.Bridge.Partition.Owns
	}
	if s.forget != nil {
		e.forget = s.forget
	}
	twins := p.Temporal.Twins(temporal, "", "")
	s.onClose("list of deleted devices", func(context.Context) error { twins.Close(); return nil })
	s.runPart("watch for devices to erase", e.watch(twins, cmp.Or(p.DeletedEvery, eraseEvery)).Run)
	s.runPart("erasing of devices", e.run)
	return nil
}
