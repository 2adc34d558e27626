package chaos

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/internal/testfile"
	"devicetwin/simulator"
)

// The ledger names the point that each reading becomes: see pointTime in package
// bridge.
func TestReadLedger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	ledger := `{"device":"p1","channel":"telemetry","epoch":7,"seq":12,"ts":1764000000123,"data":{"t":1.5,"mode":"x"}}
{"device":"p1","channel":"status","epoch":7,"seq":13,"ts":1764000000124}
{"device":"p2","channel":"telemetry","epoch":7,"seq":2000003,"ts":1764000000123}
{"device":"p3","channel":"telemetry","epoch":0,"seq":0,"ts":1764000000123,"digest":"00ff","data":{"t":true}}
`
	if err := os.WriteFile(file, []byte(ledger), 0o600); err != nil {
		t.Fatal(err)
	}
	due, err := readLedger(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(due) != 3 {
		t.Fatalf("due are %v", due)
	}
	for i, want := range []reading{
		{simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 12}, pointPlace{"p1", 1764000000123}, 12, map[string]any{"t": 1.5, "mode:string": "x"}},
		{simulator.LostMessage{Device: "p2", Epoch: 7, Seq: 2000003}, pointPlace{"p2", 1764000000123}, 3, map[string]any{}},
		{simulator.LostMessage{Device: "p3", Digest: "00ff"}, pointPlace{"p3", 1764000000123}, -1, map[string]any{"t:bool": true}},
	} {
		if !reflect.DeepEqual(due[i], want) {
			t.Errorf("reading %d: %+v, want %+v", i, due[i], want)
		}
	}
	if err := os.WriteFile(file, []byte(`{"device":"p1","channel":"telemetry","epoch":7,"seq":12,"ts":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readLedger(file); err == nil {
		t.Error("a message without a time is taken")
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
	read := func(answer string) (map[pointPlace][]point, error) {
		series, err := process.ReadSeries([]byte(answer))
		if err != nil {
			return nil, err
		}
		return readPoints(series)
	}
	points, err := read(answer)
	want := map[pointPlace][]point{
		{"p1", 1764000000123}: {{12, map[string]any{"model": "pump", "temperature": 61.5}}},
		{"p1", 1764000000373}: {{13, map[string]any{"model": "pump"}}},
		{"p2", 1764000000123}: {{3, map[string]any{"model": "pump", "temperature": 60.0}}},
	}
	if err != nil || !reflect.DeepEqual(points, want) {
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

// A message that is lost as a whole is not counted a second time, and a damaged one separately.
func TestPointsReport(t *testing.T) {
	lost := simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 1}
	p := PointsReport{Due: 9, Dropped: 4}
	other := simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 2}
	damaged := simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 3}
	without := p.count([]simulator.LostMessage{lost, other, damaged}, []LostMessage{{lost, Published}}, []simulator.LostMessage{lost, damaged})
	if p.Missing != 1 || p.Damaged != 1 || len(without) != 1 || without[0] != other ||
		!strings.Contains(p.String(), "1 of 9 missing in InfluxDB, 4 dropped by the bridge, and 1 in damaged records") {
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
		if err := p.lookFor(p.count(missing, nil, nil), []string{log}); err != nil || p.Unseen != want {
			t.Errorf("%d tolerated: %d unseen, %v; want %d", tolerated, p.Unseen, err, want)
		}
	}
}

// Only a bridge that loses its log without warning may lose points.
func TestTolerated(t *testing.T) {
	for _, ack := range []process.Ack{process.Logged, process.Accepted} {
		cases, err := Choice{Brokers: []process.BrokerKind{process.NATS}, Ack: ack, Upgrade: true}.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			want := uint64(0)
			if c.Fault.Name == "log-gone" && ack == process.Accepted {
				want = 3 * 20 * 4 * 4
			}
			p := &play{Case: c, Options: Options{Devices: 20, Rate: 4}}
			if got := p.tolerated(3); got != want {
				t.Errorf("%s, %s: %d points may be missing, want %d", c.Fault.Name, ack, got, want)
			}
		}
	}
	if pointsQuiet <= time.Second {
		t.Error("a bridge lets points wait for a second")
	}
}

// Each message has a point of its own, with every value under its name.
func TestWithoutPoint(t *testing.T) {
	place := pointPlace{"p1", 5}
	message := func(digest string) simulator.LostMessage { return simulator.LostMessage{Device: "p1", Digest: digest} }
	due := []reading{
		{simulator.LostMessage{Device: "p1", Epoch: 7, Seq: 12}, place, 12, map[string]any{"t": 1.0}},
		{message("a"), place, -1, map[string]any{"t": 1.0}},
		{message("b"), place, -1, map[string]any{"t:string": "x", "p": 2.0}},
	}
	one, two := map[string]any{"t": 1.0}, map[string]any{"t:string": "x", "p": 2.0}
	for name, test := range map[string]struct {
		written []point
		missing int
	}{
		"all":                      {[]point{{12, one}, {0, one}, {1, two}}, 0},
		"two on one point":         {[]point{{12, one}, {1, two}}, 1},
		"a number at another time": {[]point{{13, one}, {0, one}, {1, two}}, 1},
		"a field is missing":       {[]point{{12, one}, {0, one}, {1, map[string]any{"p": 2.0}}}, 1},
		"another value":            {[]point{{12, one}, {0, one}, {1, map[string]any{"t:string": "y", "p": 2.0}}}, 1},
		"none":                     {nil, 3},
	} {
		if got := withoutPoint(due, map[pointPlace][]point{place: test.written}); len(got) != test.missing {
			t.Errorf("%s: missing are %v, want %d", name, got, test.missing)
		}
	}
}

func TestFlatten(t *testing.T) {
	got := map[string]any{}
	flatten(got, "", map[string]any{
		"t": 1.5, "device": 2.0, "time": "now", "on": true, "gone": nil, "a.b": 3.0, "a%2Eb": "c", "": 4.0, "x:string": 5.0, "100%": 6.0,
		"m": map[string]any{"rpm": 7.0, "s": []any{8.0, "y", []any{false}, map[string]any{"z": 9.0}}}, "none": []any{}, "empty": map[string]any{},
	})
	want := map[string]any{
		"t": 1.5, "device:number": 2.0, "time:string": "now", "on:bool": true, "a%2Eb": 3.0, "a%252Eb:string": "c", "%FF": 4.0,
		"x:string:number": 5.0, "100%": 6.0, "m.rpm": 7.0, "m.s.0": 8.0, "m.s.1:string": "y", "m.s.2.0:bool": false, "m.s.3.z": 9.0,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Equal messages of one time and without a number are one point, and no others are.
func TestEqualMessagesOfOneTimeAreOnePoint(t *testing.T) {
	var ledger strings.Builder
	for _, line := range []string{
		`"device":"p1","seq":0,"ts":1764000000123,"digest":"00ff"`,
		`"device":"p1","seq":0,"ts":1764000000123,"digest":"00ff"`, // the same
		`"device":"p1","seq":0,"ts":1764000000124,"digest":"00ff"`,
		`"device":"p1","seq":0,"ts":1764000000123,"digest":"00fe"`,
		`"device":"p2","seq":0,"ts":1764000000123,"digest":"00ff"`,
		`"device":"p3","seq":1,"ts":1764000000123`,
		`"device":"p3","seq":2,"ts":1764000000123`,
	} {
		ledger.WriteString(`{"channel":"telemetry",` + line + "}\n")
	}
	if due, err := readLedger(testfile.Write(t, "ledger.jsonl", ledger.String())); err != nil || len(due) != 6 {
		t.Errorf("%d points are due, want 6: %v", len(due), err)
	}
}
