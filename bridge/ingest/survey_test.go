package ingest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// survey looks at all devices as Ingest.Survey does.
func (b *bench) survey(talkers, groups int) Survey {
	s := newSurvey(b.now, talkers)
	b.traits.begin()
	b.look(s.look)
	return s.end(b.core, groups)
}

// loudest is what a survey says of talkers: names with messages and bytes a second.
func loudest(s Survey) string {
	var all []string
	for _, t := range s.Talkers {
		all = append(all, fmt.Sprintf("%s %g/%g", t.ID.Name(), t.Messages, t.Bytes))
	}
	return strings.Join(all, ", ")
}

// A survey names the devices that send most: also what is left out, refused, beyond a quota
// or a request, and each message once. The next one begins at nothing.
func TestTalkersAreNamed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.QuotaBurst = 1, 1
	b := newBench(cfg, testModel{})
	b.surveyed = b.now
	say := func(topic, payload string, times int) {
		for range times {
			b.deliver(topic, payload, "", false)
			b.acceptAll()
		}
	}
	say("devices/quiet/telemetry", `{"n":1}`, 1)
	say("devices/array/telemetry", `[{"n":1},{"n":2}]`, 10)
	say("devices/hot/telemetry", `{"hot":true}`, 15) // most are beyond its quota
	say("devices/broken/telemetry", `{"n":`, 25)
	say("$aws/things/app/shadow/get", `{}`, 5)
	b.advance(10 * time.Second)
	got := b.survey(4, 100)
	if want := "broken 2.5/12.5, array 2/14, hot 1.5/18, app 0.5/1"; loudest(got) != want {
		t.Errorf("talkers %s; want %s", loudest(got), want)
	}
	if first := got.Talkers[0]; first.Model != "pump" || math.Abs(first.Share-25./66) > 1e-9 {
		t.Errorf("%+v; want the model and 25 of 66 messages", first)
	}

	say("devices/quiet/telemetry", `{"n":1}`, 2)
	b.advance(time.Second)
	if got := loudest(b.survey(4, 100)); got != "quiet 2/14" {
		t.Errorf("the next one: %s", got)
	}
	say("devices/quiet/telemetry", `{"n":1}`, 2)
	if got := loudest(b.survey(4, 100)); got != "" {
		t.Errorf("in no time: %s", got)
	}
}

func TestTrafficDoesNotOverflow(t *testing.T) {
	var of traffic
	for range 3 {
		of.add(math.MaxUint32/2, math.MaxUint32)
	}
	if of.messages != math.MaxUint32 || of.bytes != math.MaxUint32 {
		t.Errorf("%+v", of)
	}
}

// rows are the groups of a survey.
func rows(s Survey) string {
	var all []string
	for _, g := range s.Groups {
		all = append(all, fmt.Sprintf("%s/%s/%s %d+%d+%d", g.Model, g.Site, g.Firmware, g.Online, g.Silent, g.Offline))
	}
	return strings.Join(all, ", ")
}

// Devices are counted by what their birth messages said, and by their connection. What a
// later message does not say stays.
func TestDevicesAreCountedByWhatTheyHaveInCommon(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{silentAfter: time.Minute})
	birth := func(device, rest string) {
		b.deliver("devices/"+device+"/status", `{"status":"boot"`+rest+`}`, "", false)
		b.acceptAll()
	}
	birth("a", `,"site":"north","firmware":"1.4"`)
	birth("b", `,"site":"north","firmware":1.5`)
	birth("c", `,"site":"south"`)
	birth("c", `,"firmware":"1.4"`)
	birth("d", ``)
	birth("e", `,"site":"north","firmware":"1.4"`)
	b.deliver("devices/e/status", `{"status":"offline"}`, "", false)
	b.deliver("devices/f/telemetry", `{"n":1}`, "", false)
	b.acceptAll()
	b.advance(2 * time.Minute)
	birth("a", ``)
	birth("c", ``)
	if got, want := rows(b.survey(0, 100)), "pump// 0+2+0, pump/north/1.4 1+0+1, pump/north/1.5 0+1+0, pump/south/1.4 1+0+0"; got != want {
		t.Errorf("groups %s; want %s", got, want)
	}
	if got, want := rows(b.survey(0, 2)), "pump// 0+2+0, pump/north/1.4 1+0+1, pump/other/other 1+1+0"; got != want {
		t.Errorf("two groups %s; want %s", got, want)
	}
	if s := b.survey(0, 0); rows(s) != "pump/other/other 2+3+1" || len(s.Talkers) > 0 {
		t.Errorf("no groups: %s, and %d talkers", rows(s), len(s.Talkers))
	}
	var trouble []string
	for _, x := range b.troubled(10) {
		trouble = append(trouble, x.ID.Name()+" "+x.Site)
	}
	slices.Sort(trouble)
	if got := strings.Join(trouble, ", "); got != "b north, d , e north, f " {
		t.Errorf("in trouble: %s", got)
	}
}

// Sites and firmware are strings that devices choose: what is remembered of them is bounded,
// and there is room again when no device has one any more.
func TestTraitsAreBounded(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	birth := func(device, firmware string) {
		b.deliver("devices/"+device+"/status", `{"status":"boot","site":"s","firmware":"`+firmware+`"}`, "", false)
		b.acceptAll()
		b.out.signals = nil
	}
	for i := range maxTraits {
		birth("d", fmt.Sprint(i))
	}
	birth("e", "x")
	if got := rows(b.survey(0, 10)); got != "pump/other/other 1+0+0, pump/s/4095 1+0+0" {
		t.Errorf("groups %s", got)
	}
	// All of them were of the survey's time; by the next one, nobody has them.
	b.survey(0, 10)
	if n := len(b.traits.numbers); n != 1 {
		t.Errorf("%d traits are remembered; want 1", n)
	}
	birth("e", "x")
	birth("f", "y")
	if got := rows(b.survey(0, 10)); got != "pump/s/4095 1+0+0, pump/s/x 1+0+0, pump/s/y 1+0+0" || len(b.traits.list) != maxTraits {
		t.Errorf("groups %s, of %d traits", got, len(b.traits.list))
	}
}

// What a device becomes while a survey is made stays, though it was looked at before.
func TestTraitsThatAreNewDuringASurveyStay(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.deliver("devices/d/status", `{"status":"boot","site":"old"}`, "", false)
	b.acceptAll()
	b.survey(0, 10)
	s := newSurvey(b.now, 0)
	b.traits.begin()
	b.look(s.look)
	b.deliver("devices/d/status", `{"status":"boot","site":"new"}`, "", false)
	b.acceptAll()
	s.end(b.core, 10)
	if got := rows(b.survey(0, 10)); got != "pump/new/ 1+0+0" {
		t.Errorf("groups %s", got)
	}
}

// What devices said of themselves is known after a restart, from the checkpoint and the log.
func TestTraitsSurvive(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		p := openProcess(t, t.TempDir(), nil, modelOf(t, tank))
		p.checkpointNow()
		p.deliver("devices/d/status", `{"status":"boot","site":"north","firmware":"1.4"}`, "", false)
		p.deliverAll("run")
		if checkpoint {
			p.checkpointNow()
		}
		p = p.reborn(nil, modelOf(t, tank))
		if got := p.traits.of(p.devices.byID["d"].traits); got != (traits{"north", "1.4"}) {
			t.Errorf("checkpoint %v: %+v", checkpoint, got)
		}
	}
}

// Messages have their turn while all devices are looked at.
func TestASurveyIsMadeInParts(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for i := range 20 {
		b.deliver(fmt.Sprintf("devices/d%d/telemetry", i), `{"n":1}`, "", false)
	}
	var parts []int
	seen := map[string]bool{}
	for part := range b.devices.inParts(8) {
		parts = append(parts, len(part))
		for _, d := range part {
			seen[d.id.Name()] = true
		}
		b.deliver("devices/new/telemetry", `{"n":1}`, "", false)
	}
	delete(seen, "new")
	if len(seen) != 20 || len(parts) != 3 || parts[0] != 8 {
		t.Errorf("%d devices in parts of %v", len(seen), parts)
	}
}

// Who asks a running Ingest is answered, and does not wait for one that has ended.
func TestSurveyOfARunningIngest(t *testing.T) {
	r := run(t, t.TempDir(), newTemporal(), nil)
	if err := r.publish("devices/d/telemetry", `{"n":1}`, 1); err != nil {
		t.Fatal(err)
	}
	var s Survey
	eventually(t, "it has received that", func() bool {
		s = r.Survey(t.Context(), time.Now(), 10, 10)
		return len(s.Groups) > 0
	})
	if len(s.Groups) != 1 || s.Groups[0].Online != 1 {
		t.Errorf("while it runs: %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.stop()
	for name, ctx := range map[string]context.Context{"ended": t.Context(), "ended, and nobody waits": ctx} {
		if s := r.Survey(ctx, time.Now(), 10, 10); len(s.Groups)+len(s.Talkers) > 0 {
			t.Errorf("%s: %+v", name, s)
		}
		if all := r.Troubled(ctx, time.Now(), 10); len(all) > 0 {
			t.Errorf("%s: %+v in trouble", name, all)
		}
	}
}

// BenchmarkSurvey looks at 100,000 devices of 20 sites with 5 firmwares.
func BenchmarkSurvey(b *testing.B) {
	const devices = 100_000
	c := newBench(DefaultConfig(), testModel{silentAfter: time.Minute})
	c.out.silent = true
	for i := range devices {
		c.deliver(fmt.Sprintf("devices/d%d/status", i), fmt.Sprintf(`{"status":"boot","site":"s%d","firmware":"%d"}`, i%20, i%5), "", false)
		c.acceptAll()
		c.w.outbox, c.out.signals = nil, nil
	}
	b.ResetTimer()
	for range b.N {
		c.now = c.now.Add(time.Second)
		for _, d := range c.devices.byID {
			d.traffic.add(1, 100)
		}
		if s := c.survey(20, 200); len(s.Groups) != 20 || len(s.Talkers) != 20 {
			b.Fatalf("%d groups, %d talkers", len(s.Groups), len(s.Talkers))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*devices), "ns/device")
}
