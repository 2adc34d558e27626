package service

import (
	"context"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// attention writes a point for each device that somebody should look at, by name, for
// as long as that is so: an operator sees which they are, and not only how many.
type attention struct {
	bridge interface {
		Troubled(ctx context.Context, now time.Time, limit int) []ingest.Trouble
	}
	points deviceworkflow.PointWriter
	name   string // of the bridge
}

// attentionNames bounds the points of one bridge, each time.
const attentionNames = 50

func (a attention) run(ctx context.Context) {
	tick := time.NewTicker(figuresEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			a.write(ctx, at.UTC())
		}
	}
}

func (a attention) write(ctx context.Context, at time.Time) {
	for _, t := range a.bridge.Troubled(ctx, at, attentionNames) {
		tags := measure.EntityTags(string(t.ID))
		tags[measure.TagBridge], tags[measure.TagReason] = a.name, measure.AttentionSilent
		if t.Stuck {
			tags[measure.TagReason] = measure.AttentionStuck
		}
		addKnown(tags, measure.TagModel, t.Model)
		addKnown(tags, measure.TagSite, t.Site)
		a.points.WritePoint(measure.Attention, tags, map[string]any{measure.AttentionSeconds: at.Sub(t.Since).Seconds()}, at)
	}
}

// addKnown adds a tag, unless its value is not known.
func addKnown(tags map[string]string, tag, value string) {
	if value != "" {
		tags[tag] = value
	}
}
