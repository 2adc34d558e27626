package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

// connection is a reader of a stream whose network can get stuck.
type connection struct {
	mu       sync.Mutex
	out      bytes.Buffer
	status   int
	header   http.Header
	deadline time.Time
	stuck    bool
	cancel   context.CancelFunc
	done     chan struct{}
}

func (c *connection) Header() http.Header { return c.header }
func (c *connection) WriteHeader(s int)   { c.status = s }
func (c *connection) FlushError() error   { return nil }
func (c *connection) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}

func (c *connection) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stuck {
		time.Sleep(time.Until(c.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	return c.out.Write(p)
}

// text is what was received since the last time, without the ids' random part.
func (c *connection) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.out.Reset()
	return c.out.String()
}

func (c *connection) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// hub is an API in a synctest bubble.
type hub struct {
	t     *testing.T
	api   *api.Server
	fleet *counting
	log   log
}

// counting counts the looks at devices.
type counting struct {
	*apitest.Backend
	mu    sync.Mutex
	looks int
}

func (c *counting) Device(ctx context.Context, id device.ID) (api.Device, error) {
	c.mu.Lock()
	c.looks++
	c.mu.Unlock()
	return c.Backend.Device(ctx, id)
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks
}

func newHub(t *testing.T, change ...func(*api.Options)) *hub {
	t.Helper()
	h := &hub{t: t, fleet: &counting{Backend: apitest.Fleet()}}
	o := api.DefaultOptions()
	o.Backend, o.Audit = h.fleet, slog.New(slog.DiscardHandler)
	o.Log = slog.New(slog.NewTextHandler(&h.log, nil))
	for _, c := range change {
		c(&o)
	}
	var err error
	if h.api, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	return h
}

// open opens a stream, and waits until it stands still.
func (h *hub) open(device, after string) *connection {
	ctx, cancel := context.WithCancel(h.t.Context())
	r := httptest.NewRequest("GET", "/v1/devices/"+device+"/stream", nil).WithContext(ctx)
	r.Host = "localhost"
	r.Header.Set("Last-Event-ID", after)
	c := &connection{header: http.Header{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		h.api.ServeHTTP(c, r)
	}()
	synctest.Wait()
	return c
}

// tick lets so much time pass.
func tick(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (h *hub) expect(c *connection, want ...string) string {
	h.t.Helper()
	got := c.text()
	rest := got
	for _, w := range want {
		i := strings.Index(rest, w)
		if i < 0 {
			h.t.Fatalf("the stream lacks %s, in this order, in\n%s", w, got)
		}
		rest = rest[i+len(w):]
	}
	if n := strings.Count(got, "event: "); n != len(want) {
		h.t.Errorf("%d events, want %d:\n%s", n, len(want), got)
	}
	return got
}

func lastID(text string) string {
	i := strings.LastIndex(text, "id: ")
	id, _, _ := strings.Cut(text[i+len("id: "):], "\n")
	return id
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.api.Close()
		c := h.open("pump-1", "")
		h.expect(c, "event: snapshot\ndata: {\"id\":\"pump-1\"")
		if c.status != 200 || c.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("status %d, %v", c.status, c.header)
		}
		by := device.By{Who: "ops"}
		step := func(op string) device.By { by.ID = op; return by }
		_, _ = h.fleet.SendEvent(t.Context(), "pump-1", step("1"), "maintenance", nil)
		_, _ = h.fleet.SendEvent(t.Context(), "pump-1", step("2"), "online", nil)
		_, _ = h.fleet.SendCommand(t.Context(), "pump-1", step("3"), api.NewCommand{Name: "reboot"})
		_, _ = h.fleet.Desire(t.Context(), "pump-1", step("4"), api.DesiredChange{Patch: api.Object(`{"a":1}`)})
		_, _ = h.fleet.Desire(t.Context(), "pump-1", step("5"), api.DesiredChange{Shadow: "net", Patch: api.Object(`{"b":1}`)})
		_ = h.fleet.SetTags(t.Context(), "pump-1", step("6"), map[string]string{"hall": "9"})
		h.fleet.Change("pump-1", func(d *api.Device) { d.Connection = device.Offline })
		tick(time.Second)
		h.expect(c,
			"event: state\ndata: {\"state\":\"maintenance\",\"transition\":{",
			"event: state\ndata: {\"state\":\"online\",\"transition\":{", // though the state is the one it was
			"event: connection\ndata: {\"connection\":\"offline\"}",
			"event: twin\ndata: {\"version\":8,",
			"event: twin\ndata: {\"shadow\":\"net\",\"version\":1,",
			"event: command\ndata: {\"id\":\"c1\",\"name\":\"reboot\",\"status\":\"waiting\"",
			"event: tags\ndata: {\"hall\":\"9\"}")
		_, _ = h.fleet.CancelCommand(t.Context(), "pump-1", step("7"), "c1")
		tick(time.Second)
		h.expect(c, "\"status\":\"cancelled\"")
		tick(15 * time.Second)
		if got := c.text(); got != ": still here\n\n" {
			t.Errorf("a quiet stream: %q", got)
		}
		_ = h.fleet.Delete(t.Context(), "pump-1", step("8"))
		tick(time.Second)
		h.expect(c, "event: gone", "event: end\ndata: {\"detail\":\"the device is gone\"}")
		if !c.over() {
			t.Error("the stream of a device that is gone goes on")
		}
	})
}

// However many read, a device is polled once per second, and not for long after
// the last has left.
func TestReadersShareAPoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.api.Close()
		var all []*connection
		for range 20 {
			all = append(all, h.open("pump-1", ""))
		}
		before := h.fleet.count()
		tick(10 * time.Second)
		if n := h.fleet.count() - before; n != 10 || before != 1 {
			t.Errorf("%d looks at the beginning, %d in 10 seconds", before, n)
		}
		for _, c := range all {
			c.cancel()
		}
		tick(time.Minute)
		before = h.fleet.count()
		tick(time.Minute)
		if n := h.fleet.count() - before; n != 0 {
			t.Errorf("%d looks though nobody reads", n)
		}
		if !all[0].over() {
			t.Error("a stream outlives its reader")
		}
	})
}

func TestLastEventID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.api.Close()
		c := h.open("pump-1", "")
		id := lastID(h.expect(c, "event: snapshot"))
		c.cancel()
		synctest.Wait()
		_, _ = h.fleet.SendEvent(t.Context(), "pump-1", device.By{ID: "1"}, "maintenance", nil)
		tick(2 * time.Second)
		again := h.open("pump-1", id)
		next := lastID(h.expect(again, `"state":"maintenance"`)) // no snapshot: nothing was missed
		if next == id {
			t.Error("ids repeat")
		}
		h.expect(h.open("pump-1", next)) // nothing new
		for _, unknown := range []string{"x-1", next + "9", id + "x"} {
			h.expect(h.open("pump-1", unknown), "event: snapshot")
		}
		// More than is kept: the whole again.
		for n := range 300 {
			_, _ = h.fleet.SendEvent(t.Context(), "pump-1", device.By{ID: fmt.Sprint("n", n)}, fmt.Sprint("s", n), nil)
			tick(time.Second)
		}
		h.expect(h.open("pump-1", id), "event: snapshot")
	})
}

func TestStreamWhileTemporalIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.api.Close()
		c := h.open("pump-1", "")
		c.text()
		h.fleet.Fail(device.ErrUnavailable)
		tick(10 * time.Second)
		h.expect(c, "event: problem\ndata: {\"detail\":\"the devices can't be reached now\"}") // once
		h.fleet.Fail(nil)
		_, _ = h.fleet.SendEvent(t.Context(), "pump-1", device.By{ID: "1"}, "maintenance", nil)
		tick(time.Second)
		h.expect(c, `"state":"maintenance"`)
	})
}

func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, func(o *api.Options) { o.Stream.WriteTimeout = time.Hour })
		defer h.api.Close()
		slow, quick := h.open("pump-1", ""), h.open("pump-1", "")
		slow.mu.Lock()
		slow.stuck = true
		slow.mu.Unlock()
		for n := range 100 {
			_, _ = h.fleet.SendEvent(t.Context(), "pump-1", device.By{ID: fmt.Sprint(n)}, fmt.Sprint("s", n), nil)
			tick(time.Second)
		}
		if n := strings.Count(quick.text(), "event: state"); n != 100 || quick.over() {
			t.Errorf("another reader got %d of 100 events", n)
		}
		if l := h.log.String(); !strings.Contains(l, "its reader is too slow") {
			t.Errorf("nothing was said of the slow reader:\n%s", l)
		}
		tick(2 * time.Hour)
		if !slow.over() {
			t.Error("the slow reader's stream goes on")
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, func(o *api.Options) { o.Stream.Most = 2 })
		first := h.open("pump-1", "")
		h.open("pump-2", "")
		if c := h.open("pump-1", ""); c.status != 429 || !c.over() {
			t.Errorf("a third stream: status %d", c.status)
		}
		if c := h.open("nobody", ""); c.status != 429 {
			t.Errorf("a third stream of nobody: status %d", c.status)
		}
		first.cancel()
		synctest.Wait()
		if c := h.open("nobody", ""); c.status != 404 {
			t.Errorf("a stream of an unknown device: status %d", c.status)
		}
		last := h.open("pump-1", "")
		h.expect(last, "event: snapshot")
		h.api.Close()
		synctest.Wait()
		h.expect(last, "event: end\ndata: {\"detail\":\"the service is shutting down\"}")
		if !last.over() {
			t.Error("a stream outlives the service")
		}
		if c := h.open("pump-1", ""); c.status != 503 {
			t.Errorf("a stream after the end: status %d", c.status)
		}
	})
}

// Over a real connection: events arrive as they happen.
func TestStreamOverHTTP(t *testing.T) {
	s := start(t, func(o *api.Options) { o.Stream.Interval = time.Millisecond })
	response, err := http.Get(s.URL + "/v1/devices/pump-1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				return event
			}
		}
		return "none"
	}
	if e := next(); e != "snapshot" {
		t.Fatalf("first event %s", e)
	}
	s.call("POST", "/v1/devices/pump-1/events", `{"name":"maintenance"}`).check(t, 200)
	if e := next(); e != "state" {
		t.Errorf("event %s, want state", e)
	}
	s.api.Close()
	if e := next(); e != "end" {
		t.Errorf("event %s, want end", e)
	}
}
