package service

import (
	"context"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// survey writes what a bridge knows of all its devices: how many there are by model, site,
// firmware and connection, and which send most.
type survey struct {
	bridge interface {
		Survey(ctx context.Context, now time.Time, talkers, groups int) ingest.Survey
	}
	points deviceworkflow.PointWriter
	name   string                // of the bridge
	groups map[ingest.Group]bool // of the survey before, without numbers
}

// surveyEvery is how often, after the first time, which is as soon as that of figures. The
// others bound the points of one bridge, each time.
const (
	surveyEvery   = time.Minute
	surveyGroups  = 200
	surveyTalkers = 20
)

func (s *survey) run(ctx context.Context) {
	next := time.NewTimer(figuresEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-next.C:
			next.Reset(surveyEvery)
			s.write(s.bridge.Survey(ctx, at, surveyTalkers, surveyGroups), at.UTC())
		}
	}
}

func (s *survey) write(found ingest.Survey, at time.Time) {
	for _, t := range found.Talkers {
		tags := measure.EntityTags(string(t.ID))
		tags[measure.TagBridge] = s.name
		addKnown(tags, measure.TagModel, t.Model)
		addKnown(tags, measure.TagSite, t.Site)
		s.points.WritePoint(measure.Talkers, tags, map[string]any{
			measure.TalkerMessages: t.Messages, measure.TalkerBytes: t.Bytes, measure.TalkerShare: t.Share,
		}, at)
	}
	before := s.groups
	s.groups = map[ingest.Group]bool{}
	for _, g := range found.Groups {
		s.writeGroup(g, at)
		g.Connections = ingest.Connections{}
		s.groups[g] = true
		delete(before, g)
	}
	for g := range before { // so that nobody takes the last numbers of a group for those of now
		s.writeGroup(g, at)
	}
}

func (s *survey) writeGroup(g ingest.Group, at time.Time) {
	tags := map[string]string{measure.TagBridge: s.name}
	addKnown(tags, measure.TagModel, g.Model)
	addKnown(tags, measure.TagSite, g.Site)
	addKnown(tags, measure.TagFirmware, g.Firmware)
	s.points.WritePoint(measure.KnownDevices, tags, map[string]any{
		measure.KnownOnline: int64(g.Online), measure.KnownSilent: int64(g.Silent), measure.KnownOffline: int64(g.Offline),
	}, at)
}
