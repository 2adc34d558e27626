package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/testserver"
	"devicetwin/simulator"
)

// The units of deploy/systemd, installed word by word as their README says, in a Debian
// with a booted systemd, with Mosquitto and the plugin there, and Temporal and InfluxDB
// elsewhere. While a fleet runs, bridge, worker and API are killed with -9, the last time
// while InfluxDB does not answer, and at the end the whole machine is. systemd starts them
// again, the ledger has no violations, and every reading that the broker acknowledged is a
// point.
func TestUnitsUnderSystemd(t *testing.T) {
	_, err := servers.Find("systemd", "boot")
	serverstest.Need(t, err)
	temporal := serve(t, "--only", "temporal", "--data-dir", t.TempDir(), "--temporal-port", "0")
	influx := serve(t, "--only", "influxdb", "--data-dir", t.TempDir(), "--influx-port", "0")
	h := installUnits(t, map[string]string{
		"127.0.0.1:7233":        temporal.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
		"http://127.0.0.1:8086": influx.settings["DEVICETWIN_INFLUX_URL"],
		"bucket: devicetwin":    "bucket: " + stack.BucketName,
	})

	ledger, report := filepath.Join(t.TempDir(), "ledger.jsonl"), filepath.Join(t.TempDir(), "report.json")
	fleet := background(t, "devicetwin", "simulate", "--model", "models/pump.yaml",
		"--mqtt-url", "tcp://"+h.broker, "--mqtt-username", "devicetwin.fleet",
		"--mqtt-password-file", filepath.Join(h.Root, "etc/devicetwin/secrets/fleet-mqtt-password"),
		"--temporal-address", temporal.settings["DEVICETWIN_TEMPORAL_ADDRESS"], "--influx-url", "",
		"--devices", "40", "--rate", "5", "--duration", "25s", "--seed", "11", "--ledger", ledger, "--report", report)
	for _, round := range [][]string{{"bridge"}, {"worker"}, {"api"}} {
		awaitMetric(t, h.http["bridge"], process.MetricReceived, 300)
		h.kill(t, round...)
	}
	awaitMetric(t, h.http["bridge"], process.MetricReceived, 600)
	if err := influx.Pause(); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, h.http["bridge"], process.MetricReceived, 900)
	h.kill(t, "worker", "bridge")
	if fleet.Over() {
		t.Fatal("the fleet ended before the last kill")
	}
	if err := fleet.Wait(); err != nil {
		t.Errorf("simulate: %v", err)
	}
	eventually(t, "everything is acknowledged", func(context.Context) bool { return metric(h.http["bridge"], process.MetricWindow) == 0 })

	h.Kill()
	if err := influx.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.awaitReady(t, "worker", "bridge", "api")
	r := readReport(t, report)
	expectClean(t, r, 5)
	expectEveryReading(t, influx.settings["DEVICETWIN_INFLUX_URL"], ledger)
	h.expectDevices(t, r.Devices)
}

// host is a machine with the units.
type host struct {
	*servers.Machine
	broker, api string            // addresses
	http        map[string]string // of each part's metrics
}

// installUnits follows deploy/systemd/README.md in a new machine, where some words of
// the configuration are others. All ports are free ones: the machine shares the network
// of this system.
func installUnits(t *testing.T, changes map[string]string) *host {
	t.Helper()
	at := func() string { return "127.0.0.1:" + freePort(t) }
	h := &host{broker: at(), api: at(), http: map[string]string{"bridge": at(), "worker": at(), "api": at()}}
	changes["listener 1883"] = "listener " + strings.TrimPrefix(h.broker, "127.0.0.1:") + " 127.0.0.1"
	changes["tcp://127.0.0.1:1883"] = "tcp://" + h.broker
	changes["--http-listen=127.0.0.1:8090"] = "--http-listen=" + h.http["bridge"]
	changes["--http-listen=127.0.0.1:8091"] = "--http-listen=" + h.http["worker"]
	changes["--http-listen=127.0.0.1:8092"] = "--http-listen=" + h.http["api"]
	changes["--api-listen=127.0.0.1:8080"] = "--api-listen=" + h.api
	build, install, try := readmeOfUnits(t)
	src := t.TempDir()
	buildInto(t, src, build)
	copyChanged(t, src, changes)

	h.Machine = serverstest.Machine(t, "devicetwin", src)
	t.Cleanup(func() {
		if t.Failed() {
			said, err := h.Run(context.Background(), "systemctl --no-pager --full status 'devicetwin-*' mosquitto; journalctl --no-pager -n 100")
			t.Logf("%s\n%v", said, err)
		}
	})
	if said, err := h.Run(t.Context(), "cd /src\n"+install); err != nil {
		t.Fatalf("install as deploy/systemd/README.md says: %v\n%s", err, said)
	}
	h.awaitReady(t, "worker", "bridge", "api")
	if said, err := h.Run(t.Context(), try); err != nil || !strings.Contains(said, "password") {
		t.Errorf("%s: %v\n%s", try, err, said)
	}
	return h
}

// readmeOfUnits are the commands of the README: what builds the programs, what installs
// and starts them, and what is tried then.
func readmeOfUnits(t *testing.T) (build, install, try string) {
	t.Helper()
	raw, err := os.ReadFile(root + "/deploy/systemd/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for i, part := range strings.Split(string(raw), "```") {
		if i%2 == 1 {
			blocks = append(blocks, strings.TrimSpace(part))
		}
	}
	if len(blocks) != 7 || !strings.HasPrefix(blocks[4], "systemctl enable --now ") { // the last one is for Kafka
		t.Fatalf("deploy/systemd/README.md has %d blocks, and the fifth does not start the units:\n%s", len(blocks), strings.Join(blocks, "\n--\n"))
	}
	return blocks[0], strings.Join(blocks[1:5], "\n"), blocks[5]
}

// buildInto runs the commands that build the programs, so that they are in the folder
// bin of another one than the repository.
func buildInto(t *testing.T, dir, commands string) {
	t.Helper()
	if _, err := os.Stat("/usr/include/mosquitto_plugin.h"); err != nil {
		testserver.Missing(t, "the headers of mosquitto are not installed (Debian packages mosquitto-dev libmosquitto-dev)")
	}
	bin := filepath.Join(dir, "bin")
	commands = strings.Replace(commands, "make bin/devicetwin\n", "go build -o bin/devicetwin ./cmd/devicetwin\n", 1) // as make does
	if strings.Count(commands, " bin/") != 2 {
		t.Fatalf("the README does not build two files:\n%s", commands)
	}
	build := exec.Command("sh", "-ec", strings.ReplaceAll(commands, " bin/", " "+bin+"/"))
	build.Dir = root
	runShell(t, build)
}

// copyChanged copies what the README installs. Each change has to be found in some file.
func copyChanged(t *testing.T, to string, changes map[string]string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"models/*.yaml", "deploy/systemd/*", "deploy/mosquitto/mosquitto.conf"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, error %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	var pairs []string
	unused := map[string]bool{}
	for old, changed := range changes {
		pairs = append(pairs, old, changed)
		unused[old] = true
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for old := range changes {
			if strings.Contains(string(raw), old) {
				delete(unused, old)
			}
		}
		path := filepath.Join(to, strings.TrimPrefix(file, root))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(raw))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(unused) > 0 {
		t.Fatalf("no file has %v", unused)
	}
}

func (h *host) awaitReady(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		awaitReady(t, h.http[part])
	}
}

// kill kills the processes of units with -9, and waits until systemd has started others,
// which are ready.
func (h *host) kill(t *testing.T, parts ...string) {
	t.Helper()
	before := map[string]string{}
	for _, part := range parts {
		before[part] = h.mainPID(t, part)
		if before[part] == "0" {
			t.Fatalf("devicetwin-%s does not run", part)
		}
	}
	if _, err := h.Run(t.Context(), "systemctl kill --signal=KILL devicetwin-"+strings.Join(parts, " devicetwin-")); err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		eventually(t, "systemd starts devicetwin-"+part, func(context.Context) bool {
			pid := h.mainPID(t, part)
			return pid != "0" && pid != before[part]
		})
	}
	h.awaitReady(t, parts...)
}

func (h *host) mainPID(t *testing.T, part string) string {
	t.Helper()
	pid, err := h.Run(t.Context(), "systemctl show --property=MainPID --value devicetwin-"+part)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// expectDevices asks the API, with the operator's token of the README.
func (h *host) expectDevices(t *testing.T, want int) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(h.Root, "etc/devicetwin/secrets/api-token"))
	if err != nil {
		t.Fatal(err)
	}
	operator := operatorOf(t, &system{api: "http://" + h.api}, string(token))
	eventually(t, "the API counts all devices", func(ctx context.Context) bool {
		count, err := operator.CountDevices(ctx, "")
		return err == nil && count.Count == want
	})
}

// expectEveryReading looks in InfluxDB for each message of telemetry that the broker
// acknowledged: a point of its device whose time is the message's, and its number
// below the millisecond (docs/telemetry.md).
func expectEveryReading(t *testing.T, address, ledger string) {
	t.Helper()
	due := readingsOfLedger(t, ledger)
	if len(due) < 3000 {
		t.Errorf("only %d readings: the run proves little", len(due))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second) // after an outage, InfluxDB is tried every 30 s
	defer cancel()
	var missing []instant
	err := process.Poll(ctx, time.Second, func(ctx context.Context) (bool, error) {
		written, err := instantsIn(ctx, address, "pump")
		missing = slices.DeleteFunc(slices.Clone(due), func(i instant) bool { return written[i] })
		return len(missing) == 0, err
	})
	if err != nil {
		t.Errorf("%d of %d readings have no point, such as %v: %v", len(missing), len(due), missing[:min(3, len(missing))], err)
	}
}

// instant is a device and a time, in Unix nanoseconds.
type instant struct {
	device string
	ns     int64
}

func readingsOfLedger(t *testing.T, file string) (all []instant) {
	t.Helper()
	ledger, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	for lines := bufio.NewScanner(ledger); lines.Scan(); {
		var m simulator.Acknowledged
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Channel != device.ChannelTelemetry {
			continue
		}
		if m.TS == 0 || m.Seq == 0 {
			t.Fatalf("a reading of %s has no time or no number", m.Device)
		}
		all = append(all, instant{m.Device, m.TS*int64(time.Millisecond) + int64(m.Seq%uint64(time.Millisecond))})
	}
	return all
}

// instantsIn are the times of all points of a measurement, with their devices.
func instantsIn(ctx context.Context, address, measurement string) (map[instant]bool, error) {
	query := url.Values{"db": {stack.Database}, "epoch": {"ns"}, "q": {`SELECT * FROM "` + measurement + `" GROUP BY device`}}
	answer, err := process.Get(ctx, address+"/query?"+query.Encode())
	if err != nil {
		return nil, err
	}
	series, err := process.ReadSeries([]byte(answer))
	if err != nil {
		return nil, err
	}
	all := map[instant]bool{}
	for _, s := range series {
		for _, row := range s.Values {
			var ns int64
			if err := json.Unmarshal(row[0], &ns); err != nil {
				return nil, fmt.Errorf("read the time of a point: %w", err)
			}
			all[instant{s.Tags["device"], ns}] = true
		}
	}
	return all, nil
}
