package workflows

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"
)

// Search attributes of a device's workflow.
var (
	AttributeState    = temporal.NewSearchAttributeKeyKeywordList("DeviceState") // of a parallel statechart: one for each region
	AttributeModel    = temporal.NewSearchAttributeKeyKeyword("DeviceModel")
	AttributeFirmware = temporal.NewSearchAttributeKeyKeyword("DeviceFirmware")
	AttributeSite     = temporal.NewSearchAttributeKeyKeyword("DeviceSite")

	AttributeConnection = temporal.NewSearchAttributeKeyKeyword("DeviceConnection")
	AttributeTags       = temporal.NewSearchAttributeKeyKeywordList("DeviceTags")       // key=value
	AttributeProperties = temporal.NewSearchAttributeKeyKeywordList("DeviceProperties") // path=value
)

// SearchAttributes are all of them with their types, as a namespace has to have
// them.
func SearchAttributes() map[string]enums.IndexedValueType {
	all := map[string]enums.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{
		AttributeState, AttributeModel, AttributeFirmware, AttributeSite,
		AttributeConnection, AttributeTags, AttributeProperties,
	} {
		all[key.GetName()] = key.GetValueType()
	}
	return all
}

// SearchAttributesQuery names every search attribute and finds nothing. It fails
// as long as one of them is not known to the process that answers, which takes
// some seconds after they were added.
func SearchAttributesQuery() string {
	var terms []string
	for _, name := range slices.Sorted(maps.Keys(SearchAttributes())) {
		terms = append(terms, name+" = ''")
	}
	return strings.Join(terms, " AND ")
}

// ErrAttributeType says that a search attribute is there, and of another type.
var ErrAttributeType = errors.New("search attribute of another type")

// AddSearchAttributes adds those that a namespace lacks, and returns their names.
func AddSearchAttributes(ctx context.Context, to operatorservice.OperatorServiceClient, namespace string) ([]string, error) {
	have, err := to.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list search attributes: %w", err)
	}
	missing := SearchAttributes()
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
