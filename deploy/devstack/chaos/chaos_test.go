package chaos

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/simulator"
)

// The table names every fault once, and says what it does.
func TestFaults(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range (Choice{Brokers: []process.BrokerKind{process.NATSCluster}, Influx: Influx2, Upgrade: true}).Faults() {
		if f.Name == "" || seen[f.Name] || f.String() == "" {
			t.Errorf("fault %+v has no name of its own, or says nothing", f)
		}
		seen[f.Name] = true
		if f.Rounds < 1 || f.Lasts <= 0 || f.plays() < f.Lasts {
			t.Errorf("fault %s does nothing", f.Name)
		}
	}
	for _, want := range []string{"kill-broker", "pause-influxdb", "cut-devices-broker", "delay-worker-temporal", "throttle-bridge-influxdb",
		"disk-full-log", "log-damaged", "log-damaged-read", "checkpoint-missing", "checkpoint-old", "log-gone",
		"repartition-bridges", "upgrade", "rolling-kill-nodes", "rolling-restart-bridges", "rolling-kill-bridges", "token-influxdb", "bucket-influxdb", "retention-influxdb"} {
		if !seen[want] {
			t.Errorf("there is no fault %s", want)
		}
	}
	for _, name := range aboutBrokers {
		if !seen[name] {
			t.Errorf("real brokers have a fault %s, and the table has not", name)
		}
	}
	for _, short := range []map[string]process.BrokerKind{shortLogged, shortAccepted, shortInflux2} {
		for name := range short {
			if !seen[name] {
				t.Errorf("the short form has a fault %s, and the table has not", name)
			}
		}
	}
}

func TestCases(t *testing.T) {
	both := []process.BrokerKind{process.NATS, process.Mosquitto}
	for _, c := range []struct {
		choice Choice
		want   int
		fault  string
	}{
		{Choice{Brokers: both}, 80, ""},
		{Choice{Brokers: both, Ack: process.Accepted}, 80, ""},
		{Choice{Brokers: both, Short: true}, len(shortLogged), ""},
		{Choice{Brokers: both, Short: true, Ack: process.Accepted}, len(shortAccepted), ""},
		{Choice{Brokers: both, Only: []string{"kill-*"}}, 10, ""},
		{Choice{Brokers: both[:1], Only: []string{"kill-bridge", "kill-*"}, Short: true}, 5, ""},
		{Choice{Brokers: both, Only: []string{"kill-everything"}}, 0, "no fault is called"},
		{Choice{Brokers: both, Only: []string{"disk-full-log", "rolling-*"}}, 6, ""},
		{Choice{}, 0, "no case is left"},
		{Choice{Brokers: both, Influx: Influx2}, 86, ""},
		{Choice{Brokers: both, Influx: Influx2, Short: true}, len(shortInflux2), ""},
		{Choice{Brokers: both[:1], Influx: Influx2, Only: []string{"*-influxdb"}}, 11, ""},
		{Choice{Brokers: both, Only: []string{"bucket-influxdb"}}, 0, "no fault is called"},
		{Choice{Brokers: both, Only: []string{"upgrade"}}, 0, "no fault is called"},
		{Choice{Brokers: both, Only: []string{"upgrade"}, Upgrade: true}, 2, ""},
		{Choice{Brokers: []process.BrokerKind{process.RabbitMQ}}, len(aboutBrokers) - 1, ""},
		{Choice{Brokers: []process.BrokerKind{process.NATSCluster, process.HiveMQ}}, 2*len(aboutBrokers) - 1, ""},
		{Choice{Brokers: []process.BrokerKind{process.NATSCluster, process.Moquette}, Only: []string{"rolling-kill-nodes"}}, 1, ""},
		{Choice{Brokers: []process.BrokerKind{process.NATSCluster, process.Moquette}, Short: true}, 2, ""},
		{Choice{Brokers: []process.BrokerKind{process.Moquette}, Only: []string{"rolling-kill-nodes"}}, 0, "no fault is called"},
	} {
		cases, err := c.choice.Cases()
		if len(cases) != c.want || c.fault == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("cases of %+v are %d, error %v; want %d, %q", c.choice, len(cases), err, c.want, c.fault)
		}
	}
}

func cleanOutcome() Outcome {
	return Outcome{Fault: "kill-bridge", Broker: process.NATS, Ack: process.Logged, ContinuedAsNew: 12, Refused: 2 * refusals, Points: PointsReport{Due: 80, Missing: 2, Tolerated: 5}, Simulation: &simulator.Report{
		Clean: true, Sent: 210, Relevant: 100, Applied: 100, Optional: 90, LeftOut: 80, Recorded: 20, Unnumbered: 60, Mixed: 10, Crossings: 30, ReprovisionsExpected: 4, ReprovisionsDone: 4,
	}}
}

// A case passes only if it proved something, and the figures agree.
func TestJudge(t *testing.T) {
	ok := cleanOutcome()
	ok.conclude(nil)
	if !ok.Clean || ok.Error != "" {
		t.Fatalf("a case without violations: %+v", ok)
	}
	for name, spoil := range map[string]func(*Outcome) error{
		"error":              func(*Outcome) error { return errors.New("the fleet ended too soon") },
		"no report":          func(o *Outcome) error { o.Simulation = nil; return nil },
		"ended early":        func(o *Outcome) error { o.Simulation.EndedEarly = "full"; return nil },
		"nothing applied":    func(o *Outcome) error { o.Simulation.Applied, o.Simulation.Relevant = 0, 0; return nil },
		"no reprovision":     func(o *Outcome) error { o.Simulation.ReprovisionsDone = 0; return nil },
		"never continued":    func(o *Outcome) error { o.ContinuedAsNew = 0; return nil },
		"not clean":          func(o *Outcome) error { o.Simulation.Clean = false; return nil },
		"clean with a loss":  func(o *Outcome) error { o.Simulation.Lost = 1; return nil },
		"clean, not settled": func(o *Outcome) error { o.Simulation.DevicesUnsettled = 1; return nil },
		"nothing left out":   func(o *Outcome) error { o.Simulation.LeftOut = 0; return nil },
		"no backlog":         func(o *Outcome) error { o.Simulation.Recorded = 0; return nil },
		"all numbered":       func(o *Outcome) error { o.Simulation.Unnumbered = 0; return nil },
		"no mixed types":     func(o *Outcome) error { o.Simulation.Mixed = 0; return nil },
		"applied again":      func(o *Outcome) error { o.Simulation.AppliedAgain = 1; return nil },
		"nothing crossed":    func(o *Outcome) error { o.Simulation.Crossings = 0; return nil },
		"no telemetry":       func(o *Outcome) error { o.Points = PointsReport{}; return nil },
		"points missing":     func(o *Outcome) error { o.Points.Missing = 6; return nil },
		"clean, too few":     func(o *Outcome) error { o.Simulation.Applied--; return nil },
		"nobody was refused": func(o *Outcome) error { o.Refused = refusals; return nil },
	} {
		o := cleanOutcome()
		o.conclude(spoil(&o))
		if o.Clean || o.Error == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	killed := cleanOutcome()
	killed.Fault, killed.Simulation.AppliedAgain = "kill-broker", 1
	if killed.conclude(nil); !killed.Clean {
		t.Errorf("a killed broker repeated a message without a number: %s", killed.Error)
	}
	if r := (Report{}); r.Clean {
		t.Error("a report without cases passed")
	}
}

// Messages that were lost with a killed broker are distinguished from other violations.
func TestLostByBroker(t *testing.T) {
	lossy := func() Outcome {
		o := cleanOutcome()
		o.Fault, o.Broker = "kill-broker", process.Mosquitto
		o.Simulation.Clean, o.Simulation.Lost, o.Simulation.Applied, o.Simulation.DevicesUnsettled = false, 1, 99, 1
		o.Lost = []LostMessage{{LastSeen: Published}}
		return o
	}
	onlyRepetitions := func(o *Outcome) {
		o.Simulation.Clean, o.Simulation.Lost, o.Simulation.Applied, o.Simulation.DevicesUnsettled, o.Lost = true, 0, 100, 0, nil
	}
	for name, c := range map[string]struct {
		change func(*Outcome)
		want   bool
	}{
		"the broker's":        {func(*Outcome) {}, true},
		"seen by the bridge":  {func(o *Outcome) { o.Lost[0].LastSeen = Received }, false},
		"in the history":      {func(o *Outcome) { o.Lost[0].LastSeen = Signalled }, false},
		"not all are known":   {func(o *Outcome) { o.Lost = nil }, false},
		"another fault":       {func(o *Outcome) { o.Fault = "pause-broker" }, false},
		"reordered as well":   {func(o *Outcome) { o.Simulation.Reordered = 1 }, false},
		"points missing":      {func(o *Outcome) { o.Points.Missing = 6 }, false},
		"repetitions as well": {func(o *Outcome) { o.Points.Missing, o.Points.Unseen = 6, 6 }, true},
		"a repetition alone":  {func(o *Outcome) { onlyRepetitions(o); o.Points.Missing, o.Points.Unseen = 6, 1 }, true},
		"some were received":  {func(o *Outcome) { onlyRepetitions(o); o.Points.Missing, o.Points.Unseen = 8, 2 }, false},
		"nothing is missing":  {func(o *Outcome) { onlyRepetitions(o); o.Points.Missing = 0; o.Simulation.Reordered = 1 }, false},
		"unsettled otherwise": {func(o *Outcome) { o.Simulation.DevicesUnsettled = 2 }, false},
	} {
		o := lossy()
		c.change(&o)
		o.conclude(nil)
		r := Report{Outcomes: []Outcome{o}}
		if o.Clean || o.LostByBroker != c.want || r.Excused() != c.want {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestTable(t *testing.T) {
	bad := cleanOutcome()
	bad.Simulation.Lost, bad.Simulation.Applied, bad.Simulation.Clean = 3, 97, false
	r := Report{Version: ReportVersion, Outcomes: []Outcome{cleanOutcome(), bad, cleanOutcome(), {Fault: "cut-devices-broker", Broker: process.Mosquitto, Ack: process.Accepted}}}
	r.Outcomes[2].Points.Missing = 30
	r.Outcomes[0].Offline, r.Outcomes[1].Offline = []time.Duration{3 * time.Second, 2 * time.Second}, []time.Duration{time.Second}
	for i := range 3 {
		r.Outcomes[i].conclude(nil)
	}
	r.Outcomes[3].conclude(errors.New("no port"))
	r.conclude()
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	const want = `               fault     broker       ack  sent  applied  left out  lost  duplicated  reordered  missing  spurious  points missing  clean  seconds
         kill-bridge       nats    logged   210      100        80     0           0          0        0         0               2    yes      0.0
         kill-bridge       nats    logged   210       97        80     3           0          0        0         0               2     no      0.0
         kill-bridge       nats    logged   210      100        80     0           0          0        0         0              30     no      0.0
  cut-devices-broker  mosquitto  accepted     -        -         -     -           -          -        -         -               -  error      0.0
refused: 18 times a wrong password, or a topic of another device
offline: bridges were without the broker 3 times, for 1s to 3s, half of the times for 2s at most
1 of 4 clean
`
	if b.String() != want || r.Clean {
		t.Errorf("clean is %v, and the table is\n%s\nwant\n%s", r.Clean, b.String(), want)
	}
}

// echo sends back what it gets, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); conn.Close() }()
		}
	}()
	return l.Addr().String()
}

// A link that was slow for a while delivers everything, as TCP does.
func TestARestoredLinkHasDroppedNothing(t *testing.T) {
	l, err := openLink(Link{Bridge, Broker}, "127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	conn, err := net.Dial("tcp", l.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := l.throttle(1); err != nil {
		t.Fatal(err)
	}
	var sent, got [256 << 10]byte
	for i := range sent {
		sent[i] = byte(i >> 8 * i)
	}
	go func() { _, _ = conn.Write(sent[:]) }()
	time.Sleep(300 * time.Millisecond) // until the link is full
	if err := l.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := io.ReadFull(conn, got[:]); err != nil || sent != got {
		t.Errorf("%d of %d bytes came through, %v", n, len(sent), err)
	}
}

// A proxied link carries, counts, is slow for a while, is cut, and comes back at
// the same address.
func TestProxiedLink(t *testing.T) {
	l, err := openLink(Link{Bridge, Broker}, "127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	addr := l.addr()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		return conn
	}
	trip := func(conn net.Conn) (time.Duration, error) {
		began, buffer := time.Now(), make([]byte, 4)
		if _, err := conn.Write([]byte("ping")); err != nil {
			return 0, err
		}
		_, err := io.ReadFull(conn, buffer)
		return time.Since(began), err
	}
	conn := dial()
	defer conn.Close()
	if _, err := trip(conn); err != nil || l.carried() != 8 {
		t.Errorf("%v, and %d bytes counted; want 8", err, l.carried())
	}
	if err := l.delay(); err != nil {
		t.Fatal(err)
	}
	if took, err := trip(conn); err != nil || took < 2*latency {
		t.Errorf("a trip over a delayed link took %v, %v", took, err)
	}
	if err := l.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took, err := trip(conn); err != nil || took > latency || l.carried() != 24 {
		t.Errorf("a trip over a restored link took %v, %v, and %d bytes are counted", took, err, l.carried())
	}
	l.cut()
	if _, err := trip(conn); err == nil {
		t.Error("a connection survived the cut")
	}
	if again, err := net.Dial("tcp", addr); err == nil {
		again.Close()
		t.Error("a cut link takes connections")
	}
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	again := dial()
	defer again.Close()
	if _, err := trip(again); err != nil {
		t.Errorf("a trip over a reopened link: %v", err)
	}
}

// The bridge logs what it received: see TestTraceTellsWhatWasReceived in
// package bridge for its words.
func TestReceivedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bridge.log")
	log := "level=INFO msg=running\n" +
		"level=DEBUG msg=received device=pump:1 epoch=7 seq=12 channel=telemetry\n" +
		"level=DEBUG msg=received device=pump:1 epoch=7 seq=130 channel=telemetry\n"
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := simulator.LostMessage{Device: "pump:1", Epoch: 7, Seq: 12}
	unseen := simulator.LostMessage{Device: "pump:1", Epoch: 7, Seq: 13}
	found, err := receivedOf([]string{file + ".none", file}, []simulator.LostMessage{seen, unseen})
	if err != nil || !found[seen] || found[unseen] {
		t.Errorf("found %v, %v", found, err)
	}
	if _, err := receivedOf([]string{file + ".none"}, []simulator.LostMessage{seen}); err != nil {
		t.Errorf("a bridge that never logged: %v", err)
	}
}

// At which broker a bridge is, and how long it was offline, is in its log, in the words of
// package mqtt; its publisher's connection does not count.
func TestConnectionsOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bridge.log")
	log := `time=x level=INFO msg="connected to the broker" bridge=bridge connection=devicetwin-bridge-bridge broker=tcp://127.0.0.1:20001
time=x level=INFO msg="reconnected to the broker" connection=devicetwin-out-bridge broker=tcp://127.0.0.1:20009 after=9s
time=x level=INFO msg="reconnected to the broker" bridge=bridge connection=devicetwin-bridge-bridge broker=tcp://127.0.0.1:20002 after=1.25s
time=x level=INFO msg="reconnected to the broker" bridge=bridge connection=devicetwin-bridge-bridge broker=tcp://127.0.0.1:20003 after=4ms
time=x level=WARN msg="lost the connection to the broker; reconnecting" bridge=bridge connection=devicetwin-bridge-bridge error=EOF
`
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	offline, err := offlineOf([]string{file})
	if err != nil || !slices.Equal(offline, []time.Duration{1250 * time.Millisecond, 4 * time.Millisecond}) {
		t.Errorf("got %v, %v", offline, err)
	}
	if port, err := connectedTo(file); err != nil || port != "20003" {
		t.Errorf("it is connected to %q, %v", port, err)
	}
	if _, err := offlineOf([]string{file + ".missing"}); err == nil {
		t.Error("a log that is missing is read")
	}
}
