package points

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"devicetwin/internal/measure"
	"devicetwin/internal/text"
)

// ErrCannotDelete means that an InfluxDB refuses to delete points, and will refuse
// it again: not every edition can.
var ErrCannotDelete = errors.New("InfluxDB does not delete points")

// deleteTimeout is that of a request to delete points: of many series it takes longer
// than writing does.
const deleteTimeout = 2 * time.Minute

// Deleter deletes points from InfluxDB: 1.8 by InfluxQL, 2 by its API for deletions. It
// may be used from any goroutine.
type Deleter struct {
	cfg    Config
	client *http.Client
}

// NewDeleter prepares deletions. Of the configuration it uses the server, and how to
// log in.
func NewDeleter(cfg Config) (*Deleter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("influxdb configuration: %w", err)
	}
	client, err := cfg.httpClient(deleteTimeout)
	if err != nil {
		return nil, err
	}
	return &Deleter{cfg: cfg, client: client}, nil
}

// Close closes connections.
func (d *Deleter) Close() { d.client.CloseIdleConnections() }

// Delete deletes the points of a device up to a time, of all measurements. It can be
// repeated. An error that wraps ErrCannotDelete is permanent.
func (d *Deleter) Delete(ctx context.Context, device string, until time.Time) error {
	request := d.request2
	if d.cfg.Org == "" {
		request = d.request1
	}
	r, err := request(ctx, device, until)
	if err == nil {
		err = d.do(r)
	}
	if err != nil {
		return fmt.Errorf("delete the points of device %s from InfluxDB: %w", device, err)
	}
	return nil
}

// request1 is for InfluxDB 1.8: https://docs.influxdata.com/influxdb/v1/query_language/manage-database/
func (d *Deleter) request1(ctx context.Context, device string, until time.Time) (*http.Request, error) {
	database, _, _ := strings.Cut(d.cfg.Bucket, "/")
	statement := fmt.Sprintf(`DELETE WHERE "%s" = '%s' AND time <= '%s'`, measure.TagDevice, quoted(device, `'`), until.UTC().Format(time.RFC3339Nano))
	form := url.Values{"db": {database}, "q": {statement}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(d.cfg.URL, "/")+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

// request2 is for InfluxDB 2: https://docs.influxdata.com/influxdb/v2/write-data/delete-data/
func (d *Deleter) request2(ctx context.Context, device string, until time.Time) (*http.Request, error) {
	body, err := json.Marshal(map[string]string{
		"start": oldestPoint.Format(time.RFC3339Nano), "stop": until.UTC().Format(time.RFC3339Nano),
		"predicate": fmt.Sprintf(`%s="%s"`, measure.TagDevice, quoted(device, `"`)),
	})
	if err != nil {
		return nil, err
	}
	where := strings.TrimSuffix(d.cfg.URL, "/") + "/api/v2/delete?" + url.Values{"org": {d.cfg.Org}, "bucket": {d.cfg.Bucket}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// oldestPoint is before all points that devices may have.
var oldestPoint = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// quoted escapes a string for a pair of quotation marks.
func quoted(s, mark string) string {
	return strings.NewReplacer(`\`, `\\`, mark, `\`+mark).Replace(s)
}

func (d *Deleter) do(r *http.Request) error {
	if d.cfg.Token != "" {
		r.Header.Set("Authorization", "Token "+d.cfg.Token)
	}
	answer, err := d.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return err
	}
	return deleted(answer.StatusCode, body)
}

// deleted is the error that an answer means.
func deleted(status int, body []byte) error {
	said := text.Clip(strings.TrimSpace(string(body)), keptDetail)
	var answer struct {
		Code    string `json:"code"`
		Results []struct {
			Error string `json:"error"`
		} `json:"results"`
	}
	readable := json.Unmarshal(body, &answer) == nil
	switch status {
	case http.StatusNoContent:
		return nil
	case http.StatusOK: // of InfluxQL
		for _, r := range answer.Results {
			if r.Error != "" {
				return errors.New(r.Error)
			}
		}
		if !readable || answer.Results == nil {
			return fmt.Errorf("%w: status %d: %s", ErrCannotDelete, status, said)
		}
		return nil
	case http.StatusNotFound: // a bucket may be made later, an API that is missing may not
		if answer.Code == "not found" {
			return fmt.Errorf("status %d: %s", status, said)
		}
		return fmt.Errorf("%w: status %d: %s", ErrCannotDelete, status, said)
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return fmt.Errorf("%w: status %d: %s", ErrCannotDelete, status, said)
	}
	return fmt.Errorf("status %d: %s", status, said)
}
