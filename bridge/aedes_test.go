package bridge

import (
	"bufio"
	"os/exec"
	"testing"
	"time"

	"devicetwin/internal/npmtest"
	"devicetwin/internal/testserver"
	"devicetwin/mqtt"
)

// aedes is the broker of that name from npm, in a process of its own. Its sessions are in
// memory.
type aedes struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
}

func startAedes(t *testing.T) *aedes {
	t.Helper()
	a := &aedes{t: t, dir: npmtest.Install(t, "../deploy/aedes")}
	a.address, _ = testserver.FreeAddress(t)
	a.start()
	t.Cleanup(a.kill)
	return a
}

// start returns once the broker listens.
func (a *aedes) start() {
	a.t.Helper()
	a.cmd = exec.Command("node", "broker.js", a.address)
	a.cmd.Dir, a.cmd.Stderr = a.dir, a.t.Output()
	out, err := a.cmd.StdoutPipe()
	if err == nil {
		err = a.cmd.Start()
	}
	if err != nil {
		a.t.Fatalf("starting aedes: %v", err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		a.t.Fatalf("aedes said %q: %v", line, err)
	}
}

func (a *aedes) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

func (a *aedes) mqtt(clientID string) mqtt.Config {
	c := mqtt.DefaultConfig()
	c.Brokers = []string{"mqtt://" + a.address}
	c.ClientID = clientID
	c.BackoffMin, c.BackoffMax = 10*time.Millisecond, 100*time.Millisecond
	return c
}

// While aedes runs, nothing is lost, also of what is published while there is no bridge. That
// comes in order, but newer messages may come before it: aedes restores a subscription before it
// sends what waited. When it ends, its sessions end with it: what it had acknowledged, and no
// bridge had received, is lost, and the bridge says that there may be some.
func TestAedes(t *testing.T) {
	a := startAedes(t)
	w := &workflowModel{seen: make(map[string][]uint64)}
	cfg := DefaultConfig()
	cfg.ID, cfg.MQTT = "b7", a.mqtt("")
	cfg.RetryMin, cfg.RetryMax = time.Millisecond, 5*time.Millisecond
	logs := &logLines{}
	deps := Deps{Model: testModel{}, Sink: w, Log: logs.logger()}
	b, stop := startBridge(t, cfg, deps)
	f := &fleet{t: t, p: startPublisher(t, a.mqtt("fleet")), devices: 5}
	f.publish(50)
	f.check(w)
	for range 3 {
		stop()
		f.publish(50) // while there is no bridge
		b, stop = startBridge(t, cfg, deps)
		f.check(w)
		f.publish(50)
		f.check(w)
	}
	if n := b.counts.sessionsLost.Load(); n != 0 {
		t.Errorf("%d sessions lost", n)
	}
	eventually(t, "all is acknowledged", func() bool { return b.counts.Held.Load() == 0 })

	// What the bridge holds arrives although the broker is killed.
	w.setDown(true)
	f.publish(20)
	eventually(t, "the bridge holds all of it", func() bool { return b.counts.Held.Load() >= 100 })
	a.kill()
	a.start()
	eventually(t, "the bridge has reconnected", func() bool { return b.Ready() == nil || b.counts.sessionsLost.Load() == 1 })
	w.setDown(false)
	f.check(w)
	eventually(t, "the loss of the session is known", func() bool { return b.counts.sessionsLost.Load() == 1 })
	if n := logs.count("the broker has lost the session"); n != 1 {
		t.Errorf("logged %d times that the session is lost", n)
	}

	// What it had acknowledged while there was no bridge is lost.
	stop()
	f.publish(10)
	a.kill()
	a.start()
	_, stop = startBridge(t, cfg, deps)
	defer stop()
	lost := f.devices * 10
	f.publish(10)
	eventually(t, "what comes later has arrived", func() bool { return w.count() == f.devices*int(f.seq)-lost })
}
