package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/figures"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
)

// memoryLog is a journal whose disk is under control: reached says how far it is.
type memoryLog struct {
	end     int64
	records []recordlog.Entry
	err     error // of the next append
}

func (l *memoryLog) AppendAt(r recordlog.Record) (start, end int64, err error) {
	if l.err != nil {
		return 0, 0, l.err
	}
	start = l.end
	r.Data = append([]byte(nil), r.Data...)
	l.end += int64(28 + len(r.Data))
	l.records = append(l.records, recordlog.Entry{Record: r, Start: start, End: l.end})
	return start, l.end, nil
}

func (l *memoryLog) arrivals(t testing.TB) (all []*history.Arrival) {
	t.Helper()
	for _, r := range l.records {
		if r.Kind == history.KindArrival {
			a, err := history.ReadArrival(r.Data, r.At)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, a)
		}
	}
	return all
}

// newLoggedBench is a bench with a journal in memory.
func newLoggedBench(cfg Config, model Model, others ...Model) (*bench, *memoryLog) {
	b, l := newBench(cfg, model, others...), &memoryLog{}
	b.core.journal, b.core.instance = l, "log-1"
	return b, l
}

// toDisk forces everything to the disk.
func (b *bench) toDisk(l *memoryLog) { b.upTo(l.end) }

func (b *bench) upTo(position int64) {
	b.reached(position, b.now)
	b.out.take(b.core)
}

func (b *bench) lastSignal() sentSignal { return b.out.signals[len(b.out.signals)-1] }

// checkSettled fails unless nothing is left of what was received.
func (b *bench) checkSettled(t testing.TB) {
	t.Helper()
	if b.backlog != 0 || b.pendingBytes != 0 || b.records.len() != 0 || b.unlogged.len() != 0 || b.blocked.len() != 0 || b.held != 0 {
		t.Errorf("left: backlog %d, %d bytes, %d records, %d unlogged, %d blocked, %d held",
			b.backlog, b.pendingBytes, b.records.len(), b.unlogged.len(), b.blocked.len(), b.held)
	}
	if !b.idle() {
		t.Error("something waits")
	}
}

func bothModes(t *testing.T, f func(t *testing.T, accepted bool)) {
	for _, accepted := range []bool{false, true} {
		t.Run(fmt.Sprintf("accepted %v", accepted), func(t *testing.T) { f(t, accepted) })
	}
}

func TestNothingIsDeliveredBeforeItIsOnTheDisk(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		cfg := DefaultConfig()
		cfg.AckAccepted, cfg.LingerMax = accepted, 0
		b, l := newLoggedBench(cfg, testModel{})
		b.hot("a", 1)
		first := l.end
		b.hot("a", 2)
		b.hot("b", 3)
		b.deliver("devices/c/telemetry", `{"id":4}`, "4", false)
		if len(b.out.signals) > 0 || b.acks() != "" {
			t.Fatalf("delivered %v, acknowledged %q, with nothing on the disk", b.out.signals, b.acks())
		}
		b.upTo(first - 1)
		if len(b.out.signals) > 0 {
			t.Fatal("delivered with a byte missing")
		}
		b.upTo(first)
		if len(b.out.signals) != 1 || b.lastSignal().ids() != "1" {
			t.Fatalf("with the first record on the disk: %v", b.out.signals)
		}
		b.accept("a")
		if len(b.out.signals) != 1 {
			t.Fatalf("the second message of a is delivered before it is on the disk: %v", b.out.signals)
		}
		b.toDisk(l)
		if got := b.acks(); !accepted && got != "1 2 3 4" || accepted && got != "1" {
			t.Errorf("acknowledged %q with everything on the disk", got)
		}
		if len(b.out.signals) != 3 {
			t.Fatalf("%v", b.out.signals)
		}
		b.accept("b")
		if got := b.acks(); accepted && got != "1" {
			t.Errorf("acknowledged %q while a waits", got)
		}
		b.accept("a")
		if got := b.acks(); got != "1 2 3 4" {
			t.Errorf("acknowledged %q at the end", got)
		}
		b.checkSettled(t)
		last := int64(0)
		for _, s := range b.out.signals {
			if s.batch.Log != "log-1" {
				t.Errorf("a batch of log %q", s.batch.Log)
			}
			if m := s.batch.Messages[0]; s.device == "a" {
				if m.Pos <= last {
					t.Errorf("position %d after %d", m.Pos, last)
				}
				last = m.Pos
			}
		}
	})
}

// What is recorded of an arrival says what was decided on each of its messages.
func TestAnArrivalIsRecordedWithItsVerdicts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.QuotaBurst = 1, 3
	b, l := newLoggedBench(cfg, modelOf(t, tank))
	for _, sent := range []string{`{"seq":5,"t":95}`, `{"seq":6,"t":96}`, `{"seq":7,"x":1}`, `{"seq":2,"t":20}`, `[{"seq":8,"t":20},{"seq":9,"t":21}]`} {
		b.deliver("devices/d/telemetry", sent, "", false)
	}
	b.deliver("devices/d/telemetry", `{"seq":10,"t":99}`, "", false)
	b.deliver("devices/d/telemetry", `[{"seq":11,"t":20},{"seq":12,"t":99}]`, "", false) // beyond the quota
	var got []string
	points := 0
	for _, a := range l.arrivals(t) {
		for _, m := range a.Messages {
			got = append(got, fmt.Sprintf("%d %v", m.Message.Seq, m.Verdict))
			if m.Measurement == "tank" {
				points++
			}
		}
	}
	want := "5 delivered, 6 repeated, 7 repeated, 2 too_late, 8 delivered, 9 repeated, 10 delivered, 11 refused, 12 refused"
	if strings.Join(got, ", ") != want || points != len(got) || len(b.out.points) > 0 {
		t.Errorf("recorded %s, with %d points, %d others\nwant     %s", strings.Join(got, ", "), points, len(b.out.points), want)
	}
}

// While the log is full nothing is lost, nothing more is taken, and the order stays.
func TestAFullLogIsBackPressure(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		cfg := DefaultConfig()
		cfg.AckAccepted, cfg.LingerMax = accepted, 0
		b, l := newLoggedBench(cfg, testModel{})
		b.hot("a", 1)
		b.toDisk(l)
		l.err = recordlog.ErrFull
		b.hot("a", 2)
		b.hot("b", 3)
		b.deliver("devices/c/telemetry", `{"id":4}`, "4", false)
		if !b.full(b.w) {
			t.Error("more would be taken")
		}
		if got := b.acks(); got != "" && got != "1" {
			t.Errorf("acknowledged %q", got)
		}
		b.accept("a")
		l.err = nil
		b.close(b.w, b.now) // what was received goes on
		b.w = b.lane("test")
		b.deliver("devices/b/telemetry", `{"hot":1,"id":3}`, "3 again", true)
		b.toDisk(l)
		b.toDisk(l)
		if b.full(b.w) {
			t.Error("nothing is taken any more")
		}
		for b.inFlight > 0 {
			b.accept(b.out.signals[len(b.out.signals)-b.inFlight].device)
		}
		if got := b.acks(); got != "3 again" && got != "1 3 again" {
			t.Errorf("acknowledged %q", got)
		}
		var of []string
		for _, a := range l.arrivals(t) {
			of = append(of, string(a.Payload))
		}
		if got, want := strings.Join(of, " "), `{"hot":1,"id":1} {"hot":1,"id":2} {"hot":1,"id":3} {"id":4}`; got != want {
			t.Errorf("recorded %s, want %s", got, want)
		}
		var delivered []string
		for _, s := range b.out.signals {
			delivered = append(delivered, s.device+s.ids())
		}
		slices.Sort(delivered[1:]) // devices are not ordered
		if got := strings.Join(delivered, " "); got != "a1 a2 b3" {
			t.Errorf("delivered %s", got)
		}
		b.reconnect()
		b.toDisk(l)
		b.checkSettled(t)
	})
}

// A request or a message that waits for the disk alone is not its device's fault.
func TestAFullLogQuarantinesNobody(t *testing.T) {
	cfg := stuckConfig()
	b, l := newLoggedBench(cfg, testModel{})
	b.hot("good", 1)
	b.toDisk(l)
	b.accept("good")
	b.hot("bad", 2)
	b.toDisk(l)
	l.err = recordlog.ErrFull
	b.deliver("devices/bad/twin/get", `{}`, "get", false)
	for range 100 {
		if b.devices.byID["bad"].place == inFlight {
			b.fail("bad", errDown)
		}
		b.advance(cfg.StuckAfter)
		if d := b.devices.byID["good"]; d.place == inFlight {
			b.accept("good")
		}
	}
	if b.quarantined > 0 {
		t.Error("a device is quarantined for the log's disk")
	}
}

func TestAQuarantineEndsWhatWaitsInTheLog(t *testing.T) {
	cfg := stuckConfig()
	cfg.AckAccepted = true
	b, l := newLoggedBench(cfg, testModel{})
	b.hot("good", 1)
	b.toDisk(l)
	b.accept("good")
	b.hot("bad", 2)
	b.hot("bad", 3)
	b.toDisk(l)
	for i := 0; !b.full(b.w); i++ {
		b.hot("good", 100+i)
		b.toDisk(l)
		b.acceptAllGood()
	}
	l.err = recordlog.ErrFull
	b.hot("bad", 4) // is not even appended
	l.err = nil
	b.fail("bad", errDown)
	for tries := 0; b.quarantined == 0 && tries < 1000; tries++ {
		if device := b.attempt(t); device == "bad" {
			b.fail(device, errDown)
		} else {
			b.accept(device)
		}
	}
	if b.quarantined != 1 || len(b.out.letters) != 3 {
		t.Fatalf("%d devices in quarantine, %d dead letters", b.quarantined, len(b.out.letters))
	}
	b.toDisk(l)
	b.toDisk(l)
	if b.backlog != 0 || b.records.len() != 0 || b.settledTo() != b.appended {
		t.Errorf("backlog %d, %d records, settled to %d of %d", b.backlog, b.records.len(), b.settledTo(), b.appended)
	}
	var ended, upTo bool
	for _, r := range l.records {
		if o, err := history.ReadOutcome(r.Data); r.Kind == history.KindOutcome && err == nil && o.ID == "bad" {
			ended = ended || o.Ended
			upTo = upTo || o.UpTo > 0
		}
	}
	if !ended || !upTo {
		t.Errorf("the log says that its workflow's knowledge ended: %v, and what is done with: %v", ended, upTo)
	}
}

// A device whose deliveries fail keeps no more than half of the log from being removed, while
// others are accepted.
func TestOneStuckDeviceDoesNotFillTheLog(t *testing.T) {
	cfg := stuckConfig()
	cfg.LingerMax, cfg.Window = 0, 1000
	b, l := newLoggedBench(cfg, testModel{})
	b.core.logBytes = 100_000
	b.hot("bad", 1)
	b.hot("bad", 2)
	b.toDisk(l)
	for id := 3; b.quarantined == 0; id++ {
		if l.end > b.core.logBytes {
			t.Fatalf("it is full, after %d messages and %v", id, b.now.Sub(epoch))
		}
		b.hot("good", id)
		b.toDisk(l)
		for name, err := range map[string]error{"good": nil, "bad": errDown} {
			if d := b.devices.byID[device.ID(name)]; d.place == inFlight {
				b.signalled(name, err, b.now)
			}
		}
		b.advance(time.Second / 4)
	}
	if l.end < b.core.logBytes/heldShare {
		t.Errorf("in quarantine with a log of %d bytes", l.end)
	}
	b.hot("good", 1_000_000)
	b.toDisk(l)
	b.accept("good")
	if kept := l.end - b.settledTo(); kept > 1000 {
		t.Errorf("%d bytes of the log are still kept", kept)
	}
}

func (b *bench) acceptAllGood() {
	for d := b.devices.byID["good"]; d != nil && d.place == inFlight; {
		b.accept("good")
	}
}

// Without a log on the disk, what waits is not delivered; with a slow Temporal, it does not
// stay in memory.
func TestWhatWaitsIsOnlyInTheLog(t *testing.T) {
	p := openProcess(t, t.TempDir(), func(c *Config) {
		c.WindowBytes, c.LingerMax, c.BatchMessages, c.QuotaRate = 2000, 0, 7, 0
	}, testModel{})
	const n = 60
	for i := range n {
		if i%3 == 2 {
			p.deliver("devices/a/telemetry", fmt.Sprintf(`[{"hot":1,"id":%d,"x":{"y":[1,null]}},{"id":-1},{"hot":2,"id":%d}]`, 2*i, 2*i+1), fmt.Sprint(i), false)
		} else {
			p.deliver("devices/a/events/door", fmt.Sprintf(`{"id":%d,"ts":1767225600123}`, 2*i), fmt.Sprint(i), i%2 == 1)
		}
	}
	p.flush()
	if p.full(p.w) {
		t.Error("nothing more is taken though it is acknowledged")
	}
	if got := strings.Count(p.acks(), " ") + 1; got != n {
		t.Errorf("%d acknowledged, want %d", got, n)
	}
	if p.pendingBytes > 3000 {
		t.Errorf("%d bytes in memory", p.pendingBytes)
	}
	var ids []string
	last := int64(0)
	for p.inFlight > 0 {
		s := p.lastSignal()
		for _, m := range s.batch.Messages {
			if m.Pos <= last || m.Time.IsZero() || m.Data["x"] == nil && m.Channel == device.ChannelTelemetry && int(m.Data["id"].(float64))%2 == 0 {
				t.Errorf("%+v after position %d", m, last)
			}
			if m.Channel == device.ChannelEvents && (m.Name != "door" || m.Digest == "" || m.Sent.IsZero()) {
				t.Errorf("%+v", m)
			}
			last = m.Pos
			ids = append(ids, fmt.Sprint(m.Data["id"]))
		}
		p.accept("a")
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(2*i))
		if i%3 == 2 {
			want = append(want, fmt.Sprint(2*i+1))
		}
	}
	if strings.Join(ids, " ") != strings.Join(want, " ") {
		t.Errorf("delivered %v\nwant %v", ids, want)
	}
	p.checkSettled(t)
}

func TestARefusedMessageOfTheLogIsADeadLetter(t *testing.T) {
	for _, window := range []int{1, 1 << 20} { // in the log alone, and in memory
		outlet := &letterbox{}
		p := openProcessWith(t, t.TempDir(), func(c *Config) { c.WindowBytes, c.LingerMax = window, 0 }, outlet, testModel{})
		p.deliver("devices/a/telemetry", `[{"hot":1,"id":1},{"hot":1,"id":2}]`, "1", false)
		p.hot("a", 3)
		p.flush()
		p.fail("a", errPermanent)
		for p.inFlight > 0 {
			p.accept("a")
		}
		if got := strings.Join(outlet.letters, " "); got != `[{"hot":1,"id":1},{"hot":1,"id":2}]` && got != `[{"hot":1,"id":1},{"hot":1,"id":2}] {"hot":1,"id":3}` {
			t.Errorf("window %d: dead letters %s", window, got)
		}
		if got := p.acks(); got != "1 3" {
			t.Errorf("acknowledged %q", got)
		}
	}
}

// Requests are answered without an arrival that waits for it.
func TestRequestsAreAnsweredFromTheLog(t *testing.T) {
	cfg := DefaultConfig()
	cfg.LingerMax = 0
	for what, c := range map[string]struct {
		err  error
		code string
	}{
		"no workflow": {device.ErrNoTwin, `"code":404`},
		"refused":     {errPermanent, `"code":500`},
	} {
		b, l := newLoggedBench(cfg, testModel{})
		b.deliver("devices/a/twin/get", `{}`, "get", false)
		b.toDisk(l)
		if b.acks() != "get" {
			t.Errorf("%s: not acknowledged", what)
		}
		b.fail("a", c.err)
		if len(b.out.answers) != 1 || !strings.Contains(b.out.answers[0], c.code) {
			t.Errorf("%s: answered %v", what, b.out.answers)
		}
		b.toDisk(l)
		b.checkSettled(t)
	}
	b, l := newLoggedBench(cfg, testModel{})
	for i := range maxRequests + 2 {
		b.deliver("devices/a/twin/get", `{}`, fmt.Sprint(i), false)
	}
	b.toDisk(l)
	if len(b.out.answers) != 2 || !strings.Contains(b.out.answers[0], `"code":429`) {
		t.Errorf("too many: answered %v", b.out.answers)
	}
	for b.inFlight > 0 {
		b.accept("a")
	}
	b.checkSettled(t)
}

// letterbox takes dead letters and rejections at once.
type letterbox struct {
	letters, rejections []string
}

func (o *letterbox) Point(Point) {}

func (o *letterbox) Ask(Question) {}

func (o *letterbox) DeadLetter(l DeadLetter, _ func()) bool {
	o.letters = append(o.letters, string(l.Payload))
	return false
}

func (o *letterbox) Reject(r Rejection, _ func()) bool {
	o.rejections = append(o.rejections, fmt.Sprint(r.ID, " ", r.Code))
	return false
}

// process is one bridge's process on a log on the disk. What is taken out of its core is read
// from the log as deliveries are.
type process struct {
	*bench
	t      tester
	ingest *Ingest
	log    *recordlog.Log
	dir    string
	outlet Outlet
}

func openProcess(t testing.TB, dir string, change func(*Config), models ...Model) *process {
	t.Helper()
	return openProcessWith(t, dir, change, nil, models...)
}

func openProcessWith(t testing.TB, dir string, change func(*Config), outlet Outlet, models ...Model) *process {
	t.Helper()
	p, err := tryProcess(dir, change, outlet, wire.DefaultConfig(), models...)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	t.Cleanup(func() { p.log.Close() })
	return p
}

func tryProcess(dir string, change func(*Config), outlet Outlet, topics wire.Config, models ...Model) (*process, error) {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	quiet := slog.New(slog.DiscardHandler)
	log, err := recordlog.Open(recordlog.Config{Dir: dir, MaxBytes: 64 << 20}, quiet)
	if err != nil {
		return nil, err
	}
	i, err := New(cfg, Deps{
		Model: models[0], Models: models[1:], WholeDevices: true, Sink: noSink{}, Outlet: outlet, Journal: log, Name: "b",
		Counts: NewCounts(figures.NewSet("test_")), Log: quiet,
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	i.core.wait = func(attempt int) time.Duration { return time.Second << min(attempt, 3) }
	if cfg.Partition.Of > 1 {
		topics.Mine = cfg.Partition.Owns
	}
	topics.Lazy = true
	dialect, err := wire.New(topics)
	if err != nil {
		return nil, err
	}
	p := &process{
		bench:  &bench{core: i.core, dialect: dialect, out: &recorder{silent: true}, now: epoch},
		ingest: i, log: log, dir: dir, outlet: outlet,
	}
	p.out.before = p.fillIn
	p.w = p.lane0()
	return p, nil
}

// lane0 opens the first lane, whose session was kept.
func (p *process) lane0() *Lane {
	l := newLane(nil)
	p.open(l, "test")
	p.connected(l, true, p.now)
	p.attend(p.now)
	return l
}

// fillIn reads what is only in the log.
func (p *process) fillIn(c *core) {
	for i := range c.out.deliveries {
		d := &c.out.deliveries[i]
		if err := p.ingest.read(d); err != nil {
			p.t.Fatal(err)
		}
		p.lost(d.ID, d.lost)
	}
	for _, l := range c.out.unreadLetters {
		p.ingest.deadLetterOf(l)
	}
	if p.outlet != nil {
		for _, l := range c.out.letters {
			p.outlet.DeadLetter(l.value, nil)
		}
	}
}

// flush waits until everything that was appended is on the disk, and reports it to the core.
func (p *process) flush() {
	p.t.Helper()
	for {
		end := p.log.Stats().End
		if err := p.log.Wait(p.t.Context(), end); err != nil {
			p.t.Fatal(err)
		}
		p.upTo(end)
		if p.log.Stats().End == end {
			return
		}
	}
}

// checkpointNow writes a checkpoint.
func (p *process) checkpointNow() {
	p.t.Helper()
	k := p.beginCheckpoint(p.now)
	for !p.stepCheckpoint(k, 1) {
	}
	if err := p.ingest.writeCheckpoint(p.t.Context(), k); err != nil {
		p.t.Fatal(err)
	}
}

// stop ends the process as Run does.
func (p *process) stop() {
	p.flush()
	p.ingest.closeLog()
	if err := p.log.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// killed is what kill -9 would leave of the log now: at least what is known to be on the disk,
// and perhaps some bytes more, up to torn of them missing.
func (p *process) killed(torn func(most int64) int64) string {
	dir := p.t.(testing.TB).TempDir()
	p.killedTo(dir, torn)
	return dir
}

func (p *process) killedTo(dir string, torn func(most int64) int64) {
	copyLog(p.t, p.dir, dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) == 0 {
		return
	}
	last := files[len(files)-1]
	var base int64
	fmt.Sscanf(filepath.Base(last), "%d", &base)
	info, err := os.Stat(last)
	if err != nil {
		p.t.Fatal(err)
	}
	if most := base + info.Size() - max(base, p.logged); most > 0 {
		if err := os.Truncate(last, info.Size()-torn(most)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// tester is *testing.T or *rapid.T.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Context() context.Context
}

func copyLog(t tester, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, os.ErrNotExist) { // a draft of a cursor
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
