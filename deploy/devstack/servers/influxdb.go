package servers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
)

// What Setup makes. Database and policy are those of the stack's InfluxDB 1.8, so that
// queries are the same.
const (
	InfluxOrg    = "devicetwin"
	InfluxBucket = "devicetwin"

	adminToken = "admin-token-of-a-test"
)

// InfluxDB is an InfluxDB 2, as deploy/compose.yaml runs it.
type InfluxDB struct {
	*process.Process
	// Token may do everything.
	Token string
	// WriteToken may only write to the bucket, as that of bridge and worker may.
	WriteToken string

	address                 string
	org, bucket, writeGrant string // ids
}

// FindInfluxDB is the path of the program. The error is a *NotInstalledError if it is
// not installed.
func FindInfluxDB() (string, error) { return Find("influxdb", "influxd") }

// NewInfluxDB prepares an InfluxDB that listens at a port of process.Host and keeps its
// data in a folder; its log is in the folder dir. The error is a *NotInstalledError
// if it is not installed.
func NewInfluxDB(dir, name, data, port string) (*InfluxDB, error) {
	program, err := FindInfluxDB()
	if err != nil {
		return nil, err
	}
	i := &InfluxDB{Token: adminToken, address: net.JoinHostPort(process.Host, port)}
	ready := func(ctx context.Context, _ *process.Process) error {
		_, err := process.Get(ctx, i.URL()+"/ready")
		return err
	}
	i.Process = process.New(dir, name, ready, func() *exec.Cmd {
		return exec.Command(program, "--http-bind-address", i.address, "--bolt-path", filepath.Join(data, "influxd.bolt"),
			"--sqlite-path", filepath.Join(data, "influxd.sqlite"), "--engine-path", filepath.Join(data, "engine"),
			"--reporting-disabled", "--ui-disabled", "--log-level", "warn")
	})
	return i, nil
}

// Stop ends it gracefully: SIGTERM, which Process.Stop sends, InfluxDB 2 does not handle.
func (i *InfluxDB) Stop() error { return i.StopBy(os.Interrupt) }

// URL of the HTTP API.
func (i *InfluxDB) URL() string { return "http://" + i.address }

// Setup makes organization, bucket, tokens and the name of the bucket for InfluxQL, once
// in the life of the data. Points are kept for a time, 0 is forever.
func (i *InfluxDB) Setup(ctx context.Context, keep time.Duration) error {
	var made struct{ Org, Bucket struct{ ID string } }
	err := i.ask(ctx, http.MethodPost, "/api/v2/setup", map[string]any{
		"username": "admin", "password": "password-of-a-test", "token": i.Token,
		"org": InfluxOrg, "bucket": InfluxBucket, "retentionPeriodSeconds": int(keep.Seconds()),
	}, &made)
	if err != nil {
		return fmt.Errorf("set up InfluxDB: %w", err)
	}
	i.org, i.bucket = made.Org.ID, made.Bucket.ID
	err = i.ask(ctx, http.MethodPost, "/api/v2/dbrps", map[string]any{
		"orgID": i.org, "bucketID": i.bucket, "database": stack.Database, "retention_policy": stack.RetentionPolicy, "default": true,
	}, nil)
	if err != nil {
		return fmt.Errorf("name the bucket for InfluxQL: %w", err)
	}
	var grant struct{ ID, Token string }
	err = i.ask(ctx, http.MethodPost, "/api/v2/authorizations", map[string]any{
		"orgID": i.org, "description": "bridge and worker",
		"permissions": []any{map[string]any{"action": "write", "resource": map[string]any{"type": "buckets", "id": i.bucket, "orgID": i.org}}},
	}, &grant)
	if err != nil {
		return fmt.Errorf("make the token for writing: %w", err)
	}
	i.writeGrant, i.WriteToken = grant.ID, grant.Token
	return nil
}

// AllowWriting switches WriteToken on or off.
func (i *InfluxDB) AllowWriting(ctx context.Context, on bool) error {
	status := "inactive"
	if on {
		status = "active"
	}
	err := i.ask(ctx, http.MethodPatch, "/api/v2/authorizations/"+i.writeGrant, map[string]any{"status": status}, nil)
	if err != nil {
		return fmt.Errorf("make the token for writing %s: %w", status, err)
	}
	return nil
}

// RenameBucket takes the bucket away from those who write to InfluxBucket, or gives it
// back by its old name. Its points stay.
func (i *InfluxDB) RenameBucket(ctx context.Context, name string) error {
	if err := i.ask(ctx, http.MethodPatch, "/api/v2/buckets/"+i.bucket, map[string]any{"name": name}, nil); err != nil {
		return fmt.Errorf("rename the bucket to %q: %w", name, err)
	}
	return nil
}

// Query runs InfluxQL. The first value of a row is its time, in Unix nanoseconds.
func (i *InfluxDB) Query(ctx context.Context, query string) ([]process.Series, error) {
	var answer json.RawMessage
	values := url.Values{"db": {stack.Database}, "epoch": {"ns"}, "q": {query}}
	if err := i.ask(ctx, http.MethodGet, "/query?"+values.Encode(), nil, &answer); err != nil {
		return nil, fmt.Errorf("query InfluxDB: %w", err)
	}
	return process.ReadSeries(answer)
}
