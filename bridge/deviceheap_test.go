package bridge

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Whatever is put in, and taken out before its turn, the rest comes in order, and
// every device knows whether and where it is there, in this heap only.
func TestDeviceHeap(t *testing.T) {
	for name, h := range map[string]deviceHeap{"resting": newResting(), "retries": newRetries()} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var in []*deviceState
			for range 3000 {
				if random.IntN(5) < 3 {
					at := epoch.Add(time.Duration(random.IntN(1000)) * time.Second)
					d := &deviceState{signalled: at, work: &backlog{retryAt: at}}
					h.push(d)
					in = append(in, d)
				} else if len(in) > 0 {
					i := random.IntN(len(in))
					h.remove(in[i])
					checkOut(t, in[i])
					in = slices.Delete(in, i, i+1)
				}
				checkPlaces(t, &h, len(in))
			}
			last := epoch
			for h.len() > 0 {
				first := h.head()
				if d := h.pop(); d != first || d.signalled.Before(last) {
					t.Fatalf("%v after %v; the head was %v", d.signalled, last, first.signalled)
				}
				checkOut(t, first)
				checkPlaces(t, &h, h.len())
				last = first.signalled
			}
		})
	}
}

func checkPlaces(t *testing.T, h *deviceHeap, want int) {
	t.Helper()
	if h.len() != want {
		t.Fatalf("%d devices, want %d", h.len(), want)
	}
	for i, d := range h.devices.all {
		if *h.devices.place(d.work) != i+1 || d.work.rest+d.work.retry != i+1 {
			t.Fatalf("the device at %d thinks it is at %d of those at rest, %d of the retries", i+1, d.work.rest, d.work.retry)
		}
	}
}

func checkOut(t *testing.T, d *deviceState) {
	t.Helper()
	if d.work.rest != 0 || d.work.retry != 0 {
		t.Fatalf("out, and still at %d, %d", d.work.rest, d.work.retry)
	}
}
