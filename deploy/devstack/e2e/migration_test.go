package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	one, two *devicefsm.Model
	api      *client.Client
	twins    *twinclient.Client
	devices  int
}

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
	f = &movedFleet{T: t, devices: devices, one: loadModelOf(t, models+"/pump.yaml"), two: loadModelOf(t, models+"/pump-2.yaml")}
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

// until waits for a migration.
func (f *movedFleet) until(id, what string, is func(api.FleetMigration) bool) (last api.FleetMigration) {
	f.Helper()
	eventuallyWithin(f.T, 5*time.Minute, 200*time.Millisecond, "migration "+id+" "+what, func(ctx context.Context) bool {
		m, err := f.api.Migration(ctx, id)
		if err == nil {
			last = m
		}
		return err == nil && is(m)
	})
	return last
}

// all calls check with every device.
func (f *movedFleet) all(check func(api.Device, api.Why)) {
	f.Helper()
	page, err := f.api.Devices(f.Context(), "", 1000, "")
	if err != nil || len(page.Devices) != f.devices {
		f.Fatalf("%d devices, %v; want %d", len(page.Devices), err, f.devices)
	}
	for _, d := range page.Devices {
		full, err := f.api.Device(f.Context(), d.ID)
		if err != nil {
			f.Fatal(err)
		}
		why, err := f.api.Why(f.Context(), d.ID, 20)
		if err != nil {
			f.Fatal(err)
		}
		check(full, why)
	}
}

// migrations are those of a device that are remembered.
func (f *movedFleet) migrations(id device.ID) int {
	f.Helper()
	view, err := f.twins.Describe(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return len(view.Migrations)
}

// A fleet under load is moved to another version of its model, and back, while bridge and workers
// are killed with -9: each device is moved once, no message is lost or applied twice, and crash
// loops are reprovisioned once, also those that begin in one model and end in the other.
func TestAFleetIsMovedUnderLoad(t *testing.T) {
	const devices = 40
	f, models := newMovedFleet(t, devices)
	report := filepath.Join(t.TempDir(), "report.json")
	servers := serve(t, "--only", "mqtt,temporal", "--data-dir", t.TempDir(), "--mqtt-port", "0", "--temporal-port", "0")
	where := []string{
		"--mqtt-url", servers.settings["DEVICETWIN_MQTT_URL"], "--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
	}
	model := []string{"--model", models + "/pump.yaml", "--models", models, "--influx-url", ""}
	bridgeHTTP := "127.0.0.1:" + freePort(t)
	startBridge := func() *process.Process {
		b := background(t, "devicetwin", slices.Concat([]string{"bridge", "--http-listen", bridgeHTTP}, model, where)...)
		awaitReady(t, bridgeHTTP)
		return b
	}
	startWorker := func() *process.Process {
		listen := "127.0.0.1:" + freePort(t)
		w := background(t, "devicetwin", slices.Concat([]string{"worker", "--http-listen", listen,
			"--worker-credentials", servers.settings["DEVICETWIN_WORKER_CREDENTIALS"], "--worker-run-events", "60"}, model, where)...)
		awaitReady(t, listen)
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

	fleet := background(t, "devicetwin", slices.Concat([]string{"simulate", "--model", "models/pump.yaml",
		"--devices", "40", "--rate", "2", "--duration", "400s", "--seed", "85", "--report", report}, where)...)
	eventuallyWithin(t, time.Minute, time.Second, "all pumps are there", func(ctx context.Context) bool {
		n, err := f.api.CountDevices(ctx, "model_hash:"+f.one.Hash())
		return err == nil && n.Count == devices
	})
	there, back := f.plans()
	for i, leg := range []struct {
		plan     string
		from, to *devicefsm.Model
	}{{there, f.one, f.two}, {back, f.two, f.one}} {
		began := time.Now()
		started, err := f.api.StartMigration(t.Context(), api.NewFleetMigration{Words: "model:pump", Plan: leg.plan, Note: "an acceptance", Rate: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.until(started.ID, "moves devices", func(m api.FleetMigration) bool { return m.Phase == "moving" })
		time.Sleep(4 * time.Second)
		workers[0].Kill()
		bridge.Kill()
		time.Sleep(time.Second)
		workers[1].Kill()
		bridge, workers = startBridge(), []*process.Process{startWorker(), startWorker()}
		done := f.until(started.ID, "is done", func(m api.FleetMigration) bool { return m.Ended != nil })
		t.Logf("moved in %v: %+v", time.Since(began).Round(time.Second), done)
		if done.Phase != "done" || done.Moved != devices || done.Refused != 0 || done.Already != 0 {
			t.Errorf("migration %d: %+v", i, done)
		}
		f.all(func(d api.Device, why api.Why) {
			if d.ModelHash != leg.to.Hash() || f.migrations(d.ID) != i+1 {
				t.Errorf("%s runs model %.12s after %d migrations, want %.12s after %d", d.ID, d.ModelHash, f.migrations(d.ID), leg.to.Hash(), i+1)
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
	expectClean(t, readReport(t, report), 5)
}
