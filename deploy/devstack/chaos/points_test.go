package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/simulator"
)

// The ledger names the point that each reading becomes: see pointTime in package
// bridge.
func TestReadLedger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	ledger := `{"device":"p1","channel":"telemetry","epoch":7,"seq":12,"ts":1764000000123}
{"device":"p1","channel":"status","epoch":7,"seq":13,"ts":1764000000124}
{"device":"p2","channel":"telemetry","epoch":7,"seq":2000003,"ts":1764000000123}
`
	if err := os.WriteFile(file, []byte(ledger), 0o600); err != nil {
		t.Fatal(err)
	}
	due, err := readLedger(file)
	if err != nil {
		t.Fatal(err)
	}
	first := simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 12}
	if len(due) != 2 || due[pointKey{"p1", 1764000000123000012}] != first || due[pointKey{"p2", 1764000000123000003}].Device != "p2" {
		t.Errorf("due are %v", due)
	}
	if err := os.WriteFile(file, []byte(`{"device":"p1",`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readLedger(file); err == nil {
		t.Error("half a line is taken")
	}
	if _, err := readLedger(file + ".none"); err == nil {
		t.Error("no ledger is taken")
	}
}

func TestReadPoints(t *testing.T) {
	const answer = `{"results":[{"statement_id":0,"series":[
		{"name":"pump","tags":{"device":"p1"},"columns":["time","model","temperature"],"values":[[1764000000123000012,"pump",61.5],[1764000000373000013,"pump",null]]},
		{"name":"pump","tags":{"device":"p2"},"columns":["time","model","temperature"],"values":[[1764000000123000003,"pump",60]]}]}]}`
	read := func(answer string) (map[pointKey]bool, error) {
		series, err := process.ReadSeries([]byte(answer))
		if err != nil {
			return nil, err
		}
		return readPoints(series)
	}
	points, err := read(answer)
	if err != nil || len(points) != 3 || !points[pointKey{"p1", 1764000000123000012}] || !points[pointKey{"p2", 1764000000123000003}] {
		t.Errorf("%v, %v", points, err)
	}
	if points, err := read(`{"results":[{"statement_id":0}]}`); err != nil || len(points) != 0 {
		t.Errorf("nothing written: %v, %v", points, err)
	}
	for _, bad := range []string{`{"results":[{"error":"database not found"}]}`, `{`, `{"results":[{"series":[{"values":[["now"]]}]}]}`, `{"results":[{"series":[{"values":[[]]}]}]}`} {
		if _, err := read(bad); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
}

// A message that is lost as a whole is not counted a second time.
func TestPointsReport(t *testing.T) {
	lost := simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 1}
	p := PointsReport{Due: 9, Dropped: 4}
	other := simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 2}
	without := p.count([]simulator.LostMessage{lost, other}, []LostMessage{{lost, Published}})
	if p.Missing != 1 || len(without) != 1 || without[0] != other || !strings.Contains(p.String(), "1 of 9 missing in InfluxDB, 4 dropped") {
		t.Errorf("%s", p)
	}
}

// If more points are missing than tolerated, those that no bridge received are
// counted separately.
func TestPointsThatNoBridgeReceived(t *testing.T) {
	log := filepath.Join(t.TempDir(), "bridge.log")
	if err := os.WriteFile(log, []byte("level=DEBUG msg=received device=p1 epoch=7 seq=2 channel=telemetry\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := []simulator.LostMessage{{Device: "p1", Epoch: 7, Seq: 1}, {Device: "p1", Epoch: 7, Seq: 2}, {Device: "p1", Epoch: 7, Seq: 3}}
	for tolerated, want := range map[uint64]uint64{0: 2, 2: 2, 3: 0} {
		p := PointsReport{Due: 9, Tolerated: tolerated}
		if err := p.lookFor(p.count(missing, nil), []string{log}); err != nil || p.Unseen != want {
			t.Errorf("%d tolerated: %d unseen, %v; want %d", tolerated, p.Unseen, err, want)
		}
	}
}

// Only what a fault may cost is tolerated.
func TestTolerated(t *testing.T) {
	for name, want := range map[string]uint64{
		"kill-bridge": 3 * 20 * 4 * 4, "rolling-kill-bridges": 3 * 20 * 4 * 4, "disk-full-spool": 17,
		"rolling-restart-bridges": 0, "kill-influxdb": 0, "kill-worker": 0, "cut-bridge-influxdb": 0, "pause-bridge": 0,
	} {
		cases, err := Cases([]string{name}, []process.BrokerKind{process.NATS}, false)
		if err != nil {
			t.Fatal(err)
		}
		p := &play{Options: Options{Devices: 20, Rate: 4}, Case: cases[0]}
		if got := p.tolerated(3, 17); got != want {
			t.Errorf("%s: %d points may be missing; want %d", name, got, want)
		}
	}
	if pointsQuiet <= time.Second {
		t.Error("a bridge lets points wait for a second")
	}
}
