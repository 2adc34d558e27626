package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// askedRooms answers with what a queue has, and counts the questions.
type askedRooms struct {
	room  deviceworkflow.Room
	err   error
	asked int
}

func (a *askedRooms) ask(context.Context, device.ID) (deviceworkflow.Room, error) {
	a.asked++
	return a.room, a.err
}

// What half of the room has is delivered without another question.
func TestRoomIsAskedFor(t *testing.T) {
	a := &askedRooms{room: deviceworkflow.Room{Free: 40}}
	r := newRooms(a.ask)
	for i, want := range []int{1, 1, 2, 2, 3} { // 20 without a question, of which 8, 8, then 8, 8
		if err := r.take(t.Context(), "d", 8); err != nil {
			t.Fatal(err)
		}
		if a.asked != want {
			t.Errorf("delivery %d: %d questions, want %d", i+1, a.asked, want)
		}
	}
	if err := r.take(t.Context(), "other", 1); err != nil || a.asked != 4 {
		t.Errorf("another device: %d questions, %v", a.asked, err)
	}
}

// A batch that is larger than the room is delivered once; a full queue takes none.
func TestNoRoom(t *testing.T) {
	a := &askedRooms{room: deviceworkflow.Room{Free: 1, Waiting: 9}}
	r := newRooms(a.ask)
	if err := r.take(t.Context(), "d", 100); err != nil {
		t.Errorf("a batch where there is some room: %v", err)
	}
	a.room = deviceworkflow.Room{Waiting: 109}
	for range 3 {
		if err := r.take(t.Context(), "d", 1); !errors.Is(err, device.ErrNoRoom) {
			t.Errorf("a batch where there is no room: %v", err)
		}
	}
	if a.asked != 4 {
		t.Errorf("%d questions, want 4", a.asked)
	}
	a.room = deviceworkflow.Room{Unbounded: true}
	if err := r.take(t.Context(), "d", 1000); err != nil {
		t.Errorf("a model that processes nothing: %v", err)
	}
}

// Nobody answers: the batch waits, as where there is no room. An entity without a workflow has all.
func TestNobodySaysWhetherThereIsRoom(t *testing.T) {
	a := &askedRooms{err: fmt.Errorf("%w: no worker", device.ErrUnavailable)}
	r := newRooms(a.ask)
	if err := r.take(t.Context(), "d", 1); !errors.Is(err, device.ErrNoRoom) || !errors.Is(err, device.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	a.err = fmt.Errorf("query: %w", device.ErrUnknown)
	if err := r.take(t.Context(), "d", 1000); err != nil {
		t.Errorf("without a workflow: %v", err)
	}
}

func TestRoomsAreBounded(t *testing.T) {
	a := &askedRooms{room: deviceworkflow.Room{Free: 10}}
	r := newRooms(a.ask)
	for i := range mostRooms + 10 {
		if err := r.take(t.Context(), device.ID(fmt.Sprint("d", i)), 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.left) > mostRooms {
		t.Errorf("%d are remembered", len(r.left))
	}
}
