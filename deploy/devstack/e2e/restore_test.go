package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/bridge"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// The folders of a site, each of which may be restored from a copy of another moment.
const (
	temporalFolder    = "temporal"
	brokerFolder      = "broker"
	credentialsFolder = brokerFolder + "/credentials"
	bridgeLogFolder   = "bridge-log"
	workerLogFolder   = "worker-log"

	drillModel = "deploy/devstack/e2e/testdata/drill.yaml"
)

// site is a deployment whose parts are processes, with all that they keep in one folder.
type site struct {
	t                *testing.T
	dir              string
	broker, temporal *server
	worker, bridge   *process.Process
	brokerPort       string
	temporalPort     string
	workerHTTP       string
	bridgeHTTP       string
	twins            *twinclient.Client
	says             *mqttDevice
}

func newSite(t *testing.T, dir string) *site {
	listen := func() string { return "127.0.0.1:" + freePort(t) }
	return &site{t: t, dir: dir, brokerPort: freePort(t), temporalPort: freePort(t), workerHTTP: listen(), bridgeHTTP: listen()}
}

func (s *site) folder(name string) string { return filepath.Join(s.dir, name) }

// start starts all parts in the order of docs/operations.md.
func (s *site) start() {
	s.t.Helper()
	s.startTemporal()
	s.broker = serve(s.t, "--only", "mqtt", "--data-dir", s.folder(brokerFolder), "--mqtt-port", s.brokerPort)
	s.worker = s.run("worker", s.workerHTTP, "--worker-id", "w", "--worker-credentials", s.folder(credentialsFolder), "--worker-log", s.folder(workerLogFolder))
	s.startBridge()
	models, err := service.ModelConfig{Model: filepath.Join(root, drillModel)}.LoadModels()
	if err != nil {
		s.t.Fatal(err)
	}
	s.twins = twinclient.New(dialTemporal(s.t, s.temporal.settings["DEVICETWIN_TEMPORAL_ADDRESS"]), stack.Namespace, taskQueue, models[0].Hash())
	s.t.Cleanup(s.twins.Close)
	s.says = connect(s.t, s.url(), "drill")
}

func (s *site) url() string { return s.broker.settings["DEVICETWIN_MQTT_URL"] }

func (s *site) startTemporal() {
	s.t.Helper()
	s.temporal = serve(s.t, "--only", "temporal", "--data-dir", s.folder(temporalFolder), "--temporal-port", s.temporalPort)
}

func (s *site) startBridge() {
	s.t.Helper()
	s.bridge = s.run("bridge", s.bridgeHTTP, "--bridge-id", "e2e", "--bridge-log", s.folder(bridgeLogFolder))
}

func (s *site) run(command, listen string, flags ...string) *process.Process {
	s.t.Helper()
	p := background(s.t, "devicetwin", append([]string{
		command, "--http-listen", listen, "--model", drillModel, "--mqtt-url", s.url(),
		"--temporal-address", s.temporal.settings["DEVICETWIN_TEMPORAL_ADDRESS"], "--influx-url", "",
	}, flags...)...)
	awaitReady(s.t, listen)
	return p
}

// disaster ends everything. The broker saves what was acknowledged to it when it is stopped.
func (s *site) disaster() {
	s.t.Helper()
	for _, p := range []*process.Process{s.bridge, s.worker, s.temporal.Process} {
		p.Kill()
	}
	if err := s.broker.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// copyTo copies folders of the site, where there are any.
func (s *site) copyTo(dir string, folders ...string) {
	s.t.Helper()
	for _, name := range folders {
		if _, err := os.Stat(s.folder(name)); errors.Is(err, os.ErrNotExist) {
			continue
		}
		to := filepath.Join(dir, name)
		if err := os.RemoveAll(to); err != nil {
			s.t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(s.folder(name))); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) store() credentials.Store {
	s.t.Helper()
	store, err := credentials.Open(s.folder(credentialsFolder))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(store.Close)
	return store
}

// tick and temperature send one message of a device; with a number if there is one.
func (s *site) tick(id, what string, seq ...int) {
	s.t.Helper()
	members := fmt.Sprintf(`"tick":%q`, what)
	if len(seq) > 0 {
		members += fmt.Sprintf(`,"epoch":1,"seq":%d`, seq[0])
	}
	s.says.publish("devices/"+id+"/telemetry", "{"+members+"}")
}

func (s *site) temperature(id string, degrees int) {
	s.t.Helper()
	s.says.publish("devices/"+id+"/telemetry", fmt.Sprintf(`{"temperature":%d}`, degrees))
}

// is waits until a device is in a state, and has had these ticks and nothing else.
func (s *site) is(id, state, ticks string) deviceworkflow.View {
	s.t.Helper()
	var view deviceworkflow.View
	var err error
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s is %s and has had %q; %v", id, view.StateName, view.Snapshot.Context()["ticks"], err)
		}
	}()
	eventuallyWithin(s.t, time.Minute, 50*time.Millisecond, fmt.Sprintf("%s is %s and has had %q", id, state, ticks), func(ctx context.Context) bool {
		view, err = s.twins.Snapshot(ctx, device.ID(id))
		return err == nil && view.StateName == state && view.Snapshot.Context()["ticks"] == ticks
	})
	return view
}

// waiting waits until the log has messages that Temporal has not accepted.
func (s *site) waiting(messages float64) {
	s.t.Helper()
	eventually(s.t, "messages wait in the log", func(context.Context) bool {
		return metric(s.bridgeHTTP, "devicetwin_bridge_backlog_messages") >= messages
	})
}

// logEnd is where a log ends.
func logEnd(t *testing.T, dir string) int64 {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(exportLog(t, dir)), "\n")
	var last struct{ Position int64 }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Position == 0 {
		t.Fatalf("the last line of the log: %s: %v", lines[len(lines)-1], err)
	}
	return last.Position
}

// awaitClaim waits until the bridge claims more of its log than up to a position.
func (s *site) awaitClaim(position int64) {
	s.t.Helper()
	reader := connect(s.t, s.url(), "claims")
	defer reader.disconnect()
	reader.subscribe("bridge/e2e/claim")
	for {
		var claim bridge.BridgeClaim
		if m := reader.next(); json.Unmarshal([]byte(m.payload), &claim) == nil && claim.Position > position {
			return
		}
	}
}

// drill is what the devices of the drill have, and what was copied.
type drill struct {
	moved           *pump // was reprovisioned between the copies
	given           string
	enrolled        string // the password of a device that was enrolled between the copies
	stolen          string // and of one that was revoked
	earlier, latest string // folders
	duplicates      uint64 // of the device that had something waiting, at the later copy
}

// rehearse runs a site through the moments A and B at which everything is copied.
func rehearse(t *testing.T) *drill {
	t.Helper()
	d := &drill{earlier: t.TempDir(), latest: t.TempDir()}
	s := newSite(t, t.TempDir())
	s.start()
	store := s.store()
	issue := func(id device.ID) string {
		t.Helper()
		password, err := store.Issue(t.Context(), id, "first")
		if err != nil {
			t.Fatal(err)
		}
		return password
	}
	d.given, d.stolen = issue("moved"), issue("stolen")
	s.temperature("heats", 20)
	s.temperature("cools", 20)
	s.temperature("moved", 20)
	for i := range 2 {
		s.tick("counts", fmt.Sprint(i+1), i+1)
	}
	for _, id := range []string{"heats", "cools", "moved"} {
		s.is(id, "working.cold", "")
	}
	s.is("counts", "working.cold", "12")
	if err := s.bridge.Stop(); err != nil { // which writes a checkpoint
		t.Fatal(err)
	}
	s.startBridge() // one process from here on, as it may run for months
	s.tick("counts", "3", 3)
	s.is("counts", "working.cold", "123")

	s.temporal.Kill()
	s.tick("waits", "a")
	s.waiting(1)
	s.copyTo(d.earlier, temporalFolder, credentialsFolder, bridgeLogFolder, workerLogFolder)
	s.startTemporal()
	s.is("waits", "working.cold", "a")

	s.tick("waits", "b")
	for i := range 3 {
		s.tick("counts", fmt.Sprint(i+4), i+4)
	}
	s.temperature("heats", 95)
	s.temperature("cools", 95)
	d.moved = newPump(s.url(), "moved", d.given)
	s.reprovision(d.moved, 2)
	d.enrolled = issue("enrolled")
	if _, err := store.Revoke(t.Context(), []device.ID{"stolen"}); err != nil {
		t.Fatal(err)
	}
	s.is("heats", "working.hot", "")
	s.is("cools", "working.hot", "")
	s.is("counts", "working.cold", "123456")
	d.duplicates = s.is("waits", "working.cold", "ab").Delivery.Duplicates
	s.awaitClaim(logEnd(t, filepath.Join(d.earlier, bridgeLogFolder)))

	s.temporal.Kill()
	s.tick("waits", "c")
	s.tick("counts", "7", 7)
	s.waiting(2)
	time.Sleep(time.Second) // the acknowledgements reach the broker
	s.disaster()
	s.copyTo(d.latest, temporalFolder, brokerFolder, bridgeLogFolder, workerLogFolder)
	return d
}

// reprovision lets a device fail until it has a number of passwords, and uses the last one.
func (s *site) reprovision(p *pump, passwords int) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	var living sync.WaitGroup
	living.Go(func() { p.run(ctx) })
	defer living.Wait()
	defer stop()
	p.crash <- struct{}{}
	eventuallyWithin(s.t, time.Minute, 50*time.Millisecond, "the device is reprovisioned", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, device.ID(p.id))
		return err == nil && p.settled(passwords) && view.StateName == "working.cold"
	})
}

// The parts of a deployment are restored from copies of two moments. What each gap costs is
// in docs/operations.md, in the table of "Backup and restore".
func TestRestoreDrill(t *testing.T) {
	d := rehearse(t)
	const (
		earlierTemporal = "Temporal lacks what it had accepted last"
		earlierLog      = "this bridge's log is an earlier copy"
	)
	for _, c := range []struct {
		name    string
		earlier []string // folders
		// What the devices had that ticked.
		waits, counts string
		repeated      uint64 // messages that were delivered again, and dropped
		outdated      bool   // the credentials
		said          string // by the bridge
	}{
		{name: "all of one moment", waits: "abcd", counts: "12345678"},
		{name: "Temporal is earlier", earlier: []string{temporalFolder}, waits: "cd", counts: "12378", said: earlierTemporal},
		{name: "credentials are earlier", earlier: []string{credentialsFolder}, waits: "abcd", counts: "12345678", outdated: true},
		{name: "logs are earlier", earlier: []string{bridgeLogFolder, workerLogFolder}, waits: "abd", counts: "1234568", repeated: 1, said: earlierLog},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			(&site{t: t, dir: d.latest}).copyTo(dir, temporalFolder, brokerFolder, bridgeLogFolder, workerLogFolder)
			(&site{t: t, dir: d.earlier}).copyTo(dir, c.earlier...)
			s := newSite(t, dir)
			s.start()
			s.tick("waits", "d")
			s.tick("counts", "8", 8)
			s.temperature("heats", 96)
			s.temperature("cools", 21)

			s.is("heats", "working.hot", "")
			s.is("cools", "working.cold", "")
			s.is("counts", "working.cold", c.counts)
			waits := s.is("waits", "working.cold", c.waits)
			if again := waits.Delivery.Duplicates; again != d.duplicates+c.repeated {
				t.Errorf("%d messages were delivered again, %d before the restore; want %d more", again, d.duplicates, c.repeated)
			}
			for id, had := range map[device.ID]string{"waits": c.waits, "counts": c.counts} {
				applied, err := s.twins.Applied(t.Context(), id)
				if err != nil || len(applied.Entries) != len(had) {
					t.Errorf("%s: %d messages applied, want %d; %v", id, len(applied.Entries), len(had), err)
				}
			}
			for _, line := range []string{earlierTemporal, earlierLog} {
				if said := strings.Contains(s.bridge.Said(), line); said != (line == c.said) {
					t.Errorf("the bridge says %q: %v", line, said)
				}
			}
			s.logins(d, c.outdated)
			if !c.outdated {
				s.moves(d)
			}
			if c.said == earlierTemporal { // what the workflows lack can be read there
				if text := exportLog(t, s.folder(bridgeLogFolder)); !strings.Contains(text, `"tick":"b"`) {
					t.Errorf("the log lacks what was delivered:\n%s", text)
				}
			}
		})
	}
}

// logins checks who is let in, with credentials that are earlier than what was given out or
// not, and the way out.
func (s *site) logins(d *drill, outdated bool) {
	s.t.Helper()
	_, newest, _ := d.moved.state()
	for _, c := range []struct {
		id, password, what string
		in                 bool
	}{
		{"moved", newest.Password, "the password of its reprovisioning", !outdated},
		{"moved", d.given, "its first password", outdated},
		{"enrolled", d.enrolled, "the password of a device that was enrolled later", !outdated},
		{"stolen", d.stolen, "the password of a device that was revoked later", outdated},
		{"moved", "guess", "a wrong password", false},
	} {
		if in := admits(s.t, s.url(), c.id, c.password); in != c.in {
			s.t.Errorf("%s is let in by %s: %v", c.id, c.what, in)
		}
	}
	if !outdated {
		return
	}
	out, err := program(s.t, "devicetwin", "credentials", "issue", "moved", "--worker-credentials", s.folder(credentialsFolder)).Output()
	var issued struct{ Password string }
	if err := errors.Join(err, json.Unmarshal(out, &issued)); err != nil {
		s.t.Fatalf("issue: %v; it printed %s", err, out)
	}
	if out, err := program(s.t, "devicetwin", "credentials", "revoke", "stolen", "--worker-credentials", s.folder(credentialsFolder)).CombinedOutput(); err != nil {
		s.t.Logf("revoke: %v, %s", err, out) // it says that it cannot end sessions here
	}
	if !admits(s.t, s.url(), "moved", issued.Password) {
		s.t.Error("moved is locked out with the password that was issued")
	}
	if admits(s.t, s.url(), "stolen", d.stolen) {
		s.t.Error("stolen is let in after it was revoked once more")
	}
}

// moves reprovisions the device once more: a workflow that counts again from an earlier moment
// must not give its command an id that the device has had, and takes for done.
func (s *site) moves(d *drill) {
	s.t.Helper()
	d.moved.mu.Lock()
	p := newPump(s.url(), "moved", d.given)
	p.held = append(p.held[:0], d.moved.held...)
	d.moved.mu.Unlock()
	s.reprovision(p, len(p.held)+1)
	used, newest, _ := p.state()
	if used != newest || !admits(s.t, s.url(), "moved", newest.Password) {
		s.t.Errorf("moved uses %s, and was given %s", used.ID, newest.ID)
	}
}
