package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"
	"devicetwin/internal/testlog"
)

// endings are the ends that a server knows, by when they are listed.
type endings struct {
	mutex sync.Mutex
	list  []listed
	fails bool
}

type listed struct {
	Ending
	ended, from time.Time // it is in lists from then on
}

func (e *endings) Endings(_ context.Context, since time.Time, each func([]Ending)) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.fails {
		return errors.New("temporal is unavailable")
	}
	for _, l := range e.list { // a page for each
		if !l.ended.Before(since) && !l.from.After(time.Now()) {
			each([]Ending{l.Ending})
		}
	}
	return nil
}

// end is an end now that is listed after a time.
func (e *endings) end(id device.ID, run string, after time.Duration) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.list = append(e.list, listed{Ending{id, run}, time.Now(), time.Now().Add(after)})
}

func (e *endings) fail(fails bool) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.fails = fails
}

func TestEachEndIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mutex sync.Mutex // of got
		var got []string
		var log testlog.Lines
		server := &endings{}
		server.end("earlier", "r0", 0)
		time.Sleep(2 * endingsOverlap)
		w := &EndingWatch{Lister: server, Every: 10 * time.Second, Log: log.Logger(), Report: func(_ context.Context, ids ...device.ID) {
			mutex.Lock()
			defer mutex.Unlock()
			got = append(got, fmt.Sprint(ids))
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		want := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			mutex.Lock()
			defer mutex.Unlock()
			if !slices.Equal(got, want) {
				t.Errorf("reported %v, want %v", got, want)
			}
			got = nil
		}
		time.Sleep(5 * time.Second)
		server.end("a", "r1", 0)
		want(6*time.Second, "[a]")
		want(5 * time.Minute)
		server.end("a", "r2", 0)                 // again, after it was started again
		server.end("late", "r3", 40*time.Second) // the list trails
		want(11*time.Second, "[a]")
		want(time.Minute, "[late]")
		server.fail(true)
		server.end("b", "r4", 0)
		want(10 * time.Minute)
		if n := log.Count("cannot list"); n != 1 {
			t.Errorf("logged %d times: %s", n, log.String())
		}
		server.fail(false)
		want(11*time.Second, "[b]")
		want(10 * time.Minute)
		cancel()
		<-done
	})
}
