package replay

import (
	"testing"
	"time"
)

// A part begins where the device was last as a new one, or else where it has to.
func TestPartSince(t *testing.T) {
	m := load(t, `
model: pump
events: {reading: {channel: telemetry}}
context: {most: 0}
initial: online
states:
  online: {on: {reading: {guard: "event.temperature > 90", target: hot}}}
  hot: {after: {5m: online}, on: {reading: {guard: "event.temperature > 99", target: broken}}}
  broken: {}
`)
	r := record(t, "pump-1", m)
	for range 12 {
		r.reading(time.Hour, 20)
	}
	r.reading(time.Minute, 95)
	hot := r.now
	r.reading(time.Minute, 20)
	r.reading(10*time.Minute, 20)
	cool := r.now
	r.reading(time.Minute, 95)
	r.reading(time.Minute, 100)
	broken := r.now
	r.reading(time.Hour, 20)
	all := models(m)
	h := Order(r.history())
	for _, c := range []struct {
		name   string
		h      []*Entry
		since  time.Time
		begins time.Time
		asNew  bool
		before string
	}{
		{"when it is as a new one", h, cool, cool, true, "online"},
		{"while it is hot", h, hot.Add(time.Second), hot, true, "online"},
		{"while it is broken", h, broken.Add(time.Minute), cool.Add(time.Minute), true, "online"},
		{"since ever", h, began.Add(-time.Hour), began, true, "online"},
		{"in the middle, when it was broken already", h[len(h)-1:], broken, broken.Add(time.Hour), false, ""},
	} {
		p, ok := PartSince(c.h, c.since, all)
		if !ok || !p.Start.Equal(c.begins) || p.AsNew != c.asNew || p.Before != c.before || p.After != map[bool]string{true: "broken"}[p.After != ""] || p.Model != m && c.asNew {
			t.Errorf("%s: %t, it begins at %v, as new %t, before %q, after %q; want %v, %t, %q", c.name, ok, p.Start, p.AsNew, p.Before, p.After, c.begins, c.asNew, c.before)
		}
		if len(p.Entries) == 0 || p.Entries[0].At().Before(c.begins) || !p.Entries[len(p.Entries)-1].At().Equal(h[len(h)-1].At()) {
			t.Errorf("%s: %d entries", c.name, len(p.Entries))
		}
	}
	if _, ok := PartSince(h, r.now.Add(time.Hour), all); ok {
		t.Error("there is a part after the last entry")
	}
	if _, ok := PartSince(h, cool, models()); ok {
		t.Error("there is a part without the model")
	}
}
