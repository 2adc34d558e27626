package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	influxdb "github.com/influxdata/influxdb-client-go/v2"

	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/points"
	"devicetwin/service"
)

// influxTarget is an InfluxDB that a test writes to and queries.
type influxTarget struct {
	service.InfluxServer        // as bridge and worker write to it
	queryToken           string // as Grafana reads from it
}

// influxTargets start each InfluxDB that the service is for, by its version; points are
// kept for a time, 0 is forever. Each test of what InfluxDB does runs on both.
var influxTargets = map[string]func(t *testing.T, keep time.Duration) influxTarget{
	"1.8": embeddedInfluxDB,
	"2.7": realInfluxDB,
}

// embeddedInfluxDB is the InfluxDB of the stack.
func embeddedInfluxDB(t *testing.T, keep time.Duration) influxTarget {
	t.Helper()
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB}, KeepPoints: keep})
	return targetOf(s.InfluxDB)
}

func targetOf(i *stack.InfluxDB) influxTarget {
	return influxTarget{InfluxServer: service.InfluxServer{URL: i.URL(), Bucket: stack.BucketName}}
}

// realInfluxDB is the one that deploy/compose.yaml runs.
func realInfluxDB(t *testing.T, keep time.Duration) influxTarget {
	t.Helper()
	return targetOf2(serverstest.InfluxDB(t, ports, keep))
}

func targetOf2(i *servers.InfluxDB) influxTarget {
	return influxTarget{
		InfluxServer: service.InfluxServer{URL: i.URL(), Token: i.WriteToken, Org: servers.InfluxOrg, Bucket: servers.InfluxBucket},
		queryToken:   i.Token,
	}
}

// points are the settings of a writer.
func (i influxTarget) points() points.Config {
	config := points.DefaultConfig()
	config.URL, config.Token, config.Org, config.Bucket = i.URL, i.Token, i.Org, i.Bucket
	return config
}

// write writes lines through the version 2 API, as the bridge does.
func (i influxTarget) write(t *testing.T, lines ...string) {
	t.Helper()
	c := influxdb.NewClient(i.URL, i.Token)
	defer c.Close()
	if err := c.WriteAPIBlocking(i.Org, i.Bucket).WriteRecord(t.Context(), lines...); err != nil {
		t.Fatalf("write to InfluxDB: %v", err)
	}
}

// influxSeries is one series of an answer.
type influxSeries struct {
	Tags    map[string]string
	Columns []string
	Values  [][]any
}

// query runs InfluxQL, as Grafana does, and returns all rows.
func (i influxTarget) query(t *testing.T, query string) (rows [][]any) {
	t.Helper()
	for _, s := range i.series(t, url.Values{"q": {query}}) {
		rows = append(rows, s.Values...)
	}
	return rows
}

// series runs InfluxQL with the parameters of the request. With epoch, times are
// numbers, and numbers are json.Number.
func (i influxTarget) series(t *testing.T, parameters url.Values) []influxSeries {
	t.Helper()
	all, err := i.try(t.Context(), parameters)
	if err != nil {
		t.Fatalf("query InfluxDB: %v\n%s", err, parameters.Get("q"))
	}
	return all
}

// try is series of an InfluxDB that may not answer.
func (i influxTarget) try(ctx context.Context, parameters url.Values) (all []influxSeries, err error) {
	parameters.Set("db", stack.Database)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL+"/query?"+parameters.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if i.queryToken != "" {
		request.Header.Set("Authorization", "Token "+i.queryToken)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []influxSeries
		}
	}
	decoder := json.NewDecoder(response.Body)
	if parameters.Has("epoch") {
		decoder.UseNumber() // a float64 has too few digits for nanoseconds
	}
	if err := decoder.Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	for _, r := range answer.Results {
		answer.Error += r.Error
		all = append(all, r.Series...)
	}
	if answer.Error != "" || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, answer.Error)
	}
	return all, nil
}
