package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"devicetwin/api"
)

// Models lists the models of the registry.
func (c *Client) Models(ctx context.Context) (api.ModelList, error) {
	var list api.ModelList
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/models"}, &list)
	return list, err
}

// CountedModels is Models with the number of devices that run each version.
func (c *Client) CountedModels(ctx context.Context) (api.ModelList, error) {
	var list api.ModelList
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/models", query: counted()}, &list)
	return list, err
}

func counted() url.Values { return url.Values{"devices": {"true"}} }

// Model returns a model with its versions.
func (c *Client) Model(ctx context.Context, name string) (api.Model, error) {
	var m api.Model
	err := c.do(ctx, request{method: http.MethodGet, path: api.ModelPath(name)}, &m)
	return m, err
}

// CountedModel is Model with the number of devices that run each version.
func (c *Client) CountedModel(ctx context.Context, name string) (api.Model, error) {
	var m api.Model
	err := c.do(ctx, request{method: http.MethodGet, path: api.ModelPath(name), query: counted()}, &m)
	return m, err
}

// ModelVersion returns a version with its source: by its number, or by its hash, of which 8
// digits are enough.
func (c *Client) ModelVersion(ctx context.Context, name, version string) (api.ModelText, error) {
	var v api.ModelText
	err := c.do(ctx, request{method: http.MethodGet, path: api.ModelPath(name, "versions", version)}, &v)
	return v, err
}

// ModelRules returns the rules that say which entities start with which model.
func (c *Client) ModelRules(ctx context.Context) (api.ModelRules, error) {
	var rules api.ModelRules
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/model-rules"}, &rules)
	return rules, err
}

// ModelChanges returns the last changes of the registry, the newest first.
func (c *Client) ModelChanges(ctx context.Context, limit int) (api.ModelChanges, error) {
	var changes api.ModelChanges
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/model-changes", query: url.Values{"limit": {strconv.Itoa(limit)}}}, &changes)
	return changes, err
}

// ChangeModels changes the registry.
func (c *Client) ChangeModels(ctx context.Context, change api.ModelChange) (api.ModelChanged, error) {
	r := request{header: once()}
	if change.Expected != 0 {
		r.header.Set("If-Match", strconv.Quote(strconv.FormatUint(change.Expected, 10)))
	}
	switch {
	case change.Push != nil:
		r.method, r.path = http.MethodPost, "/v1/models"
		r.body = map[string]any{"file": change.Push.File, "source": change.Push.Source, "note": change.Note}
	case change.Default != nil:
		r.method, r.path = http.MethodPut, api.ModelPath(change.Default.Model, "default")
		r.body = map[string]any{"version": change.Default.Version, "note": change.Note}
	case change.Remove != nil:
		r.method, r.path = http.MethodDelete, api.ModelPath(change.Remove.Model, "versions", strconv.Itoa(change.Remove.Version))
		r.query = url.Values{"note": {change.Note}}
	default:
		r.method, r.path = http.MethodPut, "/v1/model-rules"
		r.body = map[string]any{"sources": change.Rules.Sources, "kinds": change.Rules.Kinds, "note": change.Note}
	}
	var changed api.ModelChanged
	err := c.do(ctx, r, &changed)
	return changed, err
}
