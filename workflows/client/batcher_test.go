package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// While one update of a device is under way, those who come join the next; each
// gets the answer to its own operation.
func TestTheBatcherGathersCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []int
		var running atomic.Int32
		d := newBatcher(func(_ context.Context, _ device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
			if running.Add(1) > 1 {
				t.Error("two updates of one device at a time")
			}
			defer running.Add(-1)
			batches = append(batches, len(list))
			time.Sleep(time.Second)
			var results []deviceworkflow.OperationResult
			for _, op := range list {
				results = append(results, deviceworkflow.OperationResult{Desired: &deviceworkflow.Desired{Changed: []string{op.ID}}})
			}
			return results, nil
		})
		var all sync.WaitGroup
		for i := range 250 {
			all.Go(func() {
				time.Sleep(time.Duration(min(i, 1)) * time.Millisecond) // the first comes alone
				id := fmt.Sprint(i)
				r, err := d.do(t.Context(), "p", deviceworkflow.Operation{ID: id}, 10)
				if err != nil || r.Desired.Changed[0] != id {
					t.Errorf("caller %s got %+v, %v", id, r, err)
				}
			})
		}
		all.Wait()
		if want := "[1 100 100 49]"; fmt.Sprint(batches) != want {
			t.Errorf("batches %v, want %s", batches, want)
		}
		synctest.Wait()
		if len(d.lines) != 0 {
			t.Errorf("%d lines are left", len(d.lines))
		}
	})
}

func TestTheBatcherBoundsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []int
		d := newBatcher(func(_ context.Context, _ device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
			batches = append(batches, len(list))
			time.Sleep(time.Second)
			return make([]deviceworkflow.OperationResult, len(list)), nil
		})
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				time.Sleep(time.Duration(min(i, 1)) * time.Millisecond)
				if _, err := d.do(t.Context(), "p", deviceworkflow.Operation{}, batchBytes/2); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if fmt.Sprint(batches) != "[1 2 2 1]" {
			t.Errorf("batches %v", batches)
		}
	})
}

// A caller that goes before its turn is not sent, and does not keep the others;
// an update that nobody waits for any more ends.
func TestCallersMayGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		var ended error
		d := newBatcher(func(ctx context.Context, _ device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
			for _, op := range list {
				sent = append(sent, op.ID)
			}
			select {
			case <-ctx.Done():
				ended = ctx.Err()
				return nil, ctx.Err()
			case <-time.After(time.Minute):
				return make([]deviceworkflow.OperationResult, len(list)), nil
			}
		})
		var all sync.WaitGroup
		ask := func(id string, after, patience time.Duration, want error) {
			all.Go(func() {
				time.Sleep(after)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := d.do(ctx, "p", deviceworkflow.Operation{ID: id}, 1); !errors.Is(err, want) {
					t.Errorf("caller %s: %v, want %v", id, err, want)
				}
			})
		}
		ask("first", 0, 10*time.Second, device.ErrUnavailable)
		ask("gone", time.Second, 2*time.Second, device.ErrUnavailable)
		ask("stays", time.Second, time.Hour, nil)
		all.Wait()
		if fmt.Sprint(sent) != "[first stays]" || !errors.Is(ended, context.Canceled) {
			t.Errorf("sent %v, the first update ended with %v", sent, ended)
		}
	})
}

func TestTheBatcherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := newBatcher(func(_ context.Context, _ device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
			<-release
			return make([]deviceworkflow.OperationResult, len(list)), nil
		})
		var refused atomic.Int32
		for range mostWaiting + 2 {
			go func() {
				var r *device.Refused
				if _, err := d.do(t.Context(), "p", deviceworkflow.Operation{}, 1); errors.As(err, &r) && r.Code == 429 {
					refused.Add(1)
				}
			}()
			synctest.Wait()
		}
		if refused.Load() != 1 {
			t.Errorf("%d are refused, want 1: one is under way and %d wait", refused.Load(), mostWaiting)
		}
		close(release)
	})
}

func TestErrorsHaveNames(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want error
	}{
		{serviceerror.NewNotFound("workflow not found"), device.ErrUnknown},
		{serviceerror.NewUnavailable("away"), device.ErrUnavailable},
		{serviceerror.NewDeadlineExceeded("slow"), device.ErrUnavailable},
		{context.DeadlineExceeded, device.ErrUnavailable},
		{serviceerror.NewResourceExhausted(0, "much"), device.ErrUnavailable},
	} {
		if err := availability(tt.err); !errors.Is(err, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%v became %v, want %v", tt.err, err, tt.want)
		}
	}
	if availability(nil) != nil {
		t.Error("no error became one")
	}
}

// A server gives an update back each time that the end of a run fails.
func TestARequestWaitsForTheWorkflow(t *testing.T) {
	busy := serviceerror.NewWorkflowNotReady("task failed")
	for _, tt := range []struct {
		name     string
		err      error
		failures int // before it works; below 0: it never does
		want     error
		tries    int
		took     time.Duration
	}{
		{"a run that fails to end ten times", busy, 10, nil, 11, 5260 * time.Millisecond},
		{"between two runs", runEndedError{serviceerror.NewNotFound("workflow execution already completed")}, 1, nil, 2, 20 * time.Millisecond},
		{"a workflow that never can", busy, -1, busy, 35, 30 * time.Second},
		{"any other fault", serviceerror.NewUnavailable("away"), -1, serviceerror.NewUnavailable("away"), 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries, start := 0, time.Now()
			err := whileNotReady(t.Context(), updatePatience, func() error {
				tries++
				if tries == tt.failures+1 {
					return nil
				}
				return tt.err
			})
			if fmt.Sprint(err) != fmt.Sprint(tt.want) || tries != tt.tries || time.Since(start) != tt.took {
				t.Errorf("%s: %v after %d tries and %v, want %v after %d and %v", tt.name, err, tries, time.Since(start), tt.want, tt.tries, tt.took)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	if got := Quote("o'hara' OR 'a'='a"); got != "'o''hara'' OR ''a''=''a'" {
		t.Error(got)
	}
}

// A client that is closed ends what it is doing, and takes nothing more.
func TestCloseEndsTheBatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBatcher(func(ctx context.Context, _ device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		var faults [3]error
		var all sync.WaitGroup
		for i := range faults {
			all.Go(func() { _, faults[i] = b.do(t.Context(), "p", deviceworkflow.Operation{}, 1) })
			synctest.Wait()
		}
		b.close()
		all.Wait()
		for i, err := range faults {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("caller %d: %v, want the end of its request", i, err)
			}
		}
		if _, err := b.do(t.Context(), "p", deviceworkflow.Operation{}, 1); !errors.Is(err, device.ErrUnavailable) {
			t.Errorf("after the end: %v, want %v", err, device.ErrUnavailable)
		}
	})
}
