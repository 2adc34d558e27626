package ingest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"
)

// newMovingReadings has a bridge that learns of devices that are moved.
func newMovingReadings(t *testing.T) *readings {
	t.Helper()
	return newReadings(t, func(c *Config) { c.MovesFor = 2 * time.Minute })
}

// movesTank is what it learns of those of the model.
func (r *readings) movesTank(open bool, until time.Time, versions ...string) {
	r.core.moves(r.now, []Moving{{Model: "tank", Open: open, Until: until, Versions: versions}, {Model: "another", Open: true}})
}

// While devices are moved, what may matter is signalled again and again, and what was remembered
// before that is forgotten.
func TestNothingIsLeftOutWhileDevicesAreMoved(t *testing.T) {
	r := newMovingReadings(t)
	r.core.moves(r.now, nil)
	r.want(t, "nobody is moved", "95", 95, 96)
	r.core.moves(r.now, []Moving{{Model: "another", Open: true}, {Model: "third", Until: r.now.Add(time.Hour)}})
	r.want(t, "devices of other models are", "", 97)
	r.movesTank(true, time.Time{})
	r.want(t, "devices of the model are", "98 99 96", 98, 99, 96)
	r.want(t, "what matters in no state", "", 85)
	r.advance(time.Second)
	r.movesTank(false, r.now)
	r.want(t, "it is over, by a clock that may be wrong", "95 96", 95, 96)
	r.advance(clocksDiffer + time.Second)
	r.movesTank(false, r.now.Add(-clocksDiffer-time.Second))
	r.want(t, "it is over", "97", 97, 98, 99)
}

// A device that said nothing while it was moved is filtered by its new model from its first message on.
func TestWhatIsRememberedFromBeforeIsForgotten(t *testing.T) {
	r := newMovingReadings(t)
	r.core.moves(r.now, nil)
	r.want(t, "before", "95", 95, 96)
	r.advance(time.Minute)
	r.movesTank(true, time.Time{})
	r.advance(time.Minute)
	over := r.now
	r.movesTank(false, over)
	r.advance(10 * time.Minute)
	r.out.signals, r.told = nil, 0 // renewals
	r.acceptAll()
	r.signalled()
	r.movesTank(false, over)
	if got := r.send(97, 98); !strings.HasPrefix(got, "97") || strings.Contains(got, "98") {
		t.Errorf("signalled %q, want 97 alone", got)
	}
}

// A bridge that does not know whether devices are moved leaves nothing out, from the time on at
// which who moves them begins.
func TestABridgeThatHearsNothingLeavesNothingOut(t *testing.T) {
	r := newMovingReadings(t)
	r.want(t, "it never knew", "95 96", 95, 96)
	r.core.moves(r.now, nil)
	r.want(t, "it knows", "", 97)
	r.advance(2*time.Minute - time.Second)
	r.want(t, "a while ago", "", 98)
	r.advance(time.Second)
	r.want(t, "too long ago", "99 96", 99, 96)
	asked := r.now
	r.advance(time.Second)
	r.core.moves(asked, nil)
	r.core.moves(asked.Add(-time.Hour), []Moving{{Model: "tank", Open: true}}) // an answer that comes late
	r.want(t, "it knows again", "", 97, 98)
}

// Until the bridge has the version to which devices are moved, it delivers everything of them.
func TestABridgeWithoutTheNewVersionDeliversAll(t *testing.T) {
	r := newMovingReadings(t)
	known := r.models.fallback.possible[0].Hash()
	r.movesTank(false, r.now.Add(-time.Hour), known)
	r.want(t, "it has the version", "95", 95, 96, 85)
	r.movesTank(false, r.now.Add(-time.Hour), known, "another-version")
	r.want(t, "it has it not", "96 85 20", 96, 85, 20)
}

// Of a device that is moved alone, nothing is left out; the others of its model are filtered as ever.
func TestADeviceIsMovedAlone(t *testing.T) {
	r := newMovingReadings(t)
	known := r.models.fallback.possible[0].Hash()
	alone := func(id device.ID, open bool, until time.Time, versions ...string) {
		r.core.moves(r.now, []Moving{{Model: "tank", Devices: []MovingDevice{{ID: id, Open: open, Until: until, Versions: versions}}}})
	}
	alone("other", true, time.Time{}, known, "another-version")
	r.want(t, "another device is moved", "95", 95, 96)
	alone("d", true, time.Time{}, known)
	r.want(t, "the device is moved", "97 98", 97, 98)
	r.want(t, "what matters in no state", "", 85)
	alone("d", false, r.now, known)
	r.want(t, "it is over, by a clock that may be wrong", "95 96", 95, 96)
	alone("d", false, r.now.Add(-time.Hour), known)
	r.want(t, "it is over", "", 97, 98)
	alone("d", false, r.now.Add(-time.Hour), "another-version")
	r.want(t, "the bridge does not have the version", "99 85 20", 99, 85, 20)
}

// A bridge where nobody moves devices leaves out as ever.
func TestWithoutMovesRepetitionsAreLeftOut(t *testing.T) {
	r := newReadings(t, nil)
	r.want(t, "without moves", "95", 95, 96)
	r.movesTank(true, time.Time{})
	r.want(t, "it learns of some nevertheless", "", 97)
}

func TestARunningIngestLearnsOfMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _ := newReportIngest(t, func(context.Context, device.Delivery) error { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		in.Moves(ctx, time.Now(), []Moving{{Model: "tank", Open: true}}) // it does not run
		cancel()
		running, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { in.Run(running, t.Context()); close(done) }()
		in.Moves(t.Context(), time.Now(), []Moving{{Model: "tank", Open: true}})
		open := false
		in.do(func(c *core) { open = c.moving.models["tank"].open })
		stop()
		<-done
		if !open {
			t.Error("the running ingest does not know of it")
		}
	})
}
