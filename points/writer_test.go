package points

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/internal/testlog"
)

// influxServer answers writes as a test says and keeps the lines it took.
type influxServer struct {
	*httptest.Server
	answer func(request int, lines []string) (status int, body string)

	mu       sync.Mutex
	requests int
	lines    []string
	urls     []string
	auth     string
	changed  chan struct{} // one for each request
}

func newInfluxServer(t *testing.T, answer func(int, []string) (int, string)) *influxServer {
	s := &influxServer{answer: answer, changed: make(chan struct{}, 10_000)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *influxServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = zipped
	}
	text, _ := io.ReadAll(body)
	lines := strings.Split(string(text), "\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		select {
		case s.changed <- struct{}{}:
		default: // enough are waiting
		}
	}()
	s.requests++
	s.urls = append(s.urls, r.URL.String())
	s.auth = r.Header.Get("Authorization")
	status, message := http.StatusNoContent, ""
	if s.answer != nil {
		status, message = s.answer(s.requests, lines)
	}
	if status == http.StatusNoContent {
		s.lines = append(s.lines, lines...)
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"code":"error","message":%q}`, message)
}

func (s *influxServer) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

func testConfig(url string) Config {
	c := DefaultConfig()
	c.URL = url
	c.BackoffMin, c.BackoffMax = time.Millisecond, 2*time.Millisecond
	c.FlushEvery = time.Millisecond
	return c
}

// startWriter runs a writer; the returned function stops it and waits.
func startWriter(t *testing.T, c Config, log *slog.Logger) (*Writer, func()) {
	t.Helper()
	return startDeps(t, c, Deps{Metrics: prometheus.NewRegistry(), Logger: log})
}

func startDeps(t testing.TB, c Config, deps Deps) (*Writer, func()) {
	t.Helper()
	w, err := NewWriter(c, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	return w, func() { stop(); <-ended }
}

func numbered(w *Writer, n int) {
	w.WritePoint("pump", map[string]string{"device": "d"}, map[string]any{"n": float64(n)}, time.Unix(0, int64(n)))
}

func TestInfluxWrites(t *testing.T) {
	s := newInfluxServer(t, nil)
	c := testConfig(s.URL)
	c.Token, c.Bucket, c.BatchPoints, c.FlushEvery = "user:password", "db/rp", 10, time.Hour
	w, stop := startWriter(t, c, slog.New(slog.DiscardHandler))
	for n := range 25 {
		numbered(w, n)
	}
	stop() // writes what is left
	if got := s.taken(); len(got) != 25 || got[7] != "pump,device=d n=7 7" || got[24] != "pump,device=d n=24 24" {
		t.Errorf("lines: %q", got)
	}
	if s.requests != 3 || s.urls[0] != "/api/v2/write?bucket=db%2Frp&org=&precision=ns" || s.auth != "Token user:password" {
		t.Errorf("%d requests to %s as %s", s.requests, s.urls[0], s.auth)
	}
	if st := w.counts; st.written.Load() != 25 || st.dropped.Load()+st.refused.Load() != 0 || st.waiting() != 0 || st.bytes() != 0 {
		t.Errorf("stats: %+v", st)
	}
	w.WritePoint("late", nil, map[string]any{"a": true}, time.Now())
	if st := w.counts; st.dropped.Load() != 1 || st.bytes() != 0 {
		t.Errorf("after the end: %+v", st)
	}
}

func TestInfluxIsTriedAgain(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusNotFound} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			logs := &testlog.Lines{}
			s := newInfluxServer(t, func(request int, _ []string) (int, string) {
				if request <= 5 {
					return status, "not now"
				}
				return http.StatusNoContent, ""
			})
			c := testConfig(s.URL)
			c.BatchPoints = 10
			w, stop := startWriter(t, c, logs.Logger())
			for n := range 30 {
				numbered(w, n)
			}
			for range 6 {
				<-s.changed
			}
			stop()
			got := s.taken()
			if len(got) != 30 || got[0] != "pump,device=d n=0 0" || got[29] != "pump,device=d n=29 29" {
				t.Errorf("lines: %q", got)
			}
			if st := w.counts; st.written.Load() != 30 || st.failures.Load() != 5 || st.outage.Load() {
				t.Errorf("stats: %+v", st)
			}
			if a, b := logs.Count("is not accepting points"), logs.Count("is accepting points again"); a != 1 || b != 1 {
				t.Errorf("the log says away %d times and back %d times", a, b)
			}
		})
	}
}

func TestInfluxPartialWrite(t *testing.T) {
	for name, message := range map[string]string{
		"1.8": `partial write: field type conflict: input field "n" is type float, already exists as type boolean`,
		"rp":  "partial write: points beyond retention policy",
	} {
		t.Run(name, func(t *testing.T) {
			logs := &testlog.Lines{}
			s := newInfluxServer(t, func(_ int, lines []string) (int, string) {
				bad := 0
				for _, l := range lines {
					if strings.HasSuffix(l, "3") { // 3 and 13 of the first 20
						bad++
					}
				}
				if bad > 0 {
					return http.StatusBadRequest, fmt.Sprintf("%s dropped=%d", message, bad)
				}
				return http.StatusNoContent, ""
			})
			c := testConfig(s.URL)
			c.BatchPoints, c.FlushEvery = 20, time.Hour
			w, stop := startWriter(t, c, logs.Logger())
			for n := range 40 {
				numbered(w, n)
			}
			stop()
			if st := w.counts; st.written.Load() != 36 || st.refused.Load() != 4 || st.waiting() != 0 || st.bytes() != 0 {
				t.Errorf("stats: %+v", st)
			}
			// One batch is searched, the next one is only reported.
			if logs.Count(`InfluxDB rejected a point`) != 2 || logs.Count(`point="pump,device=d n=3 3"`) != 1 ||
				logs.Count(`point="pump,device=d n=20 20"`) != 1 || logs.Count("or_among_the_next=19") != 1 {
				t.Errorf("log: %q", logs)
			}
			if logs.Count("points are lost") != 1 || logs.Count("partial write") != 2 {
				t.Errorf("log: %q", logs)
			}
			if s.requests > 8 {
				t.Errorf("%d requests", s.requests)
			}
		})
	}
}

// A search that is cut short by an outage does not hold up what comes next.
func TestInfluxPartialWriteAndOutage(t *testing.T) {
	s := newInfluxServer(t, func(request int, _ []string) (int, string) {
		switch request {
		case 1:
			return http.StatusBadRequest, "partial write: dropped=1"
		case 2, 3:
			return http.StatusServiceUnavailable, "down"
		}
		return http.StatusNoContent, ""
	})
	c := testConfig(s.URL)
	c.BatchPoints, c.FlushEvery = 10, time.Hour
	logs := &testlog.Lines{}
	w, stop := startWriter(t, c, logs.Logger())
	for n := range 20 {
		numbered(w, n)
	}
	for range 4 {
		<-s.changed
	}
	stop()
	if st := w.counts; st.written.Load() != 19 || st.refused.Load() != 1 || st.waiting() != 0 || st.bytes() != 0 {
		t.Errorf("stats: %+v", st)
	}
	if logs.Count("or_among_the_next=9") != 1 {
		t.Errorf("log: %q", logs)
	}
}

func TestInfluxFindsTheBadLine(t *testing.T) {
	bad := func(lines []string) bool {
		for _, l := range lines {
			if strings.HasSuffix(l, " 13") {
				return true
			}
		}
		return false
	}
	logs := &testlog.Lines{}
	s := newInfluxServer(t, func(_ int, lines []string) (int, string) {
		if bad(lines) {
			return http.StatusBadRequest, "unable to parse"
		}
		return http.StatusNoContent, ""
	})
	c := testConfig(s.URL)
	c.BatchPoints, c.FlushEvery = 32, time.Hour
	w, stop := startWriter(t, c, logs.Logger())
	for n := range 64 {
		numbered(w, n)
	}
	stop()
	if st := w.counts; st.written.Load() != 63 || st.refused.Load() != 1 {
		t.Errorf("stats: %+v", st)
	}
	if got := s.taken(); len(got) != 63 || got[13] != "pump,device=d n=14 14" {
		t.Errorf("order: %q", got)
	}
	if logs.Count(`point="pump,device=d n=13 13"`) != 1 {
		t.Errorf("log: %q", logs)
	}
}

func TestInfluxTooLarge(t *testing.T) {
	s := newInfluxServer(t, func(_ int, lines []string) (int, string) {
		if len(lines) > 4 {
			return http.StatusRequestEntityTooLarge, "too large"
		}
		return http.StatusNoContent, ""
	})
	c := testConfig(s.URL)
	c.BatchPoints, c.FlushEvery = 32, time.Hour
	w, stop := startWriter(t, c, slog.New(slog.DiscardHandler))
	for n := range 32 {
		numbered(w, n)
	}
	stop()
	if st := w.counts; st.written.Load() != 32 {
		t.Errorf("stats: %+v", st)
	}
}

func TestInfluxQueueIsBounded(t *testing.T) {
	logs := &testlog.Lines{}
	release := make(chan struct{})
	s := newInfluxServer(t, func(request int, _ []string) (int, string) {
		select {
		case <-release:
			return http.StatusNoContent, ""
		default:
			return http.StatusServiceUnavailable, "down"
		}
	})
	c := testConfig(s.URL)
	c.BatchPoints, c.BatchBytes, c.QueueBytes = 100, 8<<10, 32<<10
	w, stop := startWriter(t, c, logs.Logger())
	const sent = 20_000
	for n := range sent {
		numbered(w, n)
		if b := w.counts.bytes(); b > c.QueueBytes+c.BatchBytes+1000 {
			t.Fatalf("%d bytes wait", b)
		}
	}
	for range 3 {
		<-s.changed
	}
	close(release)
	stop()
	st := w.counts
	if st.dropped.Load() == 0 || st.written.Load() == 0 || st.written.Load()+st.dropped.Load() != sent || st.waiting() != 0 {
		t.Errorf("stats: %+v", st)
	}
	if got := s.taken(); uint64(len(got)) != st.written.Load() {
		t.Errorf("%d lines, %d written", len(got), st.written.Load())
	}
	if logs.Count("points are lost") == 0 {
		t.Error("the log is silent about drops")
	}
}

func TestInfluxCloseIsBounded(t *testing.T) {
	c := testConfig("http://127.0.0.1:1") // nobody listens
	c.CloseWithin = 20 * time.Millisecond
	w, stop := startWriter(t, c, slog.New(slog.DiscardHandler))
	for n := range 100 {
		numbered(w, n)
	}
	stop()
	if st := w.counts; st.dropped.Load() != 100 || st.waiting() != 0 || st.bytes() != 0 || st.failures.Load() == 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestLineProtocol(t *testing.T) {
	at := time.Unix(1, 5)
	tests := []struct {
		p    Point
		want string
	}{
		{Point{"pump", map[string]string{"model": "pump", "device": "d:1"}, map[string]any{"b": 1.5, "a": true}, at},
			`pump,device=d:1,model=pump a=true,b=1.5 1000000005`},
		{Point{"m m,x", map[string]string{"a b": "c,d=e f", "empty": "", "end": `back\`, "line": "a\nb"}, map[string]any{"x=y z": "q\"\\\nr"}, at},
			"m\\ m\\,x,a\\ b=c\\,d\\=e\\ f,end=back_,line=a_b x\\=y\\ z=\"q\\\"\\\\\nr\" 1000000005"},
		{Point{"n", nil, map[string]any{"a": map[string]any{"b": map[string]any{"c": 1.0}, "d": "x"}, "list": []any{1.0}, "null": nil}, at},
			`n a.b.c=1,a.d="x" 1000000005`},
		{Point{"n", nil, map[string]any{"i": 3, "j": int64(-4), "u": uint64(5), "top": uint64(math.MaxUint64), "d": 1500 * time.Millisecond}, at},
			`n d=1.5,i=3i,j=-4i,top=9223372036854775807i,u=5i 1000000005`},
		{Point{"n", nil, map[string]any{"nan": math.NaN(), "inf": math.Inf(1), "": 1.0}, at}, ""},
		{Point{"n", nil, nil, at}, ""},
		{Point{"n", nil, map[string]any{"big": 1e21, "small": 1e-9}, at}, `n big=1e+21,small=1e-09 1000000005`},
	}
	for _, test := range tests {
		if got, _ := test.p.Line(); got != test.want {
			t.Errorf("got      %s\nexpected %s", got, test.want)
		}
	}
	many := map[string]any{}
	for i := range 1000 {
		many[fmt.Sprint(i)] = 1.0
	}
	line, _ := Point{"n", nil, many, at}.Line()
	if n := strings.Count(line, "="); n != MaxFields {
		t.Errorf("%d fields", n)
	}
}
