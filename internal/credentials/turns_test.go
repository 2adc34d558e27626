package credentials

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"devicetwin/device"
)

// Two of one device wait for each other, and nobody for another device.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		begin := func(id device.ID) func() {
			t.Helper()
			end, err := turns.begin(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return end
		}
		first := begin("a")
		begin("b")() // at once, or this would be a deadlock

		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := turns.begin(impatient, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait has the turn, or another error: %v", err)
		}
		var waiting sync.WaitGroup
		under := 0
		for range 3 {
			waiting.Go(func() {
				end := begin("a")
				under++ // only one at a time: the race detector sees to that
				end()
			})
		}
		synctest.Wait()
		if under != 0 {
			t.Errorf("%d did not wait", under)
		}
		first()
		waiting.Wait()
		if under != 3 || len(turns.of) != 0 {
			t.Errorf("%d had their turn, and %d devices are kept", under, len(turns.of))
		}
	})
}
