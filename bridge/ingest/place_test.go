package ingest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Whatever is put in, and taken out before its turn, the rest comes in order, and
// every device knows whether and where it is there, in this heap only.
func TestDeviceHeap(t *testing.T) {
	queuesOf := newQueues()
	for name, h := range map[string]*deviceHeap{"resting": &queuesOf.resting, "retries": &queuesOf.retries} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var in []*deviceState
			for range 3000 {
				if random.IntN(5) < 3 {
					at := epoch.Add(time.Duration(random.IntN(1000)) * time.Second)
					d := &deviceState{delivered: at, work: &backlog{retryAt: at}}
					h.push(d)
					in = append(in, d)
				} else if len(in) > 0 {
					i := random.IntN(len(in))
					h.remove(in[i])
					in = slices.Delete(in, i, i+1)
				}
				checkPlaces(t, h, len(in))
			}
			last := epoch
			for h.len() > 0 {
				first := h.head()
				h.remove(first)
				if first.delivered.Before(last) {
					t.Fatalf("%v after %v", first.delivered, last)
				}
				checkPlaces(t, h, h.len())
				last = first.delivered
			}
		})
	}
}

func checkPlaces(t *testing.T, h *deviceHeap, want int) {
	t.Helper()
	if h.len() != want {
		t.Fatalf("%d devices, want %d", h.len(), want)
	}
	for i, d := range h.all {
		if d.work.index != i {
			t.Fatalf("the device at %d has index %d", i, d.work.index)
		}
	}
}

// Wherever devices are moved, each is in the queue of its place and in no
// other.
func TestMove(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	q := newQueues()
	var devices []*deviceState
	for range 50 {
		devices = append(devices, &deviceState{})
	}
	for range 20_000 {
		d := devices[random.IntN(len(devices))]
		switch d.place { // only the head may leave
		case logging:
			d = q.logging.head()
		case ready:
			d = q.ready.head()
		}
		to := place(random.IntN(int(retrying) + 1))
		at := epoch.Add(time.Duration(random.IntN(1000)) * time.Second)
		if d.place == idle {
			d.work, d.delivered = &backlog{retryAt: at}, at
		}
		q.move(d, to)
		var want [retrying + 1]int
		for _, d := range devices {
			want[d.place]++
		}
		if q.logging.len() != want[logging] || q.resting.len() != want[resting] || q.ready.len() != want[ready] || q.inFlight != want[inFlight] || q.retries.len() != want[retrying] {
			t.Fatalf("places %v: %d logging, %d resting, %d ready, %d in flight, %d retrying", want, q.logging.len(), q.resting.len(), q.ready.len(), q.inFlight, q.retries.len())
		}
		for p, all := range map[place][]*deviceState{resting: q.resting.all, retrying: q.retries.all} {
			if i := slices.IndexFunc(all, func(d *deviceState) bool { return d.place != p }); i >= 0 {
				t.Fatalf("a device at %d stands among those at %d", all[i].place, p)
			}
		}
		for q.renewals.len() > 0 && q.renewals.head().place != renewing {
			q.renewals.pop()
		}
	}
}
