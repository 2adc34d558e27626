package stack

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/influxdata/influxdb/cmd/influxd/run"
	"github.com/influxdata/influxdb/services/httpd"
	"github.com/influxdata/influxdb/services/meta"
	"github.com/influxdata/influxdb/tsdb"
	"go.uber.org/zap"
)

// Database is the InfluxDB database that the stack makes, and RetentionPolicy
// its retention policy, of Options.KeepPoints. As a bucket of the version 2
// API it is called BucketName.
const (
	Database        = "devicetwin"
	RetentionPolicy = "autogen"
	BucketName      = Database + "/" + RetentionPolicy
)

const (
	influxStartTimeout = 30 * time.Second
	influxStopTimeout  = 15 * time.Second
)

// InfluxDB is an InfluxDB 1.8 server: InfluxQL on /query, and for writing both
// /write and /api/v2/write.
type InfluxDB struct {
	server  *run.Server
	quiet   *atomic.Bool
	addr    string
	release func()
	done    chan struct{}
}

func startInfluxDB(ctx context.Context, o Options, dir string, release func()) (*InfluxDB, error) {
	server, err := run.NewServer(influxConfig(dir, hostPort(o.Host, 0), hostPort(o.Host, o.Ports.InfluxDB)),
		&run.BuildInfo{Version: "1.8.10", Branch: "devstack"})
	if err != nil {
		release()
		return nil, fmt.Errorf("configure InfluxDB: %w", err)
	}
	i := &InfluxDB{server: server, quiet: &atomic.Bool{}, release: release, done: make(chan struct{})}
	out := o.Logger.With(slog.String("part", string(PartInfluxDB)))
	server.Logger = zap.New(zapCore{out: out, quiet: i.quiet})
	go i.drainErrors(out)
	if err := i.open(ctx, o.KeepPoints); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

func (i *InfluxDB) open(ctx context.Context, keep time.Duration) error {
	if err := within(influxStartTimeout, i.server.Open); err != nil {
		return fmt.Errorf("start InfluxDB: %w", err)
	}
	for _, service := range i.server.Services {
		if h, ok := service.(*httpd.Service); ok {
			i.addr = h.BoundHTTPAddr()
		}
	}
	if _, err := i.server.MetaClient.CreateDatabase(Database); err != nil {
		return fmt.Errorf("make database %s: %w", Database, err)
	}
	shard := shardSpan(keep)
	policy := &meta.RetentionPolicyUpdate{Duration: &keep, ShardGroupDuration: &shard}
	if err := i.server.MetaClient.UpdateRetentionPolicy(Database, RetentionPolicy, policy, true); err != nil {
		return fmt.Errorf("keep points of database %s for %v: %w", Database, keep, err)
	}
	return awaitHTTP(ctx, i.URL()+"/ping", influxStartTimeout)
}

// shardSpan is the time that one shard is for, as InfluxDB chooses it for a new
// retention policy. Points leave shard by shard.
func shardSpan(keep time.Duration) time.Duration {
	const day = 24 * time.Hour
	switch {
	case keep == 0 || keep >= 180*day:
		return 7 * day
	case keep >= 2*day:
		return day
	}
	return time.Hour
}

// influxConfig switches off all that a development machine does not need: other
// protocols, statistics about itself, reports to its maker, a log of requests.
func influxConfig(dir, rpc, http string) *run.Config {
	c := run.NewConfig()
	c.ReportingDisabled = true
	c.BindAddress = rpc
	c.Meta.Dir = filepath.Join(dir, "meta")
	c.Meta.LoggingEnabled = false
	c.Data.Dir = filepath.Join(dir, "data")
	c.Data.WALDir = filepath.Join(dir, "wal")
	c.Data.QueryLogEnabled = false
	// On disk: the index in memory grows with every device ever seen.
	c.Data.Index = tsdb.TSI1IndexName
	c.Monitor.StoreEnabled = false
	c.Subscriber.Enabled = false
	c.ContinuousQuery.Enabled = false
	c.HTTPD.BindAddress = http
	c.HTTPD.LogEnabled = false
	c.HTTPD.PprofEnabled = false
	return c
}

// drainErrors reads what the services report out of band: they block until
// they are read.
func (i *InfluxDB) drainErrors(out *slog.Logger) {
	for {
		select {
		case err := <-i.server.Err():
			out.Warn("influxdb reports an error", "error", err)
		case <-i.done:
			return
		}
	}
}

// Addr is the host and port of the HTTP API.
func (i *InfluxDB) Addr() string { return i.addr }

// URL of the HTTP API.
func (i *InfluxDB) URL() string { return "http://" + i.addr }

// Close flushes and stops the server.
func (i *InfluxDB) Close() error {
	defer i.release()
	i.quiet.Store(true)
	close(i.done)
	// The listener for backups would complain about its end, past any logger.
	// It is left to the end of the process.
	i.server.Listener = nil
	return within(influxStopTimeout, i.server.Close)
}
