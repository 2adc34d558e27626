package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"devicetwin/device"
)

// tester is a *testing.T, or one of rapid's.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// began is when the tests begin.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// text is a version of a model; the number distinguishes versions.
func text(t tester, name string, n int) Text {
	t.Helper()
	src := fmt.Appendf(nil, "model: %s\ncontext: {version: %d}\ninitial: on\nstates: {on: {}}\n", name, n)
	packed, err := Compress(src)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(src)
	return Text{Name: name, Kind: "device", Hash: hex.EncodeToString(sum[:]), File: name + ".yaml", Bytes: len(src), Gzip: packed}
}

// registry is a State with a clock and keys.
type registry struct {
	t tester
	*State
	now  time.Time
	keys int
}

func newRegistry(t tester) *registry {
	return &registry{t: t, State: &State{Version: stateVersion}, now: began}
}

// change makes a change as the workflow does.
func (r *registry) change(c Change) (Result, *device.Refused) {
	if c.Key == "" {
		r.keys++
		c.Key = fmt.Sprint("key-", r.keys)
	}
	if result, ok := r.made(c); ok {
		return result, nil
	}
	if refused := r.check(c, r.now); refused != nil {
		return Result{}, refused
	}
	return r.apply(c, r.now), nil
}

// must makes a change that is not refused.
func (r *registry) must(c Change) Result {
	r.t.Helper()
	result, refused := r.change(c)
	if refused != nil {
		r.t.Fatalf("refused: %v", refused)
	}
	return result
}

func (r *registry) push(name string, n int) Result {
	r.t.Helper()
	pushed := text(r.t, name, n)
	return r.must(Change{Who: "ann", Push: &pushed})
}

// refuses expects a refusal that says something.
func (r *registry) refuses(code int, says string, c Change) {
	r.t.Helper()
	_, refused := r.change(c)
	wantRefused(r.t, refused, code, says)
}

func (r *registry) wait(d time.Duration) { r.now = r.now.Add(d) }
