package bridge

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
	"devicetwin/internal/jsonsize"
	"devicetwin/internal/tlsfiles"
)

// InfluxWriter writes points to InfluxDB (1.8, 2 or 3) in the background.
//
// WritePoint may be called from any goroutine and never blocks. Points go out
// in batches, in order. A batch that could not be written is tried again, with
// growing pauses, until it is; meanwhile points wait, in a spool on disk if
// there is one (InfluxConfig.Spool), else in memory. Either is bounded in bytes,
// and of what is too much the oldest are dropped. What InfluxDB refuses for good
// is not tried again. Both are counted and logged.
//
// With a spool, every batch is put there before it is sent, so that the end of
// the process, in whatever way, costs at most the points of the last
// InfluxConfig.FlushEvery. A batch may be written more than once; as its points
// have the time that they were given, that changes nothing.
type InfluxWriter struct {
	cfg    InfluxConfig
	log    *slog.Logger
	client influxdb2.Client
	api    api.WriteAPIBlocking
	wait   func(attempt int) time.Duration
	spool  *spool // nil: there is none

	intake chan point
	closed atomic.Bool
	counts influxCounts
}

// intakePoints is how many points may wait for the collector: for some seconds
// in which the disk of the spool keeps it waiting.
const intakePoints = 32 << 10

// NewInfluxWriter prepares a writer; Run makes it work, and closes the spool.
// Metrics and log may be nil. An error is one of the configuration, or of
// reading the spool's folder.
func NewInfluxWriter(cfg InfluxConfig, metrics prometheus.Registerer, log *slog.Logger) (*InfluxWriter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("influxdb configuration: %w", err)
	}
	if log == nil {
		log = slog.Default()
	}
	w := &InfluxWriter{
		cfg:    cfg,
		log:    log.With("influxdb", cfg.URL, "bucket", cfg.Bucket),
		wait:   backoff.New(cfg.BackoffMin, cfg.BackoffMax),
		intake: make(chan point, intakePoints),
	}
	if metrics != nil {
		if err := w.counts.register(metrics); err != nil {
			return nil, err
		}
	}
	tlsConfig, err := tlsfiles.Files{CA: cfg.CAFile, Cert: cfg.CertFile, Key: cfg.KeyFile}.Load(tlsfiles.Names{Server: "influxdb"})
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsConfig
	influxlog.Log = nil // it would repeat on standard error what is reported here
	// Its own batching and repetitions are not used: both lose a failed batch.
	w.client = influxdb2.NewClientWithOptions(cfg.URL, cfg.Token, influxdb2.DefaultOptions().
		SetPrecision(time.Nanosecond).
		SetUseGZip(true).
		SetHTTPClient(&http.Client{Timeout: cfg.Timeout, Transport: transport}))
	w.api = w.client.WriteAPIBlocking(cfg.Org, cfg.Bucket)
	if cfg.Spool != "" {
		if w.spool, err = openSpool(cfg.Spool, cfg.SpoolMax, &w.counts, w.log); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// WritePoint takes a point. Values of fields may be numbers, booleans, strings
// and objects of these, which are flattened with dots; others are left out. The
// maps are read later, and must not be changed any more.
func (w *InfluxWriter) WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time) {
	p := point{measurement, tags, fields, at, 64 + len(measurement) + jsonsize.Value(fields)}
	for k, v := range tags {
		p.size += len(k) + len(v) + 2
	}
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
func (w *InfluxWriter) intakeLimit() int { return w.cfg.QueueBytes / 4 }
func (w *InfluxWriter) linesLimit() int  { return w.cfg.QueueBytes - w.intakeLimit() }

// Run writes until ctx ends, and then what is left, at most for
// InfluxConfig.CloseWithin. What is left after that stays in the spool; without
// one it counts as dropped. Run is called once.
func (w *InfluxWriter) Run(ctx context.Context) {
	defer w.client.Close()
	if w.spool != nil {
		defer w.spool.close()
	}
	newCollector(ctx, w).run(ctx)
}

// write sends one batch.
func (w *InfluxWriter) write(ctx context.Context, b batch) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	return w.api.WriteRecord(ctx, b.lines...)
}

// verdict is what an error of a write means for its batch.
type verdict int

const (
	retry   verdict = iota // try again later
	partial                // some points were refused, the others are written
	divide                 // refused as a whole, maybe because of one line
)

func judge(err error) (verdict, *influxhttp.Error) {
	var e *influxhttp.Error
	if !errors.As(err, &e) {
		return retry, nil
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestTimeout, http.StatusTooManyRequests:
		// A token, a database or a quota can be put right while points wait.
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
