package command

import (
	"encoding/json"
	"strings"
	"testing"
)

// A command is sent as often as it says, or else as the queue's limit says, and then
// ends; one without either goes on.
func TestDeliveriesAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name              string
		own, limit, after int // after so many deliveries it ends; 0: never
	}{
		{"by the limit", 0, 3, 3},
		{"by its own word", 2, 3, 2},
		{"sent once", 1, 3, 1},
		{"more than the limit", 5, 3, 5},
		{"without any", 0, 0, 0},
	} {
		q, limits := &Queue{}, DefaultLimits()
		limits.Deliveries = tt.limit
		c := named("1", "a")
		c.MaxDeliveries = tt.own
		q.Add(c, false, limits)
		if _, ended := q.Exhaust(t0, limits); ended {
			t.Errorf("%s: ended while it waits", tt.name)
		}
		q.Next(t0)
		var ended Command
		for range 20 {
			var over bool
			if ended, over = q.Exhaust(t0, limits); over {
				break
			}
			q.Again()
		}
		switch {
		case tt.after == 0:
			if q.Flight == nil || q.Flight.Deliveries != 21 {
				t.Errorf("%s: %s", tt.name, q.text())
			}
		case ended.Status != Exhausted || ended.Deliveries != tt.after || ended.MaxDeliveries != tt.after || !strings.Contains(ended.Reason, "without an answer") ||
			!ended.Ended.Equal(t0) || q.text() != "| 1:exhausted":
			t.Errorf("%s: %s, %+v", tt.name, q.text(), ended)
		}
		if _, again := q.Exhaust(t0, limits); again {
			t.Errorf("%s: ended twice", tt.name)
		}
	}
}

// What the device works on is not sent again, and does not end.
func TestAnAcceptedCommandIsNotExhausted(t *testing.T) {
	q := &Queue{}
	c := named("1", "a")
	c.MaxDeliveries = 1
	q.Add(c, false, DefaultLimits())
	q.Next(t0)
	q.Acknowledge("1", Accepted, nil, "", t0)
	if _, ended := q.Exhaust(t0, DefaultLimits()); ended || q.Flight == nil {
		t.Errorf("%s", q.text())
	}
}

func TestDeliveriesAreChecked(t *testing.T) {
	for most, want := range map[int]int{-1: 400, 0: 0, 1: 0, 100: 0, 101: 400} {
		q, c := &Queue{}, named("1", "a")
		c.MaxDeliveries = most
		if _, _, refused := q.Add(c, false, DefaultLimits()); code(refused) != want {
			t.Errorf("%d: %v, want code %d", most, refused, want)
		}
	}
}

// The count and the cap survive the way from one run to the next.
func TestDeliveriesAreKept(t *testing.T) {
	q, c := &Queue{}, named("1", "a")
	c.MaxDeliveries = 2
	q.Add(c, false, DefaultLimits())
	q.Next(t0)
	q.Again()
	raw, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var back Queue
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if ended, over := back.Exhaust(t0, DefaultLimits()); !over || ended.Deliveries != 2 {
		t.Errorf("%s became %+v", raw, back)
	}
}
