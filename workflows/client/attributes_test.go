package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc"

	deviceworkflow "devicetwin/workflows/device"
)

// fakeOperator is a namespace with some search attributes.
type fakeOperator struct {
	operatorservice.OperatorServiceClient
	have  map[string]enums.IndexedValueType
	added map[string]enums.IndexedValueType
	err   error
}

func (f *fakeOperator) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: f.have}, nil
}

func (f *fakeOperator) AddSearchAttributes(_ context.Context, r *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	f.added = r.GetSearchAttributes()
	return nil, f.err
}

// Only what is missing is added; what another process adds meanwhile is not an error.
func TestAddSearchAttributes(t *testing.T) {
	all := deviceworkflow.SearchAttributes()
	if all["DeviceState"] != enums.INDEXED_VALUE_TYPE_KEYWORD_LIST || all["DeviceModel"] != enums.INDEXED_VALUE_TYPE_KEYWORD || len(all) != 12 {
		t.Fatalf("search attributes %v", all)
	}
	some := maps.Clone(all)
	delete(some, "DeviceTags")
	delete(some, "DeviceSite")
	some["Foreign"] = enums.INDEXED_VALUE_TYPE_INT
	for _, err := range []error{nil, serviceerror.NewAlreadyExists("DeviceTags")} {
		f := &fakeOperator{have: some, err: err}
		names, err := AddSearchAttributes(t.Context(), f, "n")
		if err != nil || !slices.Equal(names, []string{"DeviceSite", "DeviceTags"}) {
			t.Errorf("added %q, %v", names, err)
		}
		if len(f.added) != 2 || f.added["DeviceTags"] != all["DeviceTags"] || f.added["DeviceSite"] != all["DeviceSite"] {
			t.Errorf("added %v", f.added)
		}
	}
	f := &fakeOperator{have: all}
	if names, err := AddSearchAttributes(t.Context(), f, "n"); err != nil || names != nil || f.added != nil {
		t.Errorf("all are there; added %q, %v, %v", names, f.added, err)
	}
	f = &fakeOperator{err: serviceerror.NewPermissionDenied("no", "")}
	var denied *serviceerror.PermissionDenied
	if _, err := AddSearchAttributes(t.Context(), f, "n"); !errors.As(err, &denied) {
		t.Errorf("not allowed, and %v", err)
	}
	some["DeviceModel"] = enums.INDEXED_VALUE_TYPE_INT
	if _, err := AddSearchAttributes(t.Context(), &fakeOperator{have: some}, "n"); !errors.Is(err, ErrAttributeType) || !strings.Contains(err.Error(), "DeviceModel is Int, not Keyword") {
		t.Errorf("another type, and %v", err)
	}
}
