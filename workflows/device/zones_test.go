package device

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

const dailyModel = `
model: daily
zone: Europe/Berlin
schedules: {daily: {at: "08:00"}}
context: {count: 0, last: ""}
on: {daily: {actions: [{assign: {count: context.count + 1, last: event.due}}, {notify: desk}]}}
initial: a
states: {a: {}}
`

// beforeSummer is a day and some hours before clocks are put forward in Berlin.
var beforeSummer = time.Date(2026, 3, 27, 20, 0, 0, 0, time.UTC)

// withoutSummer is a database in which Berlin has no summer time any more.
func withoutSummer(names []string, at time.Time) (calendar.Zones, error) {
	zones := calendar.Zones{}
	for _, name := range names {
		zones[name] = calendar.Of(time.FixedZone("CET", 3600), at.AddDate(-2, 0, 0), at.AddDate(10, 0, 0))
	}
	return zones, nil
}

// A run keeps the zones that it recorded, and reads them again after a week.
func TestARunKeepsItsZonesForAWeek(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, dailyModel), 0)
	h.SetStartTime(beforeSummer)
	reads := 0
	h.workflow.Zones = func(names []string, at time.Time) (calendar.Zones, error) {
		if reads++; reads == 1 {
			return zonedata.Record(names, at)
		}
		return withoutSummer(names, at)
	}
	var atFirst View
	h.RegisterDelayedCallback(func() { atFirst = h.view() }, 6*24*time.Hour)
	view := h.runUntil(9 * 24 * time.Hour)
	if last := atFirst.Snapshot.Context()["last"]; last != "2026-04-02T06:00:00Z" || len(atFirst.Schedules) != 1 || atFirst.Schedules[0].Next.Format(time.RFC3339) != "2026-04-03T06:00:00Z" {
		t.Errorf("in the first week: last %v, next %+v", last, atFirst.Schedules)
	}
	if last := view.Snapshot.Context()["last"]; last != "2026-04-05T07:00:00Z" || reads != 2 {
		t.Errorf("after it: last %v, and zones were read %d times", last, reads)
	}
	if n := view.Snapshot.Context()["count"]; n != 9.0 {
		t.Errorf("due %v times in nine days", n)
	}
}

// A run that is continued as new reads the zones again; where it can't, it goes on with those
// that it has, and says so.
func TestZonesOverContinueAsNew(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, dailyModel), 0)
	h.SetStartTime(beforeSummer)
	view := h.runUntil(time.Hour)
	for fault, read := range map[string]func([]string, time.Time) (calendar.Zones, error){
		"":             withoutSummer,
		"no such zone": func([]string, time.Time) (calendar.Zones, error) { return nil, fmt.Errorf("no such zone") },
	} {
		next := newHarnessFor(t, h.model, 0)
		next.SetStartTime(beforeSummer.Add(time.Hour))
		next.state, next.workflow.Zones = &view.State, read
		after := next.runUntil(48 * time.Hour)
		want := "2026-03-29T07:00:00Z"
		if fault != "" {
			want = "2026-03-29T06:00:00Z"
		}
		if last := after.Snapshot.Context()["last"]; last != want {
			t.Errorf("%q: last %v; want %s", fault, last, want)
		}
		found := len(after.Reports) > 0 && strings.Contains(after.Reports[0].Detail, "no such zone")
		if found != (fault != "") {
			t.Errorf("%q: reports %+v", fault, after.Reports)
		}
	}
}

// A history replays with what it recorded of time zones, whatever the database of the worker
// says that replays it.
func TestAHistoryReplaysWithOtherZones(t *testing.T) {
	model := modelOf(t, dailyModel)
	h := newHarnessFor(t, model, 0)
	h.SetStartTime(beforeSummer)
	state := h.runUntil(time.Hour).State
	recorded, err := zonedata.Record(model.Zones(), beforeSummer)
	if err != nil {
		t.Fatal(err)
	}
	w := &Workflow{Models: NewRegistry(model), Zones: withoutSummer}
	due := time.Date(2026, 3, 28, 7, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		zones   calendar.Zones
		due     time.Time
		fires   time.Time // when the history says that it was
		replays bool
	}{
		{recorded, due, due, true},
		{recorded, due.Add(23 * time.Hour), due.Add(23 * time.Hour), true}, // in summer time, which the worker does not have
		{recorded, due, due.Add(-time.Minute), false},                      // the replay looks at what is due
	} {
		begin := c.due.Add(-10 * time.Hour)
		replayer := newReplayer(w)
		err := replayer.ReplayWorkflowHistory(quiet(), calendarHistory(t, model, state, c.zones, w.settings(), begin, c.due, c.fires))
		if (err == nil) != c.replays {
			t.Errorf("due at %v: %v", c.due, err)
		}
	}
}

func payloads(t *testing.T, v any) *commonpb.Payloads {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayloads(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// news adds to a history how often the run has learned of groups, as far as it has looked.
func news(t *testing.T, h *historypb.History, at time.Time, completed int64, lessons int) {
	t.Helper()
	data, err := converter.GetDefaultDataConverter().ToPayloads("groups", payloads(t, lessons))
	if err != nil {
		t.Fatal(err)
	}
	id := int64(len(h.Events) + 1)
	h.Events = append(h.Events, &historypb.HistoryEvent{
		EventId: id, EventTime: timestamppb.New(at), EventType: enumspb.EVENT_TYPE_MARKER_RECORDED,
		Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{
			MarkerName: "MutableSideEffect", WorkflowTaskCompletedEventId: completed,
			Details: map[string]*commonpb.Payloads{
				"side-effect-id": payloads(t, fmt.Sprint("groups_", id)), "data": data, "mutable-side-effect-call-counter": payloads(t, 1),
			},
		}},
	})
}

// dueForm is the next occurrence of a schedule in a snapshot.
var dueForm = regexp.MustCompile(`"d":[0-9]+\}`)

// calendarHistory is that of a run that begins with a state, records settings and zones, and
// notifies when its timer fires.
func calendarHistory(t *testing.T, model *devicefsm.Model, state State, zones calendar.Zones, settings runSettings, begin, next, due time.Time) *historypb.History {
	t.Helper()
	snapshot, err := json.Marshal(state.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	// The schedule goes on from the moment before the run.
	state.Snapshot = &devicefsm.Snapshot{}
	moved := strings.Replace(string(snapshot), fmt.Sprintf(`"a":%d`, beforeSummer.UnixMilli()), fmt.Sprintf(`"a":%d`, begin.UnixMilli()), 1)
	moved = dueForm.ReplaceAllString(moved, fmt.Sprintf(`"d":%d}`, next.UnixMilli()))
	if moved == string(snapshot) {
		t.Fatalf("no schedule in %s", snapshot)
	}
	if err := json.Unmarshal([]byte(moved), state.Snapshot); err != nil {
		t.Fatal(err)
	}
	queue := &taskqueuepb.TaskQueue{Name: "q"}
	h := &historypb.History{}
	add := func(at time.Time, e *historypb.HistoryEvent) int64 {
		e.EventId, e.EventTime = int64(len(h.Events)+1), timestamppb.New(at)
		h.Events = append(h.Events, e)
		return e.EventId
	}
	task := func(at time.Time) int64 {
		scheduled := add(at, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, Attributes: &historypb.HistoryEvent_WorkflowTaskScheduledEventAttributes{
			WorkflowTaskScheduledEventAttributes: &historypb.WorkflowTaskScheduledEventAttributes{TaskQueue: queue, Attempt: 1}}})
		started := add(at, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, Attributes: &historypb.HistoryEvent_WorkflowTaskStartedEventAttributes{
			WorkflowTaskStartedEventAttributes: &historypb.WorkflowTaskStartedEventAttributes{ScheduledEventId: scheduled}}})
		return add(at, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, Attributes: &historypb.HistoryEvent_WorkflowTaskCompletedEventAttributes{
			WorkflowTaskCompletedEventAttributes: &historypb.WorkflowTaskCompletedEventAttributes{ScheduledEventId: scheduled, StartedEventId: started}}})
	}
	effect := func(id int64, completed int64, v any) {
		add(begin, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_MARKER_RECORDED, Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{
			MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{
				MarkerName: "SideEffect", WorkflowTaskCompletedEventId: completed,
				Details: map[string]*commonpb.Payloads{"side-effect-id": payloads(t, id), "data": payloads(t, v)},
			}}})
	}
	timer := func(at time.Time, completed int64) int64 {
		id := int64(len(h.Events) + 1)
		return add(at, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_TIMER_STARTED, Attributes: &historypb.HistoryEvent_TimerStartedEventAttributes{
			TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{
				TimerId: fmt.Sprint(id), StartToFireTimeout: durationpb.New(time.Hour), WorkflowTaskCompletedEventId: completed}}})
	}
	add(begin, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
		WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
			WorkflowType: &commonpb.WorkflowType{Name: WorkflowType}, TaskQueue: queue, Attempt: 1,
			OriginalExecutionRunId: "run", FirstExecutionRunId: "run",
			Input: payloads(t, Input{Device: testDevice, Model: model.Hash(), State: &state}),
		}}})
	completed := task(begin)
	effect(1, completed, settings)
	effect(2, completed, zonesRecord{Zones: zones})
	started := timer(begin, completed)
	add(due, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_TIMER_FIRED, Attributes: &historypb.HistoryEvent_TimerFiredEventAttributes{
		TimerFiredEventAttributes: &historypb.TimerFiredEventAttributes{TimerId: fmt.Sprint(started), StartedEventId: started}}})
	completed = task(due)
	id := int64(len(h.Events) + 1)
	add(due, &historypb.HistoryEvent{EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
		ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{
			ActivityId: fmt.Sprint(id), ActivityType: &commonpb.ActivityType{Name: ActivityNotify}, TaskQueue: queue, WorkflowTaskCompletedEventId: completed}}})
	news(t, h, due, completed, 0)
	timer(due, completed)
	return h
}
