package client

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// Ending is the end of a device's workflow: it was deleted, or it was terminated or
// cancelled by other means than this service. That a run is continued as new is not an end.
type Ending struct {
	Device device.ID
	Run    string // id of the last run
}

// EndingLister lists the workflows that ended at a time or later; *Client is one.
type EndingLister interface {
	Endings(ctx context.Context, since time.Time, each func([]Ending)) error
}

// Endings hands the workflows that ended since a time to each, page by page. The list
// trails the ends by some tens of milliseconds; on an Elasticsearch, by about a second.
func (c *Client) Endings(ctx context.Context, since time.Time, each func([]Ending)) error {
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: c.namespace, PageSize: MaxPage, Query: fmt.Sprintf(
		"WorkflowType = '%s' AND ExecutionStatus IN ('Completed', 'Terminated', 'Canceled', 'Failed', 'TimedOut') AND CloseTime >= '%s'",
		deviceworkflow.WorkflowType, since.UTC().Format(time.RFC3339Nano))}
	for {
		answer, err := c.temporal.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("list the workflows that ended: %w", availability(err))
		}
		var page []Ending
		for _, e := range answer.GetExecutions() {
			id := strings.TrimPrefix(e.GetExecution().GetWorkflowId(), deviceworkflow.WorkflowID(""))
			page = append(page, Ending{device.ID(id), e.GetExecution().GetRunId()})
		}
		each(page)
		if request.NextPageToken = answer.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

// EndingWatch reports the ends of devices' workflows, each once, until its Run ends.
type EndingWatch struct {
	Lister EndingLister
	Every  time.Duration
	Report func(context.Context, ...device.ID)
	Log    *slog.Logger
}

const (
	endingsTimeout = 30 * time.Second
	// endingsOverlap is how far each list reaches back beyond the one before: the list
	// trails the ends, and the server's clock is not this host's.
	endingsOverlap = time.Minute
	// maxKnownEndings bounds the ends that are known to be reported. Beyond it, some are
	// reported again, which costs a signal.
	maxKnownEndings = 100_000
)

// Run reports until ctx ends. A list that fails is made up for by the next one; the first
// failure of several in a row is logged.
func (w *EndingWatch) Run(ctx context.Context) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	since, failing := time.Now(), false
	var before, now map[string]bool // runs that were reported
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		before, now = now, make(map[string]bool)
		err := w.list(ctx, since.Add(-endingsOverlap), before, now)
		switch {
		case err == nil:
			since = began
		case !failing && ctx.Err() == nil:
			w.Log.Warn("cannot list the devices that were deleted; those that go on sending are signalled later", "error", err)
		}
		if err != nil { // what was not listed is still to be known
			for run := range before {
				now[run] = true
			}
		}
		failing = err != nil
	}
}

// list reports what was not reported before, and notes what was.
func (w *EndingWatch) list(ctx context.Context, since time.Time, before, now map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, endingsTimeout)
	defer cancel()
	return w.Lister.Endings(ctx, since, func(page []Ending) {
		var ended []device.ID
		for _, e := range page {
			if !before[e.Run] && !now[e.Run] {
				ended = append(ended, e.Device)
			}
			if len(now) < maxKnownEndings {
				now[e.Run] = true
			}
		}
		if len(ended) > 0 {
			w.Report(ctx, ended...)
		}
	})
}
