package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
	twinclient "devicetwin/workflows/client"
)

// movedFleet is a fleet of pumps that is moved to another version of its model, and back.
type movedFleet struct {
	*testing.T
	one, two  *devicefsm.Model
	api       *client.Client
	twins     *twinclient.Client
	simulated int // pumps
	broker    string
	said      int // messages of the pumps that the test plays itself
}

// pumpsOf is how many pumps are simulated: FLEET_PUMPS, for the acceptance with 2,000, or a few.
func pumpsOf(t *testing.T) int {
	t.Helper()
	text := os.Getenv("FLEET_PUMPS")
	if text == "" {
		return 40
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 {
		t.Fatalf("FLEET_PUMPS is %q: expected a number of pumps, at least 10", text)
	}
	return n
}

// The test plays some pumps itself, so that each has something open when it is moved: crashers have
// booted three times, and report the fault afterwards; heaters run too hot.
const (
	crashers = 5
	heaters  = 3
)

func (f *movedFleet) devices() int { return f.simulated + crashers + heaters }

func crasher(i int) device.ID { return device.ID(fmt.Sprintf("crasher-%d", i)) }
func heater(i int) device.ID  { return device.ID(fmt.Sprintf("heater-%d", i)) }

// newMovedFleet has the pump, and a second version of it, in a folder.
func newMovedFleet(t *testing.T, devices int) (f *movedFleet, models string) {
	t.Helper()
	src, err := os.ReadFile(root + "/models/pump.yaml")
	if err != nil {
		t.Fatal(err)
	}
	models = t.TempDir()
	second := bytes.Replace(src, []byte("context:\n"), []byte("context:\n  moved: 0\n"), 1)
	second = bytes.Replace(second, []byte("after: {10s: online}"), []byte("after: {12s: online}"), 1)
	for name, text := range map[string][]byte{"pump.yaml": src, "pump-2.yaml": second} {
		if err := os.WriteFile(filepath.Join(models, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f = &movedFleet{T: t, simulated: devices, one: loadModelOf(t, models+"/pump.yaml"), two: loadModelOf(t, models+"/pump-2.yaml")}
	if f.one.Hash() == f.two.Hash() {
		t.Fatal("the two versions are one")
	}
	return f, models
}

// plans are the files of the plan and of the one that leads back.
func (f *movedFleet) plans() (there, back string) {
	f.Helper()
	p := plan.Derive(f.one, f.two)
	p.Context["moved"] = "context.attempts + 1"
	text := plan.Write(p, f.one, f.two)
	read, err := plan.Read("there.yaml", text, f.one, f.two)
	if err != nil {
		f.Fatalf("%v\n%s", err, text)
	}
	inverse, _ := read.Inverse()
	return string(text), string(plan.Write(inverse, f.two, f.one))
}

// slowCrashes is the scenario of the pump, in a file, with crash loops that take up to a minute, so
// that many begin in one model and end in the other; and not more of them than Temporal can take.
func (f *movedFleet) slowCrashes() string {
	f.Helper()
	src, err := os.ReadFile(root + "/models/pump.scenario.yaml")
	if err != nil {
		f.Fatal(err)
	}
	text := strings.Replace(string(src), "per_minute: 0.6", fmt.Sprintf("per_minute: %.3f", min(0.4, 100/float64(f.simulated))), 1)
	text = strings.Replace(text, "times: 3, gap: [50ms, 300ms]", "times: 3, gap: [2s, 15s]", 1)
	if strings.Contains(text, "per_minute: 0.6") || !strings.Contains(text, "[2s, 15s]") {
		f.Fatalf("the scenario has other crash loops:\n%s", text)
	}
	file := filepath.Join(f.TempDir(), "pump.scenario.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
	return file
}

// say has a pump say something, on a connection of its own: the broker holds off an id that comes
// back again and again.
func (f *movedFleet) say(id device.ID, topic, payload string) {
	f.Helper()
	f.said++
	d := connect(f.T, f.broker, fmt.Sprintf("%s-says-%d", id, f.said))
	d.publish("devices/"+string(id)+"/"+topic, payload)
	d.disconnect()
}

// boot begins the crash loops of the crashers.
func (f *movedFleet) boot() {
	f.Helper()
	for i := range crashers {
		for range 3 {
			f.say(crasher(i), "status", `{"status":"boot"}`)
		}
	}
}

// heat makes each heater too hot until it runs another version, or stop is called. One that has
// cooled down in its model is too hot again a moment later.
func (f *movedFleet) heat(to *devicefsm.Model) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	var all sync.WaitGroup
	for i := range heaters {
		f.said++
		d := connect(f.T, f.broker, fmt.Sprintf("%s-heats-%d", heater(i), f.said))
		all.Go(func() {
			defer d.disconnect()
			for ctx.Err() == nil {
				d.client.Publish("devices/"+string(heater(i))+"/telemetry", 1, false, `{"temperature":95}`).WaitTimeout(patience)
				if view, err := f.twins.Describe(ctx, heater(i)); err == nil && view.Model == to.Hash() {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(300 * time.Millisecond):
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// complete completes the crash loops that began before the last migration, and brings the crashers
// back online: each is one crash loop, however often it is asked to take its credentials.
func (f *movedFleet) complete() {
	f.Helper()
	for i := range crashers {
		f.say(crasher(i), "telemetry", `{"code":117}`)
	}
	for i := range crashers {
		answered := ""
		eventuallyWithin(f.T, 5*time.Minute, 100*time.Millisecond, string(crasher(i))+" is online again", func(ctx context.Context) bool {
			view, err := f.twins.Describe(ctx, crasher(i))
			if err != nil {
				return false
			}
			credential, _ := view.Snapshot.Context()["credential"].(string)
			if view.StateName == "awaiting_birth" && credential != answered {
				f.say(crasher(i), "status", fmt.Sprintf(`{"status":"boot","credential":%q}`, credential))
				answered = credential
			}
			return view.StateName == "online" && answered != ""
		})
		why, err := f.api.Why(f.Context(), crasher(i), 100)
		if err != nil {
			f.Fatal(err)
		}
		loops, moved := 0, false
		for _, t := range why.Transitions { // the newest first
			if moved = t.Migration != nil; moved {
				break
			}
			if t.Event == "crash_loop" {
				loops++
			}
		}
		if loops != 1 || !moved {
			f.Errorf("%s has crashed in %d loops since it was moved, want one: %+v", crasher(i), loops, why.Transitions)
		}
	}
}

// cooled is how many heaters were moved from one version to another while they were too hot. What was
// left of their timers has to go on.
func (f *movedFleet) cooled(from *devicefsm.Model) (hot int) {
	f.Helper()
	limit := map[string]time.Duration{f.one.Hash(): 10 * time.Second, f.two.Hash(): 12 * time.Second}[from.Hash()]
	for i := range heaters {
		var list []api.Transition // the newest first
		at := -1
		eventuallyWithin(f.T, 2*time.Minute, 500*time.Millisecond, string(heater(i))+" has cooled down", func(ctx context.Context) bool {
			why, err := f.api.Why(ctx, heater(i), 100)
			if err != nil {
				return false
			}
			list = why.Transitions
			at = slices.IndexFunc(list, func(t api.Transition) bool { return t.Migration != nil })
			return at >= 0 && list[0].To == "online"
		})
		if list[at].From != "overheated" { // it had cooled down just then
			continue
		}
		hot++
		if at == 0 || at+1 == len(list) || list[at].To != "overheated" {
			f.Errorf("%s: why %+v", heater(i), list)
			continue
		}
		began, cooled := list[at+1], list[at-1]
		if took := cooled.At.Sub(began.At); began.To != "overheated" || cooled.Event != "after" || cooled.To != "online" || took != limit {
			f.Errorf("%s was too hot for %v, and then %s: want %v, the delay of its model before; %+v", heater(i), took, cooled.To, limit, list)
		}
	}
	return hot
}

// until waits for a migration.
func (f *movedFleet) until(id, what string, is func(api.FleetMigration) bool) (last api.FleetMigration) {
	f.Helper()
	eventuallyWithin(f.T, 5*time.Minute+time.Duration(f.simulated)*300*time.Millisecond, 200*time.Millisecond, "migration "+id+" "+what, func(ctx context.Context) bool {
		m, err := f.api.Migration(ctx, id)
		if err == nil {
			last = m
		}
		return err == nil && is(m)
	})
	return last
}

// all calls check with every device, of several at a time.
func (f *movedFleet) all(check func(api.Device, api.Why)) {
	f.Helper()
	var ids []device.ID
	for cursor := ""; ; {
		page, err := f.api.Devices(f.Context(), "", 1000, cursor)
		if err != nil {
			f.Fatal(err)
		}
		for _, d := range page.Devices {
			ids = append(ids, d.ID)
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if len(ids) != f.devices() {
		f.Fatalf("%d devices; want %d", len(ids), f.devices())
	}
	var all sync.WaitGroup
	room := make(chan struct{}, 8)
	for _, id := range ids {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			d, err := f.api.Device(f.Context(), id)
			if err != nil {
				f.Error(err)
				return
			}
			why, err := f.api.Why(f.Context(), id, 100)
			if err != nil {
				f.Error(err)
				return
			}
			check(d, why)
		})
	}
	all.Wait()
}

// migrations are those of a device that are remembered.
func (f *movedFleet) migrations(id device.ID) int {
	view, err := f.twins.Describe(f.Context(), id)
	if err != nil {
		f.Error(err)
	}
	return len(view.Migrations)
}

// signals is how many signals a bridge sends in a second, for some time.
func signals(t *testing.T, addr string, d time.Duration) float64 {
	t.Helper()
	before, began := metric(addr, process.MetricSignals), time.Now()
	time.Sleep(d)
	return (metric(addr, process.MetricSignals) - before) / time.Since(began).Seconds()
}

// A fleet under load is moved to another version of its model, and back, while bridge and workers
// are killed with -9: each device is moved once, no message is lost or applied twice, and crash
// loops are reprovisioned once, also those that begin in one model and end in the other; timers go
// on. FLEET_PUMPS=2000 is for hand: on 2 cores it takes half an hour.
func TestAFleetIsMovedUnderLoad(t *testing.T) {
	t.Parallel() // most of the time, it waits for bridges
	pumps := pumpsOf(t)
	f, models := newMovedFleet(t, pumps)
	report := filepath.Join(t.TempDir(), "report.json")
	servers := serve(t, "--only", "mqtt,temporal", "--data-dir", t.TempDir(), "--mqtt-port", "0", "--temporal-port", "0")
	f.broker = servers.settings["DEVICETWIN_MQTT_URL"]
	where := []string{"--mqtt-url", f.broker, "--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"]}
	model := []string{"--model", models + "/pump.yaml", "--models", models, "--influx-url", ""}
	ready := func(listen string) {
		eventuallyWithin(t, time.Minute+time.Duration(pumps)*50*time.Millisecond, 100*time.Millisecond, listen+" is ready", func(context.Context) bool {
			status, _ := get(listen, "/readyz")
			return status == http.StatusOK
		})
	}
	bridgeHTTP := "127.0.0.1:" + freePort(t)
	startBridge := func() *process.Process {
		b := background(t, "devicetwin", slices.Concat([]string{"bridge", "--http-listen", bridgeHTTP}, model, where)...)
		ready(bridgeHTTP)
		return b
	}
	startWorker := func() *process.Process {
		listen := "127.0.0.1:" + freePort(t)
		w := background(t, "devicetwin", slices.Concat([]string{"worker", "--http-listen", listen,
			"--worker-credentials", servers.settings["DEVICETWIN_WORKER_CREDENTIALS"], "--worker-run-events", "60"}, model, where)...)
		ready(listen)
		return w
	}
	bridge, workers := startBridge(), []*process.Process{startWorker(), startWorker()}
	apiListen := "127.0.0.1:" + freePort(t)
	background(t, "devicetwin", "api", "--api-listen", apiListen, "--http-listen", "127.0.0.1:"+freePort(t), "--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"])
	var err error
	if f.api, err = client.New("http://"+apiListen, ""); err != nil {
		t.Fatal(err)
	}
	f.twins = twinclient.New(dialTemporal(t, servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"]), stack.Namespace, taskQueue, f.one.Hash())

	// The fleet has to outlast both directions.
	duration := 460*time.Second + time.Duration(pumps-40)*400*time.Millisecond
	fleet := background(t, "devicetwin", slices.Concat([]string{"simulate", "--model", "models/pump.yaml", "--scenario", f.slowCrashes(),
		"--devices", strconv.Itoa(pumps), "--rate", fmt.Sprintf("%.3f", min(2, 400/float64(pumps))), "--duration", duration.String(), "--seed", "85", "--report", report}, where)...)
	for i := range heaters {
		f.say(heater(i), "status", `{"status":"boot"}`)
	}
	for i := range crashers {
		f.say(crasher(i), "status", `{"status":"online"}`)
	}
	eventuallyWithin(t, time.Minute+time.Duration(pumps)*100*time.Millisecond, time.Second, "all pumps are there", func(ctx context.Context) bool {
		n, err := f.api.CountDevices(ctx, "model_hash:"+f.one.Hash())
		return err == nil && n.Count == f.devices()
	})
	there, back := f.plans()
	rate := max(3, float64(pumps)/40)
	for i, leg := range []struct {
		name, plan string
		from, to   *devicefsm.Model
	}{{"there", there, f.one, f.two}, {"back", back, f.two, f.one}} {
		f.boot()
		usual := signals(t, bridgeHTTP, 5*time.Second)
		started, err := f.api.StartMigration(t.Context(), api.NewFleetMigration{Words: "model:pump", Plan: leg.plan, Note: "an acceptance", Rate: rate})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // the bridge hears of it
		announced := signals(t, bridgeHTTP, 10*time.Second)
		begins := f.until(started.ID, "is announced", func(m api.FleetMigration) bool { return m.Begins != nil }).Begins
		time.Sleep(time.Until(begins.Add(-5 * time.Second)))
		cool := f.heat(leg.to)
		f.until(started.ID, "moves devices", func(m api.FleetMigration) bool { return m.Phase == "moving" })
		time.Sleep(4 * time.Second)
		for kills := range 1 + min(1, pumps/200) {
			f.until(started.ID, "goes on", func(m api.FleetMigration) bool { return m.Moved >= kills*pumps/2 || m.Ended != nil })
			workers[0].Kill()
			bridge.Kill()
			time.Sleep(time.Second)
			workers[1].Kill()
			bridge, workers = startBridge(), []*process.Process{startWorker(), startWorker()}
		}
		done := f.until(started.ID, "is done", func(m api.FleetMigration) bool { return m.Ended != nil })
		cool()
		took := done.Ended.Sub(*done.Begins)
		t.Logf("%s: %d devices in %v after the announcement (%v in all), %.1f a second, bridge and workers killed %d times; signals a second: %.1f before, %.1f while it was announced; images %+v",
			leg.name, done.Moved, took.Round(time.Second), done.Ended.Sub(done.Since).Round(time.Second), float64(done.Moved)/took.Seconds(), 1+min(1, pumps/200), usual, announced, done.Images)
		if done.Phase != "done" || done.Moved != f.devices() || done.Refused != 0 || done.Already != 0 {
			t.Errorf("migration %d: %+v", i, done)
		}
		f.complete()
		if f.cooled(leg.from) == 0 {
			t.Errorf("no heater was too hot when it was moved %s", leg.name)
		}
		f.all(func(d api.Device, why api.Why) {
			if n := f.migrations(d.ID); d.ModelHash != leg.to.Hash() || n != i+1 {
				t.Errorf("%s runs model %.12s after %d migrations, want %.12s after %d", d.ID, d.ModelHash, n, leg.to.Hash(), i+1)
			}
			for _, w := range why.Transitions {
				if m := w.Migration; m != nil && (m.Note != "an acceptance" || !strings.HasPrefix(w.Cause.Kind, "operation") || m.ToModel != w.ModelHash) {
					t.Errorf("%s: why %+v", d.ID, w)
				}
			}
		})
		if fleet.Over() {
			t.Fatal("the fleet ended before the migration")
		}
	}
	if err := fleet.Wait(); err != nil {
		t.Errorf("simulate: %v", err)
	}
	r := readReport(t, report)
	t.Logf("%d devices, %.1f messages a second for %.0f s: %d relevant, %d applied, %d left out of %d that may be; %d signals, %d of %d reprovisions, %d reconnects; lost %d, duplicated %d, reordered %d",
		r.Devices, r.MessagesPerSecond, r.DurationS, r.Relevant, r.Applied, r.LeftOut, r.Optional, r.Signals, r.ReprovisionsDone, r.ReprovisionsExpected, r.Reconnects, r.Lost, r.Duplicated, r.Reordered)
	expectClean(t, r, 5)
}
