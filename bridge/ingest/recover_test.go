package ingest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// reborn is a process on what kill -9 left of another one's log.
func (p *process) reborn(change func(*Config), models ...Model) *process {
	p.t.(testing.TB).Helper()
	next := openProcess(p.t.(testing.TB), p.killed(func(most int64) int64 { return most }), change, models...)
	next.now = p.now
	return next
}

// next is a process on the log of one that was stopped.
func (p *process) next(change func(*Config), models ...Model) *process {
	p.t.(testing.TB).Helper()
	p.stop()
	next := openProcess(p.t.(testing.TB), p.dir, change, models...)
	next.now = p.now
	return next
}

// say lets a device send a reading, which the workflow of a run is given if it matters. It
// returns what is delivered.
func (p *process) say(name, members, run string) string {
	p.deliver("devices/"+name+"/telemetry", "{"+members+"}", "", false)
	return p.deliverAll(run)
}

func (p *process) deliverAll(run string) string {
	p.flush()
	var got []string
	for p.inFlight > 0 {
		s := p.out.signals[len(p.out.signals)-p.inFlight]
		for _, m := range s.batch.Messages {
			if m.Name != "" {
				got = append(got, m.Name)
			} else {
				got = append(got, fmt.Sprint(m.Data["t"]))
			}
		}
		p.takenBy(s.device, run, nil, p.now)
		p.flush()
	}
	return strings.Join(got, " ")
}

// After a restart only those devices are signalled that have something new to say.
func TestARestartIsNoStorm(t *testing.T) {
	const devices = 300
	model := modelOf(t, tank)
	send := func(p *process, temperature int) (signalled int) {
		for i := range devices {
			p.deliver(fmt.Sprintf("devices/d%d/telemetry", i), fmt.Sprintf(`{"t":%d}`, temperature), "", false)
		}
		return strings.Count(p.deliverAll("run"), fmt.Sprint(temperature))
	}
	for name, again := range map[string]func(*process) *process{
		"stopped": func(p *process) *process { return p.next(nil, model) },
		"killed": func(p *process) *process {
			p.flush()
			return p.reborn(nil, model)
		},
		"killed after a checkpoint": func(p *process) *process {
			p.checkpointNow()
			return p.reborn(nil, model)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openProcess(t, t.TempDir(), nil, model)
			p.checkpointNow()
			if n := send(p, 95); n != devices {
				t.Fatalf("%d of %d new devices are signalled", n, devices)
			}
			if n := send(p, 96); n > 0 {
				t.Fatalf("%d are signalled for a repetition", n)
			}
			p = again(p)
			p.now = p.now.Add(time.Second)
			if n := send(p, 97); n > 0 {
				t.Errorf("after the restart %d of %d are signalled for a repetition", n, devices)
			}
			if n := send(p, 20); n != devices {
				t.Errorf("after the restart %d of %d are signalled for something new", n, devices)
			}
		})
	}
}

// A twin that is deleted, and begins again with what this process received, knows nothing of
// the logs of earlier ones: that it had their messages is on the disk before.
func TestWhatEarlierProcessesHadIsDoneWithFirst(t *testing.T) {
	model := modelOf(t, tank)
	p := openProcess(t, t.TempDir(), nil, model)
	p.deliver("devices/d/telemetry", `{"t":95}`, "", false)
	p.flush()
	if p.inFlight != 1 {
		t.Fatalf("%d deliveries before the crash", p.inFlight)
	}
	p = p.reborn(nil, model)
	p.deliver("devices/d/telemetry", `{"t":20}`, "", false)
	p.flush()
	if p.inFlight != 1 {
		t.Fatalf("%d deliveries after the crash", p.inFlight)
	}
	p.takenBy("d", "run", nil, p.now)
	if p.inFlight != 0 {
		t.Error("what came later is delivered before it is on the disk that the earlier is done with")
	}
	if got := p.deliverAll("run"); got != "20" {
		t.Errorf("%q is delivered then", got)
	}
	if n := len(p.out.signals); n != 2 {
		t.Errorf("%d deliveries", n)
	}
}

// Early renewals of leases wait for a quiet moment, often those of most devices at once: the
// checkpoint that is written meanwhile knows what their filters do.
func TestACheckpointWhileLeasesWaitToBeRenewed(t *testing.T) {
	const devices = 300
	model := modelOf(t, tank)
	p := openProcess(t, t.TempDir(), nil, model)
	for i := range devices {
		p.say(fmt.Sprint("d", i), `"t":95`, "run")
	}
	p.advance(4*time.Minute + 50*time.Second)
	for i := range devices {
		p.deliver(fmt.Sprintf("devices/d%d/telemetry", i), `{"t":96}`, "", false)
	}
	p.flush()
	var waiting []string
	for _, d := range p.devices.byID {
		if d.place == renewing {
			waiting = append(waiting, d.id.Name())
		}
	}
	if len(waiting) < devices/2 {
		t.Fatalf("%d of %d leases wait", len(waiting), devices)
	}
	p.checkpointNow()
	p = p.reborn(nil, model)
	p.now = p.now.Add(time.Second)
	for _, c := range []struct{ temperature, want int }{{97, 0}, {20, len(waiting)}} {
		n := 0
		for _, name := range waiting {
			n += strings.Count(p.say(name, fmt.Sprintf(`"t":%d`, c.temperature), "run"), fmt.Sprint(c.temperature))
		}
		if n != c.want {
			t.Errorf("after the restart %d of %d are signalled for %d, want %d", n, len(waiting), c.temperature, c.want)
		}
	}
}

// Without a checkpoint, or with one that cannot be used, the next message of each device is
// signalled, and what waits is delivered.
func TestWithoutItsCheckpoint(t *testing.T) {
	model := modelOf(t, tank)
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"damaged": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
		"empty": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			p := openProcess(t, t.TempDir(), nil, model)
			p.say("d", `"t":95`, "run")
			p.checkpointNow()
			p.deliver("devices/d/telemetry", `{"t":20}`, "", false) // is in the log, and was not accepted
			p.flush()
			waits := p.lastSignal().batch
			dir := p.killed(func(most int64) int64 { return 0 })
			if err := damage(filepath.Join(dir, checkpointName)); err != nil {
				t.Fatal(err)
			}
			p = openProcess(t, dir, nil, model)
			p.elapsed(p.now)
			if len(p.out.signals) != 1 {
				t.Fatalf("delivered %v", p.out.signals)
			}
			again := p.lastSignal().batch
			if again.Log != waits.Log || again.Messages[0].Pos != waits.Messages[0].Pos || again.ID == waits.ID {
				t.Errorf("delivered %+v, and then %+v", waits, again)
			}
			p.deliverAll("run")
			if got := p.say("d", `"t":21`, "run"); got != "21" {
				t.Errorf("delivered %q", got)
			}
			if got := p.say("d", `"t":22`, "run"); got != "" {
				t.Errorf("delivered %q, a repetition", got)
			}
		})
	}
}

// What a process learned before kill -9, and no checkpoint has: its successor knows it, and
// leaves nothing out that a workflow may need.
func TestWhatMadeAFilterForgetIsInTheLog(t *testing.T) {
	model := modelOf(t, tank)
	for name, c := range map[string]struct {
		happens func(p *process)
		want    string
	}{
		"nothing":            {func(p *process) {}, ""},
		"another process":    {func(p *process) { p.core.elsewhere(p.now) }, "97"},
		"a lost session":     {func(p *process) { p.core.connected(p.w, false, p.now) }, "97"},
		"the workflow ended": {func(p *process) { p.ended("d") }, "97"},
		"there is no workflow": {func(p *process) {
			p.deliver("devices/d/telemetry", `{`, "", false) // a sign of life
			p.fail("d", device.ErrNoTwin)
		}, "97"},
		"a batch refused": {func(p *process) {
			p.deliver("devices/d/twin/get", `{}`, "", false)
			p.flush()
			p.fail("d", errPermanent)
		}, "97"},
		"another workflow": {func(p *process) {
			p.report(p.devices.byID["d"], device.Fault{Reason: device.FaultPoint}) // which is in no log
			p.dispatch(p.now)
			p.takenBy("d", "run-2", nil, p.now)
		}, "97"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openProcess(t, t.TempDir(), nil, model)
			if got := p.say("d", `"t":95`, "run-1"); got != "95" {
				t.Fatalf("delivered %q", got)
			}
			p.checkpointNow()
			p.advance(time.Minute)
			if name == "there is no workflow" {
				p.devices.byID["d"].renewed = p.now.Add(-5 * time.Minute)
			}
			c.happens(p)
			p.flush()
			p = p.reborn(nil, model)
			if got := p.say("d", `"t":97`, "run-2"); got != c.want {
				t.Errorf("delivered %q, want %q", got, c.want)
			}
		})
	}
}

// A process that was not the one before appended what waits: its name stays with it, however
// many processes, checkpoints and bytes come after.
func TestWhatWaitsKeepsTheNameOfItsLog(t *testing.T) {
	model := testModel{}
	p := openProcess(t, t.TempDir(), nil, model)
	want := ""
	for i := range 3 {
		p.hot("d", i)
		p.flush()
		want += fmt.Sprintf("%s %d, ", p.instance, i)
		p.checkpointNow()
		p.settleCursors()
		p = p.reborn(nil, model)
	}
	got := ""
	p.elapsed(p.now)
	for p.inFlight > 0 {
		for _, m := range p.lastSignal().batch.Messages {
			got += fmt.Sprintf("%s %v, ", p.lastSignal().batch.Log, m.Data["id"])
		}
		p.accept("d")
		p.flush()
	}
	if got != want {
		t.Errorf("delivered %s\nwant %s", got, want)
	}

	for range 12 { // megabytes
		p.deliver("devices/e/telemetry", `{"x":"`+strings.Repeat("x", 100<<10)+`"}`, "", false)
		for range 9 {
			p.deliver("devices/f/telemetry", `{"x":"`+strings.Repeat("x", 100<<10)+`"}`, "", false)
		}
		p.flush()
	}
	p.hot("d", 7)
	p.flush()
	name := p.instance
	p.checkpointNow()
	dir := p.killed(func(int64) int64 { return 0 })
	os.Remove(filepath.Join(dir, checkpointName))
	os.WriteFile(filepath.Join(dir, "cursor-signals"), fmt.Appendln(nil, p.settledTo()), 0o600)
	p = openProcess(t, dir, nil, model)
	p.elapsed(p.now)
	if len(p.out.signals) == 0 || p.lastSignal().batch.Log != name {
		t.Errorf("delivered %v, want one of %s", p.out.signals, name)
	}
	if p.ingest.Before() != name {
		t.Errorf("the process before was %q, want %q", p.ingest.Before(), name)
	}
}

// settleCursors has the cursors written where they are.
func (p *process) settleCursors() {
	p.ingest.signals.Commit(p.settledTo())
}

// An acknowledgement may have been lost after the process was stopped in peace.
func TestALostAcknowledgementIsKnownAfterARestart(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		mode := func(c *Config) { c.AckAccepted = accepted }
		p := openProcess(t, t.TempDir(), mode, testModel{})
		send := func(again bool) {
			p.receive(p.w, "devices/d/telemetry", Arrival{
				Payload: []byte(`{"hot":1,"id":1}`), Number: 7, Again: again, At: p.now, Ack: func() { p.acked = append(p.acked, "7") },
			})
		}
		send(false)
		p.deliverAll("run")
		for range 3 {
			p = p.next(mode, testModel{})
		}
		send(true)
		if got := p.deliverAll("run"); got != "" || p.acks() != "7" {
			t.Errorf("delivered %q again, acknowledged %q", got, p.acks())
		}
		if n := p.counts.Repeated.Load(); n != 1 {
			t.Errorf("%d are counted as repeated", n)
		}
	})
}

func TestAModeMayChangeAtARestart(t *testing.T) {
	p := openProcess(t, t.TempDir(), nil, testModel{})
	for i := range 50 {
		p.hot(fmt.Sprint("d", i), i)
	}
	p.flush()
	if got := strings.Count(p.acks(), " ") + 1; got != 50 {
		t.Fatalf("%d acknowledged", got)
	}
	small := func(c *Config) { c.AckAccepted, c.Window = true, 5 }
	p = p.next(small, testModel{})
	if p.full(p.w) || p.held > 0 {
		t.Errorf("%d arrivals are held that were acknowledged before", p.held)
	}
	p.hot("e", 51)
	p.flush()
	if got := p.acks(); got != "" {
		t.Errorf("acknowledged %q before it is accepted", got)
	}
	p.core.close(p.w, p.now)
	p.w = nil
	p = p.next(nil, testModel{})
	p.deliver("devices/e/telemetry", `{"hot":1,"id":51}`, "51", true)
	p.elapsed(p.now)
	p.flush()
	n := 0
	for p.inFlight > 0 {
		n++
		p.accept(p.out.signals[len(p.out.signals)-p.inFlight].device)
	}
	if n < 51 {
		t.Errorf("%d of 51 messages that waited are delivered", n)
	}
}

// What waits for a device is delivered though another bridge has it by now, and nothing that
// is known of devices holds after they were elsewhere.
func TestAnotherPartition(t *testing.T) {
	model := modelOf(t, tank)
	var mine, theirs string
	for i := 0; mine == "" || theirs == ""; i++ {
		if name := fmt.Sprint("d", i); (Partition{1, 2}).Owns(name) {
			mine = name
		} else {
			theirs = name
		}
	}
	half := func(c *Config) { c.Partition = Partition{1, 2} }
	p := openProcess(t, t.TempDir(), nil, model)
	for _, name := range []string{mine, theirs} {
		p.say(name, `"t":95`, "run")
	}
	for _, name := range []string{mine, theirs} {
		p.deliver("devices/"+name+"/telemetry", `{"t":20}`, "", false)
	}
	p.flush()
	p = p.next(half, model)
	p.elapsed(p.now)
	var got []string
	for p.inFlight > 0 {
		s := p.out.signals[len(p.out.signals)-p.inFlight]
		got = append(got, fmt.Sprint(s.device, " ", s.batch.Messages[0].Data["t"]))
		p.takenBy(s.device, "run", nil, p.now)
	}
	slices.Sort(got)
	want := []string{mine + " 20", theirs + " 20"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
	p.flush()
	p = p.reborn(nil, model) // and before it wrote a checkpoint, killed
	for _, name := range []string{mine, theirs} {
		if got := p.say(name, `"t":21`, "run"); got != "21" {
			t.Errorf("%s: delivered %q after another bridge had it", name, got)
		}
	}
}

// A device that has named its model has it after a restart, from the checkpoint or the log.
func TestANamedModelSurvives(t *testing.T) {
	a, b := modelOf(t, tank), modelOf(t, strings.Replace(tank, "model: tank", "model: other", 1))
	births := func(c *Config) { c.ModelFromBirth = true }
	for _, checkpoint := range []bool{false, true} {
		p := openProcess(t, t.TempDir(), births, a, b)
		p.checkpointNow()
		p.deliver("devices/d/status", `{"status":"boot","model":"other"}`, "", false)
		p.deliverAll("run")
		if checkpoint {
			p.checkpointNow()
		}
		p = p.reborn(births, a, b)
		if name := p.devices.byID["d"].models.start.Name(); name != "other" {
			t.Errorf("checkpoint %v: its model is %q", checkpoint, name)
		}
		rule := func(c *Config) { c.ModelFromBirth, c.ModelRules = true, []string{"d=tank"} }
		p.flush()
		p.checkpointNow()
		p = p.reborn(rule, a, b)
		if name := p.devices.byID["d"].models.start.Name(); name != "tank" {
			t.Errorf("checkpoint %v: a rule gives it another one, and it is %q", checkpoint, name)
		}
	}

	quota := func(c *Config) { c.ModelFromBirth, c.QuotaRate, c.QuotaBurst, c.QuotaCatchUp = true, 1, 1, 0 }
	p := openProcess(t, t.TempDir(), quota, a, b)
	p.checkpointNow()
	p.say("d", `"t":95`, "run")
	p.deliver("devices/d/status", `{"status":"boot","model":"other"}`, "", false) // beyond the quota
	p.deliverAll("run")
	p = p.reborn(births, a, b)
	p.say("d", `"t":20`, "run")
	last := p.lastSignal().batch.Messages
	if got := last[len(last)-1].Model; got != b.Hash() {
		t.Errorf("the workflow is given model %q, want that of the birth that was refused", got)
	}
}

// Damage costs what is damaged, is counted, and nothing is left out because of what is not there.
func TestADamagedPartOfTheLog(t *testing.T) {
	model := modelOf(t, tank)
	p := openProcess(t, t.TempDir(), nil, model)
	p.say("d", `"seq":1,"t":20`, "run")
	p.checkpointNow()
	from := p.log.Stats().End
	p.deliver("devices/d/telemetry", `{"seq":2,"t":95}`, "", false) // matters, and will be damaged
	to := p.log.Stats().End
	p.deliver("devices/d/telemetry", `{"seq":3,"t":96}`, "", false) // is left out because of it
	p.deliver("devices/e/telemetry", `{"seq":1,"t":96}`, "", false)
	p.flush()
	dir := p.killed(func(int64) int64 { return 0 })
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	b, err := os.ReadFile(files[0])
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	for i := from; i < to; i++ {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	p = openProcess(t, dir, nil, model)
	if n := p.counts.Unreadable.Load(); n == 0 {
		t.Error("it is not counted")
	}
	p.elapsed(p.now)
	if got := p.deliverAll("run"); got != "96" {
		t.Errorf("delivered %q, want that of e", got)
	}
	if got := p.say("d", `"seq":4,"t":97`, "run"); got != "97" {
		t.Errorf("delivered %q: the workflow does not know that it is hot", got)
	}
	p.redeliverable = redeliverable{}
	p = p.next(nil, model) // what was damaged before the checkpoint is of no interest any more
	if got := p.say("d", `"seq":5,"t":98`, "run"); got != "" || p.counts.Unreadable.Load() > 0 {
		t.Errorf("delivered %q, a repetition; %d counted", got, p.counts.Unreadable.Load())
	}
}

// A message whose record is damaged while it waits is lost alone.
func TestAMessageThatCannotBeReadIsLeftOutOfItsBatch(t *testing.T) {
	p := openProcess(t, t.TempDir(), func(c *Config) { c.WindowBytes, c.LingerMax = 1, 0 }, testModel{})
	p.t = t
	p.hot("d", 0)
	p.flush()
	var places []int64
	for i := range 3 {
		places = append(places, p.log.Stats().End)
		p.hot("d", i+1)
	}
	p.flush()
	files, _ := filepath.Glob(filepath.Join(p.dir, "*.log"))
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("xxxx"), places[1]+40); err != nil {
		t.Fatal(err)
	}
	p.accept("d")
	var ids []string
	for _, m := range p.lastSignal().batch.Messages {
		ids = append(ids, fmt.Sprint(m.Data["id"]))
	}
	if strings.Join(ids, " ") != "1 3" || p.counts.Unreadable.Load() != 1 {
		t.Errorf("delivered %v, %d counted as lost", ids, p.counts.Unreadable.Load())
	}
	p.accept("d")
	p.flush()
	p.checkSettled(t)
}

// A checkpoint that is written while messages come in knows of each device up to where.
func TestACheckpointWhileMessagesComeIn(t *testing.T) {
	model := modelOf(t, tank)
	p := openProcess(t, t.TempDir(), nil, model)
	const devices = 20
	send := func(p *process, temperature int) string {
		var got []string
		for i := range devices {
			got = append(got, p.say(fmt.Sprint("d", i), fmt.Sprintf(`"t":%d`, temperature), "run"))
		}
		return strings.TrimSpace(strings.Join(got, " "))
	}
	send(p, 95)
	k := p.beginCheckpoint(p.now)
	for i := 0; !p.stepCheckpoint(k, 3); i++ {
		send(p, []int{20, 95}[i%2])
	}
	send(p, 20)
	if err := p.ingest.writeCheckpoint(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	p = p.reborn(nil, model)
	if got := send(p, 21); got != "" {
		t.Errorf("delivered %q, repetitions", got)
	}
	if got := send(p, 95); strings.Count(got, "95") != devices {
		t.Errorf("delivered %q of %d devices that became hot", got, devices)
	}
}

func TestACheckpointNeedsNoMoreThanItSays(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		p := openProcess(t, t.TempDir(), func(c *Config) { c.AckAccepted = accepted }, testModel{})
		p.hot("d", 1)
		p.flush()
		p.checkpointNow()
		first := p.ingest.checkpoints.Committed()
		p.accept("d")
		p.flush()
		if accepted && p.needed() == first {
			t.Error("the log has to keep what is acknowledged")
		}
		p.checkpointNow()
		if got := p.ingest.checkpoints.Committed(); got != p.appended {
			t.Errorf("the log keeps what comes after %d, of %d, for the checkpoint", got, p.appended)
		}
	})
}

// The states of devices are written without what is empty.
func TestASavedDeviceIsSmall(t *testing.T) {
	p := openProcess(t, t.TempDir(), nil, modelOf(t, tank))
	p.say("plant-7:pump-000001", `"epoch":1764000000,"seq":17,"t":95`, "run")
	b, err := json.Marshal(p.saved(p.devices.byID["plant-7:pump-000001"]))
	if err != nil || len(b) > 450 {
		t.Errorf("%d bytes: %s, %v", len(b), b, err)
	}
}

// What came too late is left out by a process that recovers, too, though it decides otherwise
// than was written down: with another model, or because it recovers from the checkpoint of an earlier
// process than that which doubted what it knew, so that 4 came too late. The next message that is
// delivered says so to the workflow, as if the process had lived on.
func TestWhatCameTooLateIsLeftOutAfterARestart(t *testing.T) {
	model := modelOf(t, tank)
	read := func(p *process, seq, temperature int) string {
		return p.say("d", fmt.Sprintf(`"seq":%d,"ts":%d,"t":%d`, seq, p.now.UnixMilli(), temperature), "run")
	}
	otherRules := func(c *Config) { c.SettledFor = 7 * time.Minute }
	for name, c := range map[string]struct {
		before  int // the number of the first reading; the last one is 5
		another bool
		change  func(*Config) // of the processes that come next
		next    *devicefsm.Model
	}{
		"the same model":                     {before: 5, next: model},
		"another model":                      {before: 5, next: modelOf(t, strings.ReplaceAll(tank, "80", "10"))},
		"another process had begun to doubt": {before: 1, another: true, change: otherRules, next: model},
	} {
		t.Run(name, func(t *testing.T) {
			// report is what the workflow learns with the next message that matters.
			report := func(dies bool) string {
				p := openProcess(t, t.TempDir(), nil, model)
				p.checkpointNow()
				for seq := c.before; seq <= 5; seq++ {
					if got, want := read(p, seq, []int{20, 95}[seq%2]), []string{"20", "95"}[seq%2]; got != want {
						t.Fatalf("number %d: delivered %q, want %s", seq, got, want)
					}
				}
				if c.another {
					p.checkpointNow()
					p = p.next(c.change, model)
				}
				if got := read(p, 4, 20); got != device.MessageFault || p.counts.TooLate.Load() != 1 {
					t.Fatalf("delivered %q, and %d came too late; want a fault, and 1", got, p.counts.TooLate.Load())
				}
				if p.flush(); dies {
					p = p.reborn(c.change, c.next)
				}
				if got := read(p, 6, 5); got != "5" && got != device.MessageFault+" 5" {
					t.Fatalf("delivered %q, want what is new", got)
				}
				messages := p.lastSignal().batch.Messages
				out := messages[len(messages)-1].LeftOut
				if out == nil {
					return "nothing"
				}
				return fmt.Sprintf("%+v", out.Spans)
			}
			if lived, reborn := report(false), report(true); lived != "[{Epoch:0 From:4 To:4}]" || reborn != lived {
				t.Errorf("left out %s after a restart, %s without one", reborn, lived)
			}
		})
	}
}

// Numbers that are missing are reported once, whether the report was accepted before the
// process was killed or not, and whether the numbers are in a checkpoint or in the log.
func TestAGapIsReportedOnceOverRestarts(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		for _, checkpoint := range []bool{false, true} {
			p := openProcess(t, t.TempDir(), nil, testModel{})
			p.checkpointNow()
			var gaps []string
			note := func(batch device.Batch) {
				for _, m := range batch.Messages {
					if m.Name == device.EventSequenceGap {
						gaps = append(gaps, fmt.Sprint(m.Data["from"], "-", m.Data["to"], " at ", m.Pos))
					}
				}
			}
			send := func(seq int) {
				p.deliver("devices/d/telemetry", fmt.Sprintf(`{"hot":1,"seq":%d,"t":0}`, seq), "", false)
				p.flush()
				for p.inFlight > 0 {
					note(p.lastSignal().batch)
					p.accept("d")
					p.flush()
				}
			}
			send(1)
			p.deliver("devices/d/telemetry", `{"hot":1,"seq":5}`, "", false)
			p.flush()
			first := p.lastSignal().batch
			if accepted {
				note(first)
				p.accept("d")
				p.flush()
			}
			if checkpoint {
				p.checkpointNow()
			}
			p = p.reborn(nil, testModel{})
			p.elapsed(p.now)
			send(6)
			p = p.reborn(nil, testModel{})
			send(9)
			want := []string{fmt.Sprint("2-4 at ", first.Messages[0].Pos), "7-8"}
			if len(gaps) != 2 || gaps[0] != want[0] || !strings.HasPrefix(gaps[1], want[1]) {
				t.Errorf("accepted %v, checkpoint %v: gaps %v, want %v", accepted, checkpoint, gaps, want)
			}
		}
	}
}
