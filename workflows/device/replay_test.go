package device

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/testhistory"
	"devicetwin/workflows/aggregate"
)

const historiesDir = "testdata/histories"

// Histories that a server recorded replay with today's code. A change that
// breaks them breaks every device in the field: guard it with
// workflow.GetVersion and record a new history in addition to the old ones.
func TestRecordedHistoriesReplay(t *testing.T) {
	for _, folder := range recordedRules(t) {
		files, err := filepath.Glob(folder + "/*.json")
		if err != nil || len(files) < 6 {
			t.Fatalf("%s: %d recorded histories, error %v: want at least 6", folder, len(files), err)
		}
		for _, file := range files {
			t.Run(filepath.Base(folder)+"/"+filepath.Base(file), func(t *testing.T) {
				took := new(testJournal)
				if err := replayHistory(t, file, &Workflow{Models: recordedModels(t, folder), Journal: took}); err != nil {
					t.Error(err)
				}
				if len(took.entries) > 0 {
					t.Errorf("%d entries of a run that is replayed are in the journal", len(took.entries))
				}
			})
		}
	}
}

// There are histories of the present rules.
func TestThePresentRulesAreRecorded(t *testing.T) {
	if folder := fmt.Sprintf("%s/rules-%d", historiesDir, Rules); !slices.Contains(recordedRules(t), folder) {
		t.Errorf("no %s: make histories", folder)
	}
}

// recordedRules are the folders of histories, one for each version of the rules.
func recordedRules(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(historiesDir + "/rules-*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d folders of histories, error %v", len(folders), err)
	}
	return folders
}

// What a run found is counted when it is found, and not when the run is replayed.
func TestAReplayCountsNoFaults(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, Rules)
	files, err := filepath.Glob(folder + "/confused-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d histories of a device with faults, error %v", len(files), err)
	}
	found := 0
	for _, file := range files {
		for _, e := range testhistory.Read(t, file).GetEvents() {
			signal := e.GetWorkflowExecutionSignaledEventAttributes()
			for _, p := range signal.GetInput().GetPayloads() {
				if bytes.Contains(p.GetData(), []byte(`"sleepy"`)) {
					found++
				}
			}
		}
		counts := NewCounts()
		if err := replayHistory(t, file, &Workflow{Models: recordedModels(t, folder), Counts: counts}); err != nil {
			t.Error(err)
		}
		if n := counts.Value("faults_total"); n != 0 {
			t.Errorf("%s: %v faults are counted in a replay", file, n)
		}
	}
	if found == 0 {
		t.Error("no history has the unknown word of a status")
	}
}

// There are histories of events that are processed one by one, over the end of a run.
func TestProcessingIsRecorded(t *testing.T) {
	files, err := filepath.Glob(historiesDir + "/rules-*/processed-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d histories of a device whose events are processed, error %v; want at least 2", len(files), err)
	}
	for _, file := range files {
		calls := 0
		for _, e := range testhistory.Read(t, file).GetEvents() {
			if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == ActivityCall {
				calls++
			}
		}
		if calls == 0 {
			t.Errorf("%s: no event is processed", file)
		}
	}
}

// There are histories of an entity of whom records are written, also by the activity that takes over when
// that fails, and of one with records of more partitions than a workflow keeps logs of bridges,
// delivered again and with ids of their sender; each over the end of a run.
func TestRecordsAreRecorded(t *testing.T) {
	signals := func(pattern string, history *history.History) map[string]bool {
		found := map[string]bool{}
		for _, e := range history.GetEvents() {
			for _, p := range e.GetWorkflowExecutionSignaledEventAttributes().GetInput().GetPayloads() {
				for _, match := range regexp.MustCompile(pattern).FindAll(p.GetData(), -1) {
					found[string(match)] = true
				}
			}
		}
		return found
	}
	files := func(name string) []string {
		all, err := filepath.Glob(historiesDir + "/rules-*/" + name + "-*.json")
		if err != nil || len(all) < 2 {
			t.Fatalf("%d histories of %s, error %v; want at least 2: make histories", len(all), name, err)
		}
		return all
	}
	writes, ids := 0, 0
	for _, file := range files("bought") {
		recorded := testhistory.Read(t, file)
		for _, e := range recorded.GetEvents() {
			if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == ActivityRecord {
				writes++
			}
		}
		ids += len(signals(`"sid":"[^"]+"`, recorded))
	}
	if writes == 0 || ids == 0 {
		t.Errorf("bought: %d activities that write records, %d ids of purchases; want some", writes, ids)
	}
	logs := map[string]bool{}
	for _, file := range files("spread") {
		maps.Copy(logs, signals(`"log":"[^"]+:[0-9]+"`, testhistory.Read(t, file)))
	}
	if len(logs) <= keptLogs {
		t.Errorf("spread: records of %d partitions, want more than %d", len(logs), keptLogs)
	}
}

// There are histories of an operator who decides on events that hold a queue, and of the search attributes
// that say so.
func TestDecisionsAreRecorded(t *testing.T) {
	files, err := filepath.Glob(historiesDir + "/rules-*/decided-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d histories of a device with decisions, error %v; want at least 2", len(files), err)
	}
	decisions, shown := 0, 0
	for _, file := range files {
		for _, e := range testhistory.Read(t, file).GetEvents() {
			for _, p := range e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetArgs().GetPayloads() {
				if bytes.Contains(p.GetData(), []byte(`"process":{`)) {
					decisions++
				}
			}
			if _, ok := e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()[AttributeProcessing.GetName()]; ok {
				shown++
			}
		}
	}
	if decisions != 3 || shown < 3 { // one of them was refused
		t.Errorf("%d decisions, and %d times a search attribute that says whether the queue is held; want 3, and at least 3", decisions, shown)
	}
}

// What a log delivered again is in the histories, and decides how they replay: by the rules
// before, a run would go another way.
func TestRecordedPositionsCount(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, rulesLog)
	files, err := filepath.Glob(folder + "/redelivered-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d histories of a device whose log delivers again, error %v; want at least 2", len(files), err)
	}
	again, other := 0, 0
	for _, file := range files {
		recorded := testhistory.Read(t, file)
		again += deliveredTwice(t, recorded)
		for _, e := range recorded.GetEvents() {
			for _, d := range e.GetMarkerRecordedEventAttributes().GetDetails() {
				for _, p := range d.GetPayloads() {
					now, before := fmt.Appendf(nil, `"rules":%d`, rulesLog), fmt.Appendf(nil, `"rules":%d`, rulesCorners)
					p.Data = bytes.Replace(p.GetData(), now, before, 1)
				}
			}
		}
		replayer := newReplayer(&Workflow{Models: recordedModels(t, folder)})
		if err := replayer.ReplayWorkflowHistory(quiet(), recorded); err != nil {
			other++
		}
	}
	if again == 0 || other == 0 {
		t.Errorf("%d messages were delivered again, and %d of %d histories replay differently without positions", again, other, len(files))
	}
}

// deliveredTwice counts the messages in the signals of a history that are not above the
// position before them.
func deliveredTwice(t *testing.T, recorded *history.History) int {
	t.Helper()
	count, highest := 0, map[string]int64{}
	for _, e := range recorded.GetEvents() {
		for _, p := range e.GetWorkflowExecutionSignaledEventAttributes().GetInput().GetPayloads() {
			var batch device.Batch
			if err := json.Unmarshal(p.GetData(), &batch); err != nil {
				t.Fatal(err)
			}
			for _, m := range batch.Messages {
				if m.Pos > 0 && m.Pos <= highest[batch.Log] {
					count++
				}
				highest[batch.Log] = max(highest[batch.Log], m.Pos)
			}
		}
	}
	return count
}

// The replay test can fail: a worker that decides otherwise is found out.
func TestReplayFindsAChangeOfBehaviour(t *testing.T) {
	const folder = historiesDir + "/rules-0"
	other := recordedModels(t, folder)
	for hash := range other.byHash {
		src := []byte("model: pump\ninitial: idle\nstates: {idle: {}}\n")
		model, err := devicefsm.Load("changed.yaml", src)
		if err != nil {
			t.Fatal(err)
		}
		other.byHash[hash] = model
	}
	if err := replayHistory(t, folder+"/obedient-0.json", &Workflow{Models: other}); err == nil {
		t.Error("a history of a reprovisioning replays with a model that knows none")
	}
}

func recordedModels(t *testing.T, folder string) *Registry {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var models []*devicefsm.Model
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		model, err := devicefsm.Load(file, src)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, model)
	}
	return NewRegistry(models...)
}

func replayHistory(t *testing.T, file string, w *Workflow) error {
	t.Helper()
	return newReplayer(w).ReplayWorkflowHistoryFromJSONFile(quiet(), file)
}

func newReplayer(w *Workflow) worker.WorkflowReplayer {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(w.Device, workflow.RegisterOptions{Name: WorkflowType})
	return replayer
}

func quiet() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }

// What is sent in a dialect is in the histories, and decides how they replay: by the rules
// before, a run would go another way.
func TestRecordedDialectsCount(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, rulesDialects)
	files, err := filepath.Glob(folder + "/spoken-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d histories of a device that speaks a dialect, error %v; want at least 2", len(files), err)
	}
	results := map[string]int{`"done":true`: 0, `"shows":{`: 0, `"failed":"`: 0}
	other := 0
	for _, file := range files {
		recorded := testhistory.Read(t, file)
		for _, e := range recorded.GetEvents() {
			for _, d := range e.GetMarkerRecordedEventAttributes().GetDetails() {
				for _, p := range d.GetPayloads() {
					for what := range results {
						results[what] += bytes.Count(p.GetData(), []byte(what))
					}
					p.Data = bytes.Replace(p.GetData(), fmt.Appendf(nil, `"rules":%d`, rulesDialects), fmt.Appendf(nil, `"rules":%d`, rulesLog), 1)
				}
			}
		}
		if err := newReplayer(&Workflow{Models: recordedModels(t, folder)}).ReplayWorkflowHistory(quiet(), recorded); err != nil {
			other++
		}
	}
	for what, n := range results {
		if n == 0 {
			t.Errorf("no history has %s", what)
		}
	}
	if other == 0 {
		t.Errorf("%d histories replay without dialects", len(files))
	}
}

// What a run learned of groups is in the histories, and decides how they replay: by the rules
// before, it would report nothing. The worker that replays them has no model of groups.
func TestRecordedLessonsCount(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, rulesGroups)
	files, err := filepath.Glob(folder + "/learned-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d histories of a device that learns of its group, error %v; want at least 2", len(files), err)
	}
	lessons, reports, other := 0, 0, 0
	for _, file := range files {
		recorded := testhistory.Read(t, file)
		for _, e := range recorded.GetEvents() {
			marker := e.GetMarkerRecordedEventAttributes()
			for _, d := range marker.GetDetails() {
				for _, p := range d.GetPayloads() {
					if bytes.Contains(p.GetData(), []byte(`"kind":"yard"`)) && !bytes.Contains(p.GetData(), []byte(`"rules":`)) {
						lessons++
					}
					reports += bytes.Count(p.GetData(), []byte(`"`+aggregate.ActivitySignal+`"`))
					p.Data = bytes.Replace(p.GetData(), fmt.Appendf(nil, `"rules":%d`, rulesGroups), fmt.Appendf(nil, `"rules":%d`, rulesOrigin), 1)
				}
			}
		}
		if err := newReplayer(&Workflow{Models: recordedModels(t, folder)}).ReplayWorkflowHistory(quiet(), recorded); err != nil {
			other++
		}
	}
	if lessons == 0 || reports == 0 || other == 0 {
		t.Errorf("%d lessons, %d reports, and %d of %d histories replay differently without lessons", lessons, reports, other, len(files))
	}
}

// The end of a device whose run knew nothing of its group is in the histories, and decides how they
// replay: by the rules before, the group would not hear of it.
func TestRecordedLeavesCount(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, rulesLeaving)
	files, err := filepath.Glob(folder + "/left-*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("%d histories of a device that leaves its group, error %v; want 2", len(files), err)
	}
	ends := 0
	for _, file := range files {
		recorded := testhistory.Read(t, file)
		ended, learned := 0, 0
		for _, e := range recorded.GetEvents() {
			if e.GetWorkflowExecutionCompletedEventAttributes() != nil {
				ended++
			}
			for _, d := range e.GetMarkerRecordedEventAttributes().GetDetails() {
				for _, p := range d.GetPayloads() {
					learned += bytes.Count(p.GetData(), []byte(`"kind":"yard"`))
					p.Data = bytes.Replace(p.GetData(), fmt.Appendf(nil, `"rules":%d`, rulesLeaving), fmt.Appendf(nil, `"rules":%d`, rulesGroups), 1)
				}
			}
		}
		err := newReplayer(&Workflow{Models: recordedModels(t, folder)}).ReplayWorkflowHistory(quiet(), recorded)
		if ended == 0 && err != nil || ended > 0 && (err == nil || learned != 1) {
			t.Errorf("%s: a run that ended %d times and was given groups %d times replays by earlier rules with %v", file, ended, learned, err)
		}
		ends += ended
	}
	if ends != 1 {
		t.Errorf("%d ends of the device are recorded", ends)
	}
}

// Groups with alarms that wait, and devices with schedules in a time zone, are in the
// histories, each over the end of a run.
func TestRecordedGroupsAndSchedules(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, rulesGroups)
	for name, want := range map[string][]string{"yard": {`"silent":`, `"aggregators":`}, "scheduled": {`"Europe/Berlin"`, `"beats":`}, "grouped": {`"site":"south"`}} {
		files, err := filepath.Glob(folder + "/" + name + "-*.json")
		if err != nil || len(files) < 2 && name != "grouped" {
			t.Errorf("%d histories of %s, error %v; want at least 2", len(files), name, err)
		}
		var text []byte
		for _, file := range files {
			for _, e := range testhistory.Read(t, file).GetEvents() {
				for _, p := range append(e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetInput().GetPayloads(),
					e.GetWorkflowExecutionSignaledEventAttributes().GetInput().GetPayloads()...) {
					text = append(text, p.GetData()...)
				}
				for _, d := range e.GetMarkerRecordedEventAttributes().GetDetails() {
					for _, p := range d.GetPayloads() {
						text = append(text, p.GetData()...)
					}
				}
			}
		}
		for _, w := range want {
			if !bytes.Contains(text, []byte(w)) {
				t.Errorf("the histories of %s have no %s", name, w)
			}
		}
	}
}

// A migration there, one back, and one that was refused are in the histories, each with the end of
// its run. Both models are needed to replay them, and what a worker of an earlier release would have
// said is something else.
func TestRecordedMigrations(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, Rules)
	files, err := filepath.Glob(folder + "/migrated-*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d histories of a device that was moved, error %v; want 3", len(files), err)
	}
	models := map[string]bool{}
	moved, refused := 0, 0
	for _, file := range files {
		recorded := testhistory.Read(t, file)
		versions := 0
		for _, e := range recorded.GetEvents() {
			for _, p := range e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetInput().GetPayloads() {
				var in Input
				if err := json.Unmarshal(p.GetData(), &in); err != nil || len(in.State.Migrations) == 0 {
					t.Fatalf("%s: the next run is given %+v, error %v", file, in, err)
				}
				models[in.Model] = true
				moved++
			}
			for _, p := range e.GetWorkflowExecutionUpdateCompletedEventAttributes().GetOutcome().GetSuccess().GetPayloads() {
				refused += bytes.Count(p.GetData(), []byte(`"code":412`))
			}
			if e.GetMarkerRecordedEventAttributes().GetMarkerName() == "Version" {
				versions++
			}
		}
		if versions == 0 {
			continue
		}
		one := recordedModels(t, folder)
		for hash := range models {
			delete(one.byHash, hash)
		}
		if err := replayHistory(t, file, &Workflow{Models: one}); err == nil {
			t.Errorf("%s replays without the models", file)
		}
	}
	if len(models) != 2 || moved != 2 || refused != 1 {
		t.Errorf("%d models, %d migrations, %d refusals; want 2, 2, 1", len(models), moved, refused)
	}
}

// Ids with an origin are in the histories: of the commands of operators, and of reprovisionings.
func TestRecordedOrigins(t *testing.T) {
	folder := fmt.Sprintf("%s/rules-%d", historiesDir, rulesOrigin)
	for name, id := range map[string]string{"operated-1": `-order-[0-9a-f]{8}-[0-9]+"`, "obedient-0": `-reprovision-[0-9a-z]{8}-[0-9]+"`} {
		found := 0
		for _, e := range testhistory.Read(t, folder+"/"+name+".json").GetEvents() {
			for _, p := range append(e.GetActivityTaskScheduledEventAttributes().GetInput().GetPayloads(),
				e.GetWorkflowExecutionUpdateCompletedEventAttributes().GetOutcome().GetSuccess().GetPayloads()...) {
				found += len(regexp.MustCompile(id).FindAll(p.GetData(), -1))
			}
		}
		if found == 0 {
			t.Errorf("%s has no id like %s", name, id)
		}
	}
}
