package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	At     time.Time
	Erase  bool // it was deleted with all its data: what there is from before At is erased
}

// EndingLister lists the workflows that ended at a time or later, and says how long they
// stay in the list; *Client is one.
type EndingLister interface {
	Endings(ctx context.Context, since time.Time, each func([]Ending)) error
	EndingsKept(ctx context.Context) (time.Duration, error)
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
			_, erase := e.GetMemo().GetFields()[deviceworkflow.MemoErase]
			page = append(page, Ending{deviceworkflow.EntityOf(e.GetExecution().GetWorkflowId()), e.GetExecution().GetRunId(), e.GetCloseTime().AsTime(), erase})
		}
		each(page)
		if request.NextPageToken = answer.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

// EndingsKept is how long a workflow that ended stays in the list: the namespace's retention.
func (c *Client) EndingsKept(ctx context.Context) (time.Duration, error) {
	answer, err := c.temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: c.namespace})
	if err != nil {
		return 0, fmt.Errorf("read the retention of namespace %s: %w", c.namespace, availability(err))
	}
	return answer.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), nil
}

// EndingWatch reports the ends of devices' workflows, each once, until its Run ends.
type EndingWatch struct {
	Lister EndingLister
	Every  time.Duration
	// Since is a time that Done was called with by an earlier process. What ended since then
	// is listed as soon as Run begins, and what ended shortly before may be reported once
	// more. Zero: only what ends from now on is reported.
	Since time.Time
	// Report is called with the devices whose workflows ended. Nil: nobody wants to know but
	// Erase.
	Report func(context.Context, ...device.ID)
	// Erase is called with those that were deleted with all their data. After an error they
	// are reported again. Nil: nobody wants to know.
	Erase func(context.Context, ...Ending) error
	// Gap is called when some of the workflows that ended may not be listed any more:
	// nothing is known of any workflow that was there before the call. Nil: it is logged
	// only.
	Gap func(context.Context)
	// Done is called after each complete list with the time at which it began, which is the
	// Since of the next process: what ended before and is listed is reported, and the next
	// list reaches back a little further for what is listed late. Nil: nobody wants to know.
	Done func(until time.Time)
	Log  *slog.Logger
}

const (
	// endingsTimeout is how long each page of the list may take: there may be many if it
	// reaches far back.
	endingsTimeout = 30 * time.Second
	// endingsOverlap is how far each list reaches back beyond the one before: the list
	// trails the ends, and the server's clock is not this host's.
	endingsOverlap = time.Minute
	// endingsLeast is how far back any list reaches, so that the retention need not be
	// asked for. Temporal permits no retention below an hour.
	endingsLeast = 30 * time.Minute
	// maxKnownEndings bounds the ends that are known to be reported. Beyond it, some are
	// reported again, which costs a signal.
	maxKnownEndings = 100_000
)

// Run reports until ctx ends. A list that fails is made up for by the next one; the first
// failure of several in a row is logged.
func (w *EndingWatch) Run(ctx context.Context) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	r := reported{since: w.Since.Round(0)}
	if w.Since.IsZero() {
		r.since = wallClock()
	} else {
		w.advance(ctx, &r)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.advance(ctx, &r)
		}
	}
}

// reported is how far a watch has come.
type reported struct {
	since       time.Time       // what ended before is reported
	before, now map[string]bool // runs that the list before, and the last one, had
	failing     bool
}

// wallClock is the time without a reading of the monotonic clock, which may stand still
// while the machine does.
func wallClock() time.Time { return time.Now().Round(0) }

// advance reports what ended meanwhile.
func (w *EndingWatch) advance(ctx context.Context, r *reported) {
	began := wallClock()
	err := w.findGap(ctx, r, began)
	if err == nil {
		err = w.list(ctx, r)
	}
	switch {
	case err == nil:
		r.since = began
		if w.Done != nil {
			w.Done(began)
		}
	case !r.failing && ctx.Err() == nil:
		w.Log.Warn("cannot list the devices that were deleted; "+w.follows("those that go on sending are signalled later", "data that are to be erased with them are erased later"), "error", err)
	}
	r.failing = err != nil
}

// findGap begins again from now if it is not sure that the list reaches far enough back. An
// error is one after which it is to be looked at again.
func (w *EndingWatch) findGap(ctx context.Context, r *reported, now time.Time) error {
	age := now.Sub(r.since) + endingsOverlap
	var kept time.Duration
	var err error
	switch {
	case age < 0: // the clock was set back: nobody knows when that time was
	case age < endingsLeast:
		return nil
	default:
		ctx, cancel := context.WithTimeout(ctx, endingsTimeout)
		defer cancel()
		if kept, err = w.Lister.EndingsKept(ctx); errors.Is(err, device.ErrUnavailable) {
			return err
		}
		if err == nil && age+endingsOverlap < kept { // what is listed now may go while it is
			return nil
		}
	}
	what := []any{"since", r.since, "listed_for", kept}
	if err != nil {
		what = []any{"since", r.since, "error", err}
	}
	w.Log.Warn("devices that were deleted meanwhile may not be listed any more; "+w.follows("the next message of each device is signalled", "data that were to be erased with them stay"), what...)
	if w.Gap != nil {
		w.Gap(ctx)
	}
	r.since = now
	return nil
}

// follows is what follows where ends are reported, or else where data are erased.
func (w *EndingWatch) follows(ends, erase string) string {
	if w.Report == nil {
		return erase
	}
	return ends
}

// list reports what was not reported before, and notes what was.
func (w *EndingWatch) list(ctx context.Context, r *reported) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(endingsTimeout, func() { cancel(errEndingsLate) })
	defer late.Stop()
	r.before, r.now = r.now, make(map[string]bool)
	var failed error
	err := w.Lister.Endings(ctx, r.since.Add(-endingsOverlap), func(page []Ending) {
		if err := w.report(ctx, r, page); err != nil {
			failed = err
		} else if ctx.Err() == nil {
			r.note(page)
		}
		late.Reset(endingsTimeout)
	})
	err = errors.Join(err, failed)
	if ctx.Err() != nil { // the last report may be cut off
		err = context.Cause(ctx)
	}
	if err != nil { // what was not listed is still to be known
		for run := range r.before {
			r.now[run] = true
		}
	}
	return err
}

// report reports those of a page that were not reported before.
func (w *EndingWatch) report(ctx context.Context, r *reported, page []Ending) error {
	var ended []device.ID
	var erase []Ending
	for _, e := range page {
		if r.before[e.Run] || r.now[e.Run] {
			continue
		}
		ended = append(ended, e.Device)
		if e.Erase {
			erase = append(erase, e)
		}
	}
	if len(ended) > 0 && w.Report != nil {
		w.Report(ctx, ended...)
	}
	if len(erase) == 0 || w.Erase == nil {
		return nil
	}
	if err := w.Erase(ctx, erase...); err != nil {
		return fmt.Errorf("erase the data of deleted devices: %w", err)
	}
	return nil
}

// note takes note of what was reported.
func (r *reported) note(page []Ending) {
	for _, e := range page {
		if len(r.now) < maxKnownEndings {
			r.now[e.Run] = true
		}
	}
}

var errEndingsLate = fmt.Errorf("list the workflows that ended: no page within %v", endingsTimeout)
