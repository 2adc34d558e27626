package service

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/workflows/migration"
)

// toldBridge keeps what it learns.
type toldBridge struct {
	mu    sync.Mutex
	asked []time.Time
	lists [][]ingest.Moving
}

func (b *toldBridge) Moves(_ context.Context, asked time.Time, list []ingest.Moving) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.lists = append(b.asked, asked), append(b.lists, list)
}

// sharedText is what is logged.
type sharedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sharedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sharedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (b *toldBridge) learned() (asked []time.Time, lists [][]ingest.Moving) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked, b.lists
}

// A bridge learns what is known, with the time of the question, and nothing while it is not known.
func TestABridgeIsToldOfMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(-time.Hour)
		var fault atomic.Bool
		var text sharedText
		told := &toldBridge{}
		w := &movesWatch{bridge: told, log: slog.New(slog.NewTextHandler(&text, nil)), ask: func(context.Context) ([]migration.Move, error) {
			time.Sleep(100 * time.Millisecond)
			return []migration.Move{{Model: "pump", Open: []string{"m1"}, Versions: []string{"a", "b"}}, {
				Model: "valve", Until: until, Versions: []string{"c"}, Devices: []migration.MovedDevice{{ID: "v-1", Open: []string{"m2"}, Versions: []string{"d"}}, {ID: "v-2", Until: until}},
			}}, map[bool]error{true: errors.New("temporal is down")}[fault.Load()]
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		began := time.Now()
		go func() { w.run(ctx); close(done) }()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		want := []ingest.Moving{{Model: "pump", Open: true, Versions: []string{"a", "b"}}, {
			Model: "valve", Until: until, Versions: []string{"c"}, Devices: []ingest.MovingDevice{{ID: "v-1", Open: true, Versions: []string{"d"}}, {ID: "v-2", Until: until}},
		}}
		asked, lists := told.learned()
		if len(lists) != 1 || !reflect.DeepEqual(lists[0], want) || !asked[0].Equal(began.Add(movesEvery)) {
			t.Errorf("told %v at %v, want %v", lists, asked, want)
		}
		fault.Store(true)
		time.Sleep(migration.KnownFor - 10*time.Second)
		synctest.Wait()
		if _, lists := told.learned(); len(lists) != 1 || text.String() != "" {
			t.Errorf("told %d times, log %s", len(lists), text.String())
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := strings.Count(text.String(), "temporal is down"); n != 1 {
			t.Errorf("warned %d times: %s", n, text.String())
		}
		fault.Store(false)
		time.Sleep(movesEvery)
		synctest.Wait()
		if _, lists := told.learned(); len(lists) != 2 || strings.Count(text.String(), "known again") != 1 {
			t.Errorf("told %d times, log %s", len(lists), text.String())
		}
		cancel()
		<-done
	})
}
