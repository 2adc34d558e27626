package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"sync"

	"devicetwin/device"
	"devicetwin/devicefsm/replay"
)

// DefaultMemory is how many bytes of lines are in memory at once, unless another number is given.
const DefaultMemory = 1 << 30

// Histories are what some files have of devices.
type Histories struct {
	Files []File
	// Stats are those of the files, if somebody has counted them; nil: Each does.
	Stats *Stats
	Keys  Keys
	// Wanted are the devices; nil: all.
	Wanted func(device.ID) bool
	// Memory bounds the lines that are in memory at once, in bytes: files that have more are read
	// several times, each time for a part of the devices. 0: DefaultMemory.
	Memory int64
	// Workers is how many goroutines decode and replay; 0: one for each processor.
	Workers int
}

// history is a device's lines: each with the file that it is in.
type history struct {
	id    device.ID
	lines []placed
}

type placed struct {
	file int
	line []byte
}

// Each gives the history of each device, as replay.Order returns it, to a function, which several
// goroutines call: the number of the goroutine is its argument. Devices come in the order of their ids:
// each goroutine has a run of them, the first one the first.
func (h Histories) Each(ctx context.Context, each func(worker int, id device.ID, entries []*replay.Entry) error) (Damage, error) {
	all := h.Stats
	if all == nil {
		counted, err := Summarize(ctx, h.Files, h.Keys)
		if err != nil {
			return counted.Damage, err
		}
		all = &counted
	}
	memory := h.Memory
	if memory <= 0 {
		memory = DefaultMemory
	}
	parts := max(1, int((all.Plain+memory-1)/memory))
	var damage Damage
	for part := range parts {
		list, read, err := h.read(ctx, part, parts)
		if damage = read; err != nil {
			return damage, err
		}
		if err := h.run(ctx, list, each); err != nil {
			return damage, err
		}
	}
	return damage, nil
}

// MostWorkers is how many goroutines Each uses at most.
func (h Histories) MostWorkers() int {
	if h.Workers > 0 {
		return h.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// read are the histories of a part of the devices, by id.
func (h Histories) read(ctx context.Context, part, parts int) ([]*history, Damage, error) {
	of := map[device.ID]*history{}
	var room []byte
	damage, err := Read(ctx, h.Files, h.Keys, func(file int, line []byte) error {
		id, ok := DeviceOf(line)
		if !ok || h.Wanted != nil && !h.Wanted(id) || parts > 1 && partOf(id, parts) != part {
			return nil
		}
		mine := of[id]
		if mine == nil {
			mine = &history{id: id}
			of[id] = mine
		}
		if len(room)+len(line) > cap(room) {
			room = make([]byte, 0, max(4<<20, len(line)))
		}
		at := len(room)
		room = append(room, line...)
		mine.lines = append(mine.lines, placed{file, room[at:len(room):len(room)]})
		return nil
	})
	list := make([]*history, 0, len(of))
	for _, one := range of {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *history) int { return cmp.Compare(a.id, b.id) })
	return list, damage, err
}

func partOf(id device.ID, parts int) int {
	sum := fnv.New32a()
	sum.Write([]byte(id))
	return int(sum.Sum32() % uint32(parts))
}

func (h Histories) run(ctx context.Context, list []*history, each func(int, device.ID, []*replay.Entry) error) error {
	workers := min(h.MostWorkers(), len(list))
	faults := make([]error, workers)
	var running sync.WaitGroup
	for w := range workers {
		mine := list[len(list)*w/workers : len(list)*(w+1)/workers]
		running.Go(func() {
			for i, one := range mine {
				if faults[w] = ctx.Err(); faults[w] != nil {
					return
				}
				var entries []*replay.Entry
				if entries, faults[w] = one.decode(); faults[w] == nil {
					faults[w] = each(w, one.id, replay.Order(entries))
				}
				if faults[w] != nil {
					return
				}
				mine[i] = nil // its lines may go
			}
		})
	}
	running.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// decode reads the lines, and gives each what its file says once for all of them.
func (h *history) decode() ([]*replay.Entry, error) {
	entries := make([]*replay.Entry, len(h.lines))
	room := make([]replay.Entry, len(h.lines))
	for i, l := range h.lines {
		e := &room[i]
		if err := json.Unmarshal(l.line, e); err != nil {
			return nil, fmt.Errorf("read the journal of device %s: %w", h.id, err)
		}
		if i > 0 && h.lines[i-1].file == l.file {
			e.Complete(entries[i-1])
		}
		entries[i] = e
	}
	return entries, nil
}
