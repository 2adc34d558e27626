package client

import (
	"context"
	"errors"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	temporalclient "go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

// fakeCluster is a Temporal whose database is known, unless it fails.
type fakeCluster struct {
	temporalclient.Client
	service fakeClusterService
}

// fakeClusterService is its service.
type fakeClusterService struct {
	workflowservice.WorkflowServiceClient
	database string
	err      error
	asked    int
}

func (f *fakeCluster) WorkflowService() workflowservice.WorkflowServiceClient { return &f.service }

func (f *fakeClusterService) GetClusterInfo(context.Context, *workflowservice.GetClusterInfoRequest, ...grpc.CallOption) (*workflowservice.GetClusterInfoResponse, error) {
	f.asked++
	return &workflowservice.GetClusterInfoResponse{VisibilityStore: f.database}, f.err
}

// The database is asked for once in a while; one that is not known is "".
func TestVisibilityDatabase(t *testing.T) {
	cluster := &fakeCluster{service: fakeClusterService{err: errors.New("permission denied")}}
	c := New(cluster, "n", "q", "")
	defer c.Close()
	if got := c.VisibilityDatabase(t.Context()); got != "" {
		t.Errorf("%q, although Temporal did not say", got)
	}
	cluster.service.database, cluster.service.err = "sqlite", nil
	for range 3 {
		if got := c.VisibilityDatabase(t.Context()); got != "sqlite" {
			t.Errorf("%q, want sqlite", got)
		}
	}
	if cluster.service.asked != 2 {
		t.Errorf("asked %d times, want 2: once without an answer", cluster.service.asked)
	}
}
