package points

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
	influxlog "github.com/influxdata/influxdb-client-go/v2/log"
	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/internal/backoff"
	"devicetwin/internal/recordlog"
)

// Writer writes points to InfluxDB in the background. See the package's
// documentation for what it promises.
type Writer struct {
	cfg    Config
	log    *slog.Logger
	client influxdb2.Client
	api    api.WriteAPIBlocking
	wait   func(attempt int) time.Duration
	reader *logReader // of the log; nil: there is none

	intake  chan queued
	closed  atomic.Bool
	counts  *counts
	refused atomic.Pointer[func(Refusal)]
}

// queued is a point that waits for the collector, or a reading: with its model as
// the measurement, and its time.
type queued struct {
	Point
	device string
	object []byte // of a reading; nil: it is a point
	except []string
	size   int
}

func (q *queued) reading() Reading {
	return Reading{q.Measurement, q.device, q.object, q.except, q.Time}
}

// intakePoints is how many points may wait for the collector, which is busy with the
// log for a while.
const intakePoints = 32 << 10

// Deps is what a Writer works with. All of it may be left out.
type Deps struct {
	// Log is where points wait until InfluxDB has taken them; without it they wait in
	// memory. It is not closed by the writer, and may not be before Run has returned.
	Log *recordlog.Log
	// Readings yields those in a record of the log of another kind than KindLines. An
	// error is that the record is not what its kind says.
	Readings func(record recordlog.Record, yield func(Reading)) error
	Metrics  prometheus.Registerer
	Logger   *slog.Logger
}

// CursorName is that of the cursor with which a Writer reads the log.
const CursorName = "points"

// NewWriter prepares a writer; Run makes it work. An error is one of the
// configuration, of its TLS files, of registering metrics, or of reading how far an
// earlier process came in the log.
func NewWriter(cfg Config, deps Deps) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("influxdb configuration: %w", err)
	}
	log := deps.Logger
	if log == nil {
		log = slog.Default()
	}
	w := &Writer{
		cfg:    cfg,
		log:    log.With("influxdb", cfg.URL, "bucket", cfg.Bucket),
		wait:   backoff.New(cfg.BackoffMin, cfg.BackoffMax),
		intake: make(chan queued, intakePoints),
	}
	w.counts = newCounts(func() int { return len(w.intake) })
	if deps.Metrics != nil {
		if err := w.counts.Register(deps.Metrics); err != nil {
			return nil, err
		}
	}
	client, err := cfg.httpClient(cfg.Timeout)
	if err != nil {
		return nil, err
	}
	influxlog.Log = nil // it would write to standard error what is logged here
	// Its own batching and repetitions are not used: both lose a failed batch.
	w.client = influxdb2.NewClientWithOptions(cfg.URL, cfg.Token, influxdb2.DefaultOptions().
		SetPrecision(time.Nanosecond).
		SetUseGZip(true).
		SetHTTPClient(client))
	w.api = w.client.WriteAPIBlocking(cfg.Org, cfg.Bucket)
	if deps.Log != nil {
		err = w.readFrom(deps)
	}
	return w, err
}

// readFrom prepares to read the log.
func (w *Writer) readFrom(deps Deps) error {
	cursor, err := deps.Log.Cursor(CursorName, recordlog.Loses)
	if err != nil {
		return fmt.Errorf("read points: %w", err)
	}
	w.reader = &logReader{
		cursor: cursor, log: deps.Log, readings: deps.Readings, refuse: w.refuse, messages: w.log.With("log", deps.Log.Dir()),
		points: w.cfg.BatchPoints, bytes: w.cfg.BatchBytes, wait: w.cfg.FlushEvery,
	}
	n := cursor.Backlog()
	w.counts.backlogBytes.Store(n)
	if n > 0 {
		w.reader.messages.Info("points of an earlier run may wait in the log", "bytes", n)
	}
	return nil
}

// WritePoint is Write for callers that declare the interface they need without
// this package's types.
func (w *Writer) WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time) {
	w.Write(Point{measurement, tags, fields, at})
}

// Write takes a point. It may be called from any goroutine and never blocks: a
// point for which there is no room is dropped and counted. The maps are read
// later and must not be changed any more.
func (w *Writer) Write(point Point) { w.enqueue(queued{Point: point, size: point.size()}) }

// WriteReading takes what a device measured: see Reading. It is as Write, for callers
// that declare the interface they need without this package's types.
func (w *Writer) WriteReading(model, device string, object []byte, except []string, at time.Time) {
	r := Reading{model, device, object, except, at}
	w.enqueue(queued{Point{Measurement: model, Time: at}, device, object, except, r.size()})
}

// refuse reports something of a device that was refused.
func (w *Writer) refuse(r Refusal) {
	if report := w.refused.Load(); report != nil {
		(*report)(r)
	}
}

// OnRefused has report called for what is refused of readings, from now on: it is called
// from the goroutine of Run, and must not block.
func (w *Writer) OnRefused(report func(Refusal)) { w.refused.Store(&report) }

func (w *Writer) enqueue(p queued) {
	waiting := w.counts.intakeBytes.Add(int64(p.size))
	if !w.closed.Load() && waiting <= int64(w.intakeLimit()) {
		select {
		case w.intake <- p:
			return
		default:
		}
	}
	w.counts.intakeBytes.Add(int64(-p.size))
	w.counts.dropped.Add(1)
}

// The queue's bytes are divided between points just taken and lines in batches.
func (w *Writer) intakeLimit() int { return w.cfg.QueueBytes / 4 }
func (w *Writer) linesLimit() int  { return w.cfg.QueueBytes - w.intakeLimit() }

// Run writes until ctx ends, and then what is left, at most for
// Config.CloseWithin. What is left after that stays in the log; without one it
// counts as dropped. Run is called once.
func (w *Writer) Run(ctx context.Context) {
	defer w.client.Close()
	if w.reader != nil {
		defer w.reader.cursor.Close()
	}
	newCollector(ctx, w).run(ctx)
}

// write sends one batch.
func (w *Writer) write(ctx context.Context, b batch) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	return w.api.WriteRecord(ctx, b.lines...)
}

// consequence is what an error of a write means for its batch.
type consequence int

const (
	retry   consequence = iota // try again later
	partial                    // some points were refused, the others are written
	divide                     // refused as a whole, maybe because of one line
)

// classify says what an error of a write means, with InfluxDB's response if it is
// one.
func classify(err error) (consequence, *influxhttp.Error) {
	var e *influxhttp.Error
	if !errors.As(err, &e) {
		return retry, nil
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestTimeout, http.StatusTooManyRequests:
		// A token, a database or a quota can be fixed while points wait.
		return retry, e
	case http.StatusRequestEntityTooLarge:
		return divide, e
	}
	if e.StatusCode < 400 || e.StatusCode >= 500 {
		return retry, e
	}
	if strings.Contains(e.Message, "partial write") || strings.Contains(e.Message, "beyond retention policy") {
		return partial, e
	}
	return divide, e
}
