package bridge

import "container/heap"

// deviceHeap holds busy devices and tells whose turn is next. Each knows its
// place in it, so that it can be taken out before its turn. What decides the
// order of a device may not change while it is there.
type deviceHeap struct{ devices placedDevices }

// newDeviceHeap makes a heap by an order, and by where a device keeps its place
// in this heap: from 1; 0: it is not there.
func newDeviceHeap(before func(a, b *deviceState) bool, place func(*backlog) *int) deviceHeap {
	return deviceHeap{placedDevices{before: before, place: place}}
}

func (h *deviceHeap) len() int { return len(h.devices.all) }

// head is the device whose turn is next.
func (h *deviceHeap) head() *deviceState { return h.devices.all[0] }

func (h *deviceHeap) push(d *deviceState) { heap.Push(&h.devices, d) }

func (h *deviceHeap) pop() *deviceState { return heap.Pop(&h.devices).(*deviceState) }

// remove takes out a device that is there.
func (h *deviceHeap) remove(d *deviceState) { heap.Remove(&h.devices, *h.devices.place(d.work)-1) }

// placedDevices is what package heap works on.
type placedDevices struct {
	all    []*deviceState
	before func(a, b *deviceState) bool
	place  func(*backlog) *int
}

func (p *placedDevices) Len() int           { return len(p.all) }
func (p *placedDevices) Less(i, j int) bool { return p.before(p.all[i], p.all[j]) }

func (p *placedDevices) Swap(i, j int) {
	p.all[i], p.all[j] = p.all[j], p.all[i]
	*p.place(p.all[i].work), *p.place(p.all[j].work) = i+1, j+1
}

func (p *placedDevices) Push(v any) {
	d := v.(*deviceState)
	p.all = append(p.all, d)
	*p.place(d.work) = len(p.all)
}

func (p *placedDevices) Pop() any {
	end := len(p.all) - 1
	d := p.all[end]
	p.all[end] = nil
	p.all = p.all[:end]
	*p.place(d.work) = 0
	return d
}
