package client

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

// databaseName is the database in which Temporal looks for workflows, for a while.
type databaseName struct {
	mu    sync.Mutex
	name  string
	until time.Time
}

// databaseAge is how long the database is taken to be the same.
const databaseAge = time.Minute

// VisibilityDatabase names the database that answers Temporal's visibility queries,
// as Temporal does: sqlite, postgres12, postgres12_pgx, mysql8, elasticsearch, or two of
// them with a comma. They treat strings differently. It is "" if Temporal doesn't
// say.
func (c *Client) VisibilityDatabase(ctx context.Context) string {
	c.database.mu.Lock()
	defer c.database.mu.Unlock()
	if time.Now().Before(c.database.until) {
		return c.database.name
	}
	info, err := c.temporal.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{})
	if err != nil {
		return "" // not allowed, perhaps; whoever asks does without it
	}
	c.database.name, c.database.until = info.GetVisibilityStore(), time.Now().Add(databaseAge)
	return c.database.name
}
