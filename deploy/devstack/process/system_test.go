package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A system starts its parts with their own ports, and a part finds another one
// directly, or where it was rerouted to.
func TestSystem(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	var calls [][]string
	program := func(name string, args ...string) *exec.Cmd {
		calls = append(calls, append([]string{name}, args...))
		return exec.Command(sh, "-c", "echo '# ready'; sleep 600")
	}
	pool := NewPortPool()
	s := NewSystem(program, filepath.Join(t.TempDir(), "case"), time.Second)
	defer s.Close(pool)
	if err := s.Prepare(pool, Broker, Temporal, InfluxDB, Bridge); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Data()); err != nil {
		t.Error(err)
	}
	s.Reroute(Bridge, Temporal, "proxy:1")
	if err := s.AddBroker(NATS); err != nil {
		t.Fatal(err)
	}
	s.AddTemporal()
	s.AddService(Service{Part: Bridge, Command: "bridge", Model: "pump.yaml", Flags: []string{"--log-level", "warn"}})
	if err := s.Start(t.Context(), Broker, Temporal); err != nil {
		t.Fatal(err)
	}
	s.Parts[Bridge].Command() // it would not become ready
	for i, want := range []string{
		"devstack serve --only mqtt --data-dir " + s.Data() + " --mqtt-port " + s.Ports[Broker] + " --log-level warn",
		"devstack serve --only temporal --data-dir " + s.Data() + " --temporal-port " + s.Ports[Temporal] + " --log-level warn",
		"devicetwin bridge --http-listen " + s.At(Bridge) + " --model pump.yaml --mqtt-url tcp://" + s.At(Broker) +
			" --temporal-address proxy:1 --influx-url= --model-copies " + s.Data() + "/model-copies --log-level warn",
	} {
		if got := strings.Join(calls[i], " "); got != want {
			t.Errorf("call %d:\n%s\nwant\n%s", i, got, want)
		}
	}
	if err := s.Crashed(); err != nil {
		t.Error(err)
	}
	if got := s.Address(Worker, Temporal); got != s.At(Temporal) {
		t.Errorf("another part finds Temporal at %s, want %s", got, s.At(Temporal))
	}
	s.Nodes = []Part{Broker, InfluxDB}
	s.Reroute(Bridge, Broker, "proxy:2")
	if got, want := s.BrokerURL(Worker), "tcp://"+s.At(Broker)+",tcp://"+s.At(InfluxDB); got != want {
		t.Errorf("a cluster is found at %s, want %s", got, want)
	}
	if got := s.BrokerURL(Bridge); got != "tcp://proxy:2" {
		t.Errorf("a part that is rerouted finds the cluster at %s", got)
	}
	s.Close(pool)
	if !s.Parts[Broker].Over() || !s.Parts[Temporal].Over() || s.Crashed() != nil {
		t.Errorf("after Close: %v", s.Crashed())
	}
}

func TestPatterns(t *testing.T) {
	names := []string{"kill-bridge", "kill-worker", "cut-link"}
	if err := CheckPatterns("fault", []string{"kill-*", "cut-link"}, names); err != nil {
		t.Error(err)
	}
	err := CheckPatterns("fault", []string{"kill-*", "pause"}, names)
	if err == nil || err.Error() != `no fault is called "pause": expected some of kill-bridge, kill-worker, cut-link` {
		t.Error(err)
	}
	matched := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !Match([]string{"kill-*"}, name) })
	if !slices.Equal(matched, names[:2]) {
		t.Errorf("matched are %v", matched)
	}
}

type fakeReport struct{ err error }

func (r fakeReport) WriteTable(w io.Writer) error { _, err := io.WriteString(w, "table\n"); return err }
func (r fakeReport) JSON() ([]byte, error)        { return []byte("{}\n"), r.err }

// A report goes to the file that was named, and the table is written in any case.
func TestPublish(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	why := errors.New("no JSON")
	for _, c := range []struct {
		report fakeReport
		file   string
		want   error
	}{{fakeReport{}, "", nil}, {fakeReport{}, file, nil}, {fakeReport{why}, file, why}} {
		var out strings.Builder
		if err := Publish(c.report, &out, c.file); !errors.Is(err, c.want) || out.String() != "table\n" {
			t.Errorf("%v: %q, %v", c, out.String(), err)
		}
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "{}\n" {
		t.Errorf("the file holds %q, %v", raw, err)
	}
}
