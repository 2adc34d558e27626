package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// alertFault is something that is done to a stack, and the rule that is for it.
type alertFault struct {
	uid  string
	done time.Time
	// nothing: it shows by points that nobody writes any more.
	nothing bool
}

const influxDown = "devicetwin-influxdb-away"

// alertStep is the time between two evaluations, and what is known of when an alert fires.
const alertStep = time.Second

// killable is an InfluxDB that a test can take away, by its version.
type killable struct {
	version string
	influxTarget
	kill func()
}

// killableInfluxDBs starts those that are installed, each as a process.
func killableInfluxDBs(t *testing.T) []killable {
	t.Helper()
	embedded := serve(t, "--only", "influxdb", "--data-dir", t.TempDir(), "--influx-port", freePort(t))
	all := []killable{{"1.8", influxTarget{InfluxServer: service.InfluxServer{
		URL: embedded.settings["DEVICETWIN_INFLUX_URL"], Bucket: stack.BucketName}}, embedded.Kill}}
	if _, err := servers.FindInfluxDB(); err != nil {
		t.Run("2.7", func(t *testing.T) { serverstest.Need(t, err) })
		return all
	}
	installed := serverstest.InfluxDB(t, ports, 0)
	return append(all, killable{"2.7", targetOf2(installed), installed.Kill})
}

// alertStack is a worker and two bridges, each with its broker; Temporal and InfluxDB
// are the same for all.
type alertStack struct {
	t        *testing.T
	influxes []killable
	rules    map[string]alertRule
	temporal *server
	other    *server // the broker of bridge b
	worker   *process.Process
	device   *mqttDevice
	bridge   string // HTTP of bridge a

	healthy time.Time // no condition was met
	faults  []alertFault
}

func startAlertStack(t *testing.T) *alertStack {
	t.Helper()
	s := &alertStack{t: t, influxes: killableInfluxDBs(t), rules: alertRules(t)}
	var tee influxTee
	for _, influx := range s.influxes {
		tee = append(tee, influx.influxTarget)
	}
	points, model := tee.start(t), testfile.Write(t, "talkative.yaml", talkative)
	s.temporal = serve(t, "--only", "temporal", "--data-dir", t.TempDir(), "--temporal-port", freePort(t))
	s.other = serve(t, "--only", "mqtt", "--data-dir", t.TempDir(), "--mqtt-port", freePort(t))
	broker := startBroker(t, stack.Options{}).URL()
	start := func(part, broker string, more ...string) (p *process.Process, http string) {
		http = "127.0.0.1:" + freePort(t)
		return background(t, "devicetwin", append([]string{part, "--http-listen", http, "--model", model,
			"--mqtt-url", broker, "--temporal-address", s.temporal.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
			"--influx-url", points.URL, "--influx-bucket", points.Bucket}, more...)...), http
	}
	worker, workerHTTP := start("worker", broker, "--worker-credentials", t.TempDir())
	_, bridgeA := start("bridge", broker, "--bridge-id", "a", "--bridge-log", t.TempDir(), "--bridge-ack", "logged")
	_, bridgeB := start("bridge", s.other.settings["DEVICETWIN_MQTT_URL"], "--bridge-id", "b")
	for _, http := range []string{workerHTTP, bridgeA, bridgeB} {
		awaitReady(t, http)
	}
	s.worker, s.bridge, s.device = worker, bridgeA, connect(t, broker, "device")
	return s
}

// talk has devices of bridge a say that they are there.
func (s *alertStack) talk(devices ...string) {
	for _, id := range devices {
		s.device.publish("devices/"+id+"/status", `{"status":"boot"}`)
	}
}

// met counts the InfluxDBs in which a rule's condition is met now, or cannot be evaluated;
// without those of which there is none.
func (s *alertStack) met(ctx context.Context) map[string]int {
	all := map[string]int{}
	for _, influx := range s.influxes {
		for uid, r := range s.rules {
			if values, err := r.values(ctx, influx.influxTarget, time.Now()); err != nil || r.met(values, err, false) {
				all[uid]++
			}
		}
	}
	return all
}

// await has devices talk until the rules whose condition is met are as they should be.
func (s *alertStack) await(what string, should func(met map[string]int) bool, devices ...string) {
	s.t.Helper()
	var met map[string]int
	defer func() {
		if s.t.Failed() {
			s.t.Logf("conditions met at last: %v", met)
		}
	}()
	eventuallyWithin(s.t, 2*time.Minute, time.Second, what, func(ctx context.Context) bool {
		s.talk(devices...)
		met = s.met(ctx)
		return should(met)
	})
}

// breakDown does what operators are woken for, all at once, and returns when the rules
// have noticed it. Only the two minutes without a worker do not pass.
func (s *alertStack) breakDown() {
	s.talk("d1", "d2", "d3")
	eventually(s.t, "the devices have workflows", func(context.Context) bool { return metric(s.bridge, process.MetricAccepted) >= 3 })
	if err := s.temporal.Pause(); err != nil { // first: the backlog needs a minute
		s.t.Fatal(err)
	}
	s.fault("devicetwin-backlog", false)
	s.await("metrics of all, and no alert", func(met map[string]int) bool { return len(met) == 0 && s.twoBridges() }, "d1", "d2", "d3")
	s.healthy = time.Now()

	s.fault("devicetwin-devices-silent", false) // d2 and d3
	s.worker.Kill()
	s.fault("devicetwin-no-worker", true)
	s.other.Kill()
	s.fault("devicetwin-no-broker", false)
	s.await("the rules notice it", func(met map[string]int) bool {
		return !slices.ContainsFunc(s.faults, func(f alertFault) bool { return !f.nothing && met[f.uid] < len(s.influxes) })
	}, "d1")
}

// fault notes what was done now.
func (s *alertStack) fault(uid string, nothing bool) {
	s.faults = append(s.faults, alertFault{uid, time.Now(), nothing})
}

func (s *alertStack) twoBridges() bool {
	return !slices.ContainsFunc(s.influxes, func(i killable) bool {
		return len(i.query(s.t, `SHOW TAG VALUES FROM "bridge" WITH KEY = "bridge"`)) != 2
	})
}

// TestAlertsFire does what operators are woken for to a stack: Temporal is paused, so that
// messages wait in the log, devices fall silent, the worker is killed, and a bridge's broker
// too; then InfluxDB is killed. The rules that are for it fire, and no others.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	s := startAlertStack(t)
	s.breakDown()
	end := time.Now()
	for _, influx := range s.influxes {
		t.Run(influx.version, func(t *testing.T) {
			quietUntil := map[string]time.Time{}
			for _, f := range s.faults {
				quietUntil[f.uid] = f.done
				s.rules[f.uid].expectFires(t, influx.influxTarget, f)
			}
			for uid, r := range s.rules {
				until, ok := quietUntil[uid]
				if !ok {
					until = end
				}
				r.expectQuiet(t, influx.influxTarget, s.healthy, until)
			}
			influx.kill()
			s.rules[influxDown].expectFires(t, influx.influxTarget, alertFault{influxDown, time.Now(), true})
			s.expectOthersKeep(t, influx.influxTarget)
		})
	}
}

// expectFires evaluates a rule again and again from a fault on, and wants its condition met
// for as long as the rule says. That goes on into times to come, for which points of the last
// minutes are left, and of what was killed there will be none. It logs after how long the
// rule fires.
func (r alertRule) expectFires(t *testing.T, influx influxTarget, f alertFault) {
	t.Helper()
	const limit = 10 * time.Minute
	var values []float64
	var err error
	met, began := false, time.Duration(0)
	for after := time.Duration(0); after <= limit; after += alertStep {
		values, err = r.values(t.Context(), influx, f.done.Add(after))
		now := r.met(values, err, met) && (f.nothing || len(values) > 0)
		if now && !met {
			began = after
		}
		if met = now; met && after-began >= r.For {
			t.Logf("rule %q, panel %s: its condition is met %v after the fault, and it fires after %v to %v, as Grafana evaluates it every %v",
				r.Title, r.panel(t), began, after, after+r.every, r.every)
			return
		}
	}
	t.Errorf("rule %s does not fire within %v; it finds at last %v, %v", r.UID, limit, values, err)
}

// expectQuiet wants a rule's condition not met from one time to another.
func (r alertRule) expectQuiet(t *testing.T, influx influxTarget, from, to time.Time) {
	t.Helper()
	for at := from; !at.After(to); at = at.Add(alertStep) {
		if values, err := r.values(t.Context(), influx, at); err != nil || r.met(values, err, false) {
			t.Errorf("the condition of rule %s is met %v before %v: %v, %v", r.UID, to.Sub(at), to, values, err)
			return
		}
	}
}

// expectOthersKeep wants all rules but that of InfluxDB to stay as they were while it does
// not answer.
func (s *alertStack) expectOthersKeep(t *testing.T, influx influxTarget) {
	t.Helper()
	for uid, r := range s.rules {
		values, err := r.values(t.Context(), influx, time.Now())
		if err == nil {
			t.Fatal("InfluxDB answers after it was killed")
		}
		if uid != influxDown && (r.met(values, err, false) || !r.met(values, err, true)) {
			t.Errorf("rule %s does not keep its state while InfluxDB is down", uid)
		}
	}
}
