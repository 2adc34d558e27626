// Package client calls the operator's HTTP API.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/internal/text"
	"devicetwin/source"
)

// Client calls one service. It may be used by any goroutine.
type Client struct {
	base  string
	token string
	note  string
	http  *http.Client
}

// New makes a client. The token may be empty.
func New(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("address of the API %q: expected http://HOST:PORT or https://HOST:PORT", base)
	}
	if token, err = text.HeaderSecret(token); err != nil {
		return nil, fmt.Errorf("token of the API: %w", err)
	}
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{}}, nil
}

// WithNote is a client that gives a reason for its changes of devices, for the audit and for why.
// It is of no use for migrations, models and decisions, which have a note of their own.
func (c *Client) WithNote(note string) *Client {
	noted := *c
	noted.note = note
	return &noted
}

// Problem is an error response: a problem document (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = strings.ToLower(p.Title)
	}
	for _, e := range p.Errors {
		text += "\n  " + e.Location + ": " + e.Message
	}
	return text
}

// requestTimeout bounds a request that is not a stream.
const requestTimeout = 30 * time.Second

// maxAnswer bounds the size of a response.
const maxAnswer = 64 << 20

// request is one call.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         any
}

func (c *Client) do(ctx context.Context, r request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the response of %s: %w", c.base, err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the response of %s: %w", c.base, err)
	}
	return nil
}

// send makes the request; a response that is a problem is an error.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	query := url.Values{}
	maps.Copy(query, r.query)
	if c.note != "" && r.method != http.MethodGet {
		query.Set("note", c.note)
	}
	address := c.base + r.path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("make a request to %s: %w", c.base, err)
	}
	for name, values := range r.header {
		request.Header[name] = values
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the API: %w", err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	problem := &Problem{Status: response.StatusCode, Title: response.Status}
	raw, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	_ = json.Unmarshal(raw, problem) // or it is something else's answer
	problem.Status = response.StatusCode
	return nil, problem
}

// once makes a change idempotent: it is made once, even if it is repeated.
func once() http.Header { return http.Header{"Idempotency-Key": {rand.Text()}} }

// Devices lists a page of the devices that a query finds.
func (c *Client) Devices(ctx context.Context, query string, limit int, cursor string) (api.Page, error) {
	return c.list(ctx, "/v1/devices", url.Values{}, query, limit, cursor)
}

// Entities lists a page of the entities of a kind that a query finds: ids in it are names.
func (c *Client) Entities(ctx context.Context, kind device.Kind, query string, limit int, cursor string) (api.Page, error) {
	return c.list(ctx, "/v1/entities", url.Values{"kind": {kind.Word()}}, query, limit, cursor)
}

func (c *Client) list(ctx context.Context, path string, q url.Values, query string, limit int, cursor string) (api.Page, error) {
	q.Set("limit", strconv.Itoa(limit))
	if query != "" {
		q.Set("query", query)
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var page api.Page
	err := c.do(ctx, request{method: http.MethodGet, path: path, query: q}, &page)
	return page, err
}

// CountDevices counts the devices that a query finds.
func (c *Client) CountDevices(ctx context.Context, query string) (api.Count, error) {
	return c.count(ctx, "/v1/device-count", url.Values{}, query)
}

// CountEntities counts the entities of a kind that a query finds: ids in it are names.
func (c *Client) CountEntities(ctx context.Context, kind device.Kind, query string) (api.Count, error) {
	return c.count(ctx, "/v1/entity-count", url.Values{"kind": {kind.Word()}}, query)
}

func (c *Client) count(ctx context.Context, path string, q url.Values, query string) (api.Count, error) {
	if query != "" {
		q.Set("query", query)
	}
	var count api.Count
	err := c.do(ctx, request{method: http.MethodGet, path: path, query: q}, &count)
	return count, err
}

// Device returns everything that is known about a device.
func (c *Client) Device(ctx context.Context, id device.ID) (api.Device, error) {
	var device api.Device
	err := c.do(ctx, request{method: http.MethodGet, path: api.PathOf(id)}, &device)
	return device, err
}

// Why returns a device's last transitions, the newest first.
func (c *Client) Why(ctx context.Context, id device.ID, limit int) (api.Why, error) {
	var why api.Why
	err := c.do(ctx, request{
		method: http.MethodGet, path: api.PathOf(id, "why"), query: url.Values{"limit": {strconv.Itoa(limit)}},
	}, &why)
	return why, err
}

// SetTags replaces all tags of a device.
func (c *Client) SetTags(ctx context.Context, id device.ID, tags map[string]string) error {
	return c.do(ctx, request{method: http.MethodPut, path: api.PathOf(id, "tags"), header: once(), body: tags}, nil)
}

// Delete deletes a device.
func (c *Client) Delete(ctx context.Context, id device.ID) error {
	return c.do(ctx, request{method: http.MethodDelete, path: api.PathOf(id), header: once()}, nil)
}

// Erase deletes a device with all its data.
func (c *Client) Erase(ctx context.Context, id device.ID) error {
	return c.do(ctx, request{method: http.MethodDelete, path: api.PathOf(id), query: url.Values{"data": {"true"}}, header: once()}, nil)
}

// Desire changes the desired properties.
func (c *Client) Desire(ctx context.Context, id device.ID, change api.DesiredChange) (api.Desired, error) {
	r := request{method: http.MethodPatch, path: api.PathOf(id, "desired"), query: url.Values{}, header: once(), body: change.Patch}
	if change.Version != 0 {
		r.header.Set("If-Match", strconv.Quote(strconv.FormatInt(change.Version, 10)))
	}
	if change.Shadow != "" {
		r.query.Set("shadow", change.Shadow)
	}
	if change.Within != 0 {
		r.query.Set("within", source.FormatDuration(change.Within))
	}
	var desired api.Desired
	err := c.do(ctx, r, &desired)
	return desired, err
}

// SendCommand sends a command.
func (c *Client) SendCommand(ctx context.Context, id device.ID, command api.NewCommand) (api.Command, error) {
	body := map[string]any{"name": command.Name}
	if command.Data != nil {
		body["data"] = command.Data
	}
	if command.TTL != 0 {
		body["ttl"] = source.FormatDuration(command.TTL)
	}
	if command.MaxDeliveries != 0 {
		body["max_deliveries"] = command.MaxDeliveries
	}
	if command.Replace {
		body["replace"] = true
	}
	var sent api.Command
	err := c.do(ctx, request{method: http.MethodPost, path: api.PathOf(id, "commands"), header: once(), body: body}, &sent)
	return sent, err
}

// Migrate moves a device to another version of its model, or only says what would happen.
func (c *Client) Migrate(ctx context.Context, id device.ID, m api.NewMigration) (api.Migrated, error) {
	r := request{method: http.MethodPost, path: api.PathOf(id, "migration"), query: url.Values{}, header: once(), body: map[string]any{"plan": m.Plan, "note": m.Note}}
	if m.Try {
		r.query.Set("dry_run", "true")
	}
	var done api.Migrated
	err := c.do(ctx, r, &done)
	return done, err
}

// StartMigration starts a migration of the devices that a query finds.
func (c *Client) StartMigration(ctx context.Context, m api.NewFleetMigration) (api.FleetMigration, error) {
	body := map[string]any{"plan": m.Plan}
	if m.Words != "" {
		body["query"] = m.Words
	}
	if m.Note != "" {
		body["note"] = m.Note
	}
	if m.Rate != 0 {
		body["rate"] = m.Rate
	}
	var started api.FleetMigration
	err := c.do(ctx, request{method: http.MethodPost, path: "/v1/migrations", header: once(), body: body}, &started)
	return started, err
}

// Migration returns how far a migration is.
func (c *Client) Migration(ctx context.Context, id string) (api.FleetMigration, error) {
	var found api.FleetMigration
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/migrations/" + url.PathEscape(id)}, &found)
	return found, err
}

// StopMigration stops a migration; devices that were moved stay moved.
func (c *Client) StopMigration(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: "/v1/migrations/" + url.PathEscape(id)}, nil)
}

// Command returns a command with its status.
func (c *Client) Command(ctx context.Context, id device.ID, command string) (api.Command, error) {
	var found api.Command
	err := c.do(ctx, request{method: http.MethodGet, path: api.PathOf(id, "commands", command)}, &found)
	return found, err
}

// DecideProcess decides on an event that failed permanently and holds the queue of what is processed
// one by one. Refusals have the status 409: none does, or 412: it is another one.
func (c *Client) DecideProcess(ctx context.Context, id device.ID, decision api.ProcessDecision) (api.ProcessDecided, error) {
	var decided api.ProcessDecided
	err := c.do(ctx, request{method: http.MethodPost, path: api.PathOf(id, "process"), header: once(), body: decision}, &decided)
	return decided, err
}

// SendEvent sends an event to the device's statechart.
func (c *Client) SendEvent(ctx context.Context, id device.ID, name string, data api.Object) (api.Taken, error) {
	body := map[string]any{"name": name}
	if data != nil {
		body["data"] = data
	}
	var taken api.Taken
	err := c.do(ctx, request{method: http.MethodPost, path: api.PathOf(id, "events"), header: once(), body: body}, &taken)
	return taken, err
}
