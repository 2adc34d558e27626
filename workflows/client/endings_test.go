package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	temporalclient "go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"devicetwin/device"
	"devicetwin/internal/testlog"
	deviceworkflow "devicetwin/workflows/device"
)

// endings are the ends that a server knows, by when they are listed.
type endings struct {
	mutex sync.Mutex
	list  []listed
	fails bool

	kept    time.Duration // 0: a day
	keptErr error
	asked   int           // for it
	slow    time.Duration // each page takes it
}

type listed struct {
	Ending
	ended, from time.Time // it is in lists from then on
}

func (e *endings) Endings(ctx context.Context, since time.Time, each func([]Ending)) error {
	e.mutex.Lock()
	list, fails, slow := slices.Clone(e.list), e.fails, e.slow
	e.mutex.Unlock()
	if fails {
		return errors.New("temporal is unavailable")
	}
	for _, l := range list { // a page for each
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
		if !l.ended.Before(since) && !l.from.After(time.Now()) {
			each([]Ending{l.Ending})
		}
	}
	return nil
}

func (e *endings) EndingsKept(context.Context) (time.Duration, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.asked++
	return cmp.Or(e.kept, 24*time.Hour), e.keptErr
}

// end is an end now that is listed after a time.
func (e *endings) end(id device.ID, run string, after time.Duration) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.list = append(e.list, listed{Ending{Device: id, Run: run, At: time.Now()}, time.Now(), time.Now().Add(after)})
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

// watching is an EndingWatch, and what it told.
type watching struct {
	*EndingWatch
	mutex sync.Mutex
	got   []string
	gaps  int
	until time.Time // of the last Done
	log   testlog.Lines
	stop  func()
}

// watch starts one, as a process that begins now does.
func watch(t *testing.T, server EndingLister, since time.Time) *watching {
	t.Helper()
	w := &watching{}
	locked := func(f func()) {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		f()
	}
	w.EndingWatch = &EndingWatch{
		Lister: server, Every: 10 * time.Second, Since: since, Log: w.log.Logger(),
		Report: func(_ context.Context, ids ...device.ID) { locked(func() { w.got = append(w.got, fmt.Sprint(ids)) }) },
		Gap:    func(context.Context) { locked(func() { w.gaps++ }) },
		Done:   func(until time.Time) { locked(func() { w.until = until }) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	w.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(w.stop)
	synctest.Wait()
	return w
}

func (w *watching) told() (got []string, gaps int, until time.Time) {
	synctest.Wait()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	got, w.got = w.got, nil
	return got, w.gaps, w.until
}

func TestEndsWhileNobodyWatchedAreReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &endings{}
		server.end("long before", "r0", 0)
		time.Sleep(5 * time.Minute)
		since := time.Now()
		time.Sleep(3 * time.Minute)
		server.end("meanwhile", "r1", 0)
		time.Sleep(2 * time.Minute)
		w := watch(t, server, since)
		if got, gaps, until := w.told(); fmt.Sprint(got) != "[[meanwhile]]" || gaps != 0 || !until.Equal(time.Now()) {
			t.Errorf("reported %v, %d gaps, until %v at %v", got, gaps, until, time.Now())
		}
		time.Sleep(15 * time.Second)
		if got, _, until := w.told(); len(got) != 0 || !until.Equal(time.Now().Add(-5*time.Second)) {
			t.Errorf("reported %v, until %v at %v", got, until, time.Now())
		}
		if server.asked != 0 {
			t.Error("the retention was asked for")
		}
	})
}

// TestEndsAreReportedOverRestarts: processes that begin where the one before says that it
// got to report every end, whenever they end and whatever fails.
func TestEndsAreReportedOverRestarts(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			pause := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
			server := &endings{}
			reported, ended := map[string]bool{}, 0
			since := time.Now()
			end := func() {
				for range random.IntN(3) {
					server.end(device.ID(fmt.Sprint("d", ended)), fmt.Sprint("r", ended), time.Duration(random.Int64N(int64(endingsOverlap))))
					ended++
				}
			}
			for range 30 {
				server.fail(random.IntN(3) == 0)
				w := watch(t, server, since)
				for range random.IntN(4) {
					pause(30 * time.Second)
					end()
					server.fail(random.IntN(3) == 0)
				}
				w.stop()
				got, gaps, until := w.told()
				if gaps != 0 {
					t.Fatalf("a gap: %s", w.log.String())
				}
				if !until.IsZero() {
					since = until
				}
				for _, id := range got {
					reported[id] = true
				}
				pause(2 * time.Minute)
				end()
			}
			server.fail(false)
			time.Sleep(endingsOverlap)
			w := watch(t, server, since)
			got, _, _ := w.told()
			for _, id := range got {
				reported[id] = true
			}
			if len(reported) != ended || ended == 0 {
				t.Errorf("seed %d: %d devices of %d were reported", seed, len(reported), ended)
			}
		})
	}
}

// TestGapOfEndings says when it is not sure that the list reaches far enough back.
func TestGapOfEndings(t *testing.T) {
	for name, tc := range map[string]struct {
		age  time.Duration // of Since
		kept time.Duration
		err  error
		gaps int
		asks bool
	}{
		"just now":                         {age: time.Minute},
		"never asked for":                  {age: 28 * time.Minute, kept: time.Second},
		"well kept":                        {age: 20 * time.Hour, asks: true},
		"about as long":                    {age: 24*time.Hour - endingsOverlap, asks: true, gaps: 1},
		"longer":                           {age: 30 * time.Hour, asks: true, gaps: 1},
		"a short retention":                {age: 2 * time.Hour, kept: time.Hour, asks: true, gaps: 1},
		"it may not be asked for":          {age: 2 * time.Hour, err: errors.New("permission denied"), asks: true, gaps: 1},
		"unavailable, but recent":          {age: time.Minute, err: device.ErrUnavailable},
		"the clock was ahead":              {age: -time.Hour, gaps: 1},
		"the clock was ahead for a little": {age: -endingsOverlap / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &endings{kept: tc.kept, keptErr: tc.err}
				since := time.Now()
				if tc.age > 0 {
					time.Sleep(tc.age)
				} else {
					since = since.Add(-tc.age)
				}
				server.end("a", "r1", 0)
				w := watch(t, server, since)
				got, gaps, until := w.told()
				if gaps != tc.gaps || (server.asked > 0) != tc.asks || !until.Equal(time.Now()) || w.log.Count("not be listed any more") != gaps {
					t.Errorf("%d gaps, the retention was asked for %d times, until %v: %s", gaps, server.asked, until, w.log.String())
				}
				if fmt.Sprint(got) != "[[a]]" {
					t.Errorf("reported %v", got)
				}
				time.Sleep(time.Minute)
				server.end("b", "r2", 0)
				time.Sleep(time.Hour)
				if got, gaps, _ := w.told(); fmt.Sprint(got) != "[[b]]" || gaps != tc.gaps {
					t.Errorf("then reported %v, %d gaps", got, gaps)
				}
			})
		})
	}
}

// TestRetentionIsAskedForAgain: while Temporal is unavailable, nobody knows whether there
// is a gap. A watch that cannot list for longer than ends are kept has one, too.
func TestRetentionIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &endings{keptErr: fmt.Errorf("asked: %w", device.ErrUnavailable)}
		server.fail(true)
		since := time.Now()
		time.Sleep(2 * time.Hour)
		w := watch(t, server, since)
		time.Sleep(time.Minute)
		if got, gaps, until := w.told(); len(got) != 0 || gaps != 0 || !until.IsZero() || w.log.Count("cannot list") != 1 {
			t.Errorf("reported %v, %d gaps, until %v: %s", got, gaps, until, w.log.String())
		}
		server.mutex.Lock()
		server.keptErr = nil
		server.mutex.Unlock()
		server.end("a", "r1", 0)
		server.fail(false)
		time.Sleep(10 * time.Second)
		if got, gaps, until := w.told(); fmt.Sprint(got) != "[[a]]" || gaps != 0 || until.IsZero() {
			t.Errorf("reported %v, %d gaps, until %v", got, gaps, until)
		}
		server.fail(true)
		time.Sleep(30 * time.Hour)
		if _, gaps, until := w.told(); gaps != 1 || time.Since(until) < 29*time.Hour {
			t.Errorf("%d gaps, until %v", gaps, until)
		}
	})
}

// TestLongListOfEndings: a list may take long, its pages may not.
func TestLongListOfEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &endings{slow: endingsTimeout - time.Second}
		since := time.Now()
		for i := range 10 {
			server.end(device.ID(fmt.Sprint(i)), fmt.Sprint("r", i), 0)
		}
		began := time.Now()
		w := watch(t, server, since)
		time.Sleep(10 * endingsTimeout)
		if got, _, until := w.told(); len(got) != 10 || until.IsZero() {
			t.Errorf("reported %v, until %v", got, until)
		}
		w.stop()
		server.slow = endingsTimeout + time.Second
		w = watch(t, server, began)
		time.Sleep(time.Hour)
		if _, _, until := w.told(); !until.IsZero() || w.log.Count("no page within 30s") != 1 {
			t.Errorf("until %v: %s", until, w.log.String())
		}
	})
}

// TestReportOfEndsThatIsCutOff is repeated: it may not have reached anybody.
func TestReportOfEndsThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &endings{}
		since := time.Now()
		server.end("a", "r1", 0)
		var calls, done atomic.Int64
		var stuck atomic.Bool
		stuck.Store(true)
		w := &EndingWatch{Lister: server, Every: 10 * time.Second, Since: since, Log: slog.New(slog.DiscardHandler),
			Done: func(time.Time) { done.Add(1) },
			Report: func(ctx context.Context, _ ...device.ID) {
				if calls.Add(1); stuck.Load() {
					<-ctx.Done()
				}
			}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { w.Run(ctx); close(ended) }()
		time.Sleep(endingsTimeout + time.Second)
		synctest.Wait()
		if done.Load() != 0 {
			t.Error("a list counts although its report was cut off")
		}
		stuck.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls.Load() < 2 || done.Load() == 0 {
			t.Errorf("%d reports, %d complete lists", calls.Load(), done.Load())
		}
		cancel()
		<-ended
	})
}

// retaining is a Temporal that knows its namespace's retention.
type retaining struct {
	temporalclient.Client
	service retainingService
}

type retainingService struct {
	workflowservice.WorkflowServiceClient
	kept  *durationpb.Duration
	err   error
	asked string
}

func (r *retaining) WorkflowService() workflowservice.WorkflowServiceClient { return &r.service }

func (r *retainingService) DescribeNamespace(_ context.Context, q *workflowservice.DescribeNamespaceRequest, _ ...grpc.CallOption) (*workflowservice.DescribeNamespaceResponse, error) {
	r.asked = q.GetNamespace()
	return &workflowservice.DescribeNamespaceResponse{Config: &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: r.kept}}, r.err
}

func TestEndingsKept(t *testing.T) {
	cluster := &retaining{service: retainingService{kept: durationpb.New(72 * time.Hour)}}
	c, temporal := New(cluster, "fleet", "q", ""), &cluster.service
	defer c.Close()
	if kept, err := c.EndingsKept(t.Context()); kept != 72*time.Hour || err != nil || temporal.asked != "fleet" {
		t.Errorf("%v of %q, %v", kept, temporal.asked, err)
	}
	temporal.err = serviceerror.NewUnavailable("down")
	if _, err := c.EndingsKept(t.Context()); !errors.Is(err, device.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	temporal.err, temporal.kept = nil, nil
	if kept, err := c.EndingsKept(t.Context()); kept != 0 || err != nil {
		t.Errorf("%v, %v", kept, err)
	}
}

// TestDevicesAreErased: those that were deleted with their data are reported until that
// was of effect, each once.
func TestDevicesAreErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &endings{}
		since := time.Now()
		server.end("kept", "r1", 0)
		server.list = append(server.list, listed{Ending{Device: "a", Run: "r2", At: since, Erase: true}, since, since})
		var mutex sync.Mutex
		var got []Ending
		fails, done := true, 0
		w := &EndingWatch{Lister: server, Every: 10 * time.Second, Since: since, Log: slog.New(slog.DiscardHandler),
			Done: func(time.Time) {
				mutex.Lock()
				defer mutex.Unlock()
				done++
			},
			Erase: func(_ context.Context, ended ...Ending) error {
				mutex.Lock()
				defer mutex.Unlock()
				got = append(got, ended...)
				if fails {
					return errors.New("the disk is full")
				}
				return nil
			}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { w.Run(ctx); close(ended) }()
		time.Sleep(25 * time.Second)
		synctest.Wait()
		mutex.Lock()
		if len(got) != 3 || done != 0 {
			t.Errorf("%d reports while they fail, %d complete lists; want 3 and none", len(got), done)
		}
		fails = false
		mutex.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		mutex.Lock()
		if want := (Ending{Device: "a", Run: "r2", At: since, Erase: true}); len(got) != 4 || got[3] != want || done == 0 {
			t.Errorf("%d reports, the last one %+v, %d complete lists; want 4, %+v", len(got), got[len(got)-1], done, want)
		}
		mutex.Unlock()
		cancel()
		<-ended
	})
}

// TestWarningsSayWhatFollows: a worker signals nothing, but may leave data that were to be
// erased.
func TestWarningsSayWhatFollows(t *testing.T) {
	for name, tc := range map[string]struct {
		report    func(context.Context, ...device.ID)
		late, gap string
	}{
		"for a bridge": {func(context.Context, ...device.ID) {}, "those that go on sending are signalled later", "the next message of each device is signalled"},
		"for erasing":  {nil, "data that are to be erased with them are erased later", "data that were to be erased with them stay"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, log := &endings{}, &testlog.Lines{}
				server.fail(true)
				w := &EndingWatch{Lister: server, Every: 10 * time.Second, Since: time.Unix(0, 0), Report: tc.report, Log: log.Logger()}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				w.Run(ctx)
				if log.Count("cannot list the devices that were deleted; "+tc.late) != 1 || log.Count("may not be listed any more; "+tc.gap) != 1 {
					t.Errorf("logged %s", log.String())
				}
			})
		})
	}
}

// listing is a Temporal that lists ended workflows.
type listing struct {
	temporalclient.Client
	found []*workflowpb.WorkflowExecutionInfo
}

func (l *listing) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: l.found}, nil
}

// TestEndingsShowWhatToErase by the memo of the workflow, whatever it holds: payloads may be
// encrypted.
func TestEndingsShowWhatToErase(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	info := func(id string, memo *commonpb.Memo) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: deviceworkflow.WorkflowID(device.ID(id)), RunId: "of " + id}, CloseTime: timestamppb.New(at), Memo: memo,
		}
	}
	marked := &commonpb.Memo{Fields: map[string]*commonpb.Payload{deviceworkflow.MemoErase: {Data: []byte("sealed")}}}
	c := New(&listing{found: []*workflowpb.WorkflowExecutionInfo{info("a", nil), info("b", marked)}}, "fleet", "q", "")
	defer c.Close()
	var got []Ending
	if err := c.Endings(t.Context(), at, func(page []Ending) { got = append(got, page...) }); err != nil {
		t.Fatal(err)
	}
	if want := []Ending{{"a", "of a", at, false}, {"b", "of b", at, true}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
