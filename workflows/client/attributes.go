package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	temporalclient "go.temporal.io/sdk/client"

	deviceworkflow "devicetwin/workflows/device"
)

// searchAttributesQuery names every search attribute and finds nothing. It fails
// as long as one of them is not known to the process that answers, which takes
// some seconds after they were added.
func searchAttributesQuery() string {
	terms := []string{"WorkflowId = ''"}
	for _, name := range slices.Sorted(maps.Keys(deviceworkflow.SearchAttributes())) {
		terms = append(terms, name+" IS NULL")
	}
	return strings.Join(terms, " AND ")
}

// ErrNoAttributes says that a namespace lacks search attributes, or does not know
// them yet.
var ErrNoAttributes = errors.New("search attributes are missing")

// CheckSearchAttributes reports whether a namespace has all search attributes: without
// one of them, no workflow task of a new device succeeds.
func CheckSearchAttributes(ctx context.Context, temporal temporalclient.Client, namespace string) error {
	_, err := temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: namespace, Query: searchAttributesQuery(),
	})
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) {
		return fmt.Errorf("%w: %s", ErrNoAttributes, invalid.Message)
	}
	if err != nil {
		return fmt.Errorf("use the search attributes: %w", err)
	}
	return nil
}

// ErrAttributeType says that a search attribute is there, and of another type.
var ErrAttributeType = errors.New("search attribute of another type")

// AddSearchAttributes adds those that a namespace lacks, and returns their names.
func AddSearchAttributes(ctx context.Context, to operatorservice.OperatorServiceClient, namespace string) ([]string, error) {
	have, err := to.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list search attributes: %w", err)
	}
	missing := deviceworkflow.SearchAttributes()
	for name, kind := range have.GetCustomAttributes() {
		if want, ok := missing[name]; ok && want != kind {
			return nil, fmt.Errorf("%w: %s is %v, not %v", ErrAttributeType, name, kind, want)
		}
		delete(missing, name)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	_, err = to.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return nil, fmt.Errorf("add search attributes: %w", err)
	}
	return slices.Sorted(maps.Keys(missing)), nil
}
