package client

import (
	"context"
	"fmt"
	"strings"

	deviceworkflow "devicetwin/workflows/device"
)

// mostOtherModels bounds the answer of CountOtherModels.
const mostOtherModels = 10

// CountOtherModels counts the running devices whose model has none of the known hashes,
// by hash: of at most 10 models, so that it stays cheap. A device whose first run has
// not begun has no hash yet. The count trails the truth by some tens of milliseconds.
func (c *Client) CountOtherModels(ctx context.Context, known []string) (map[string]int, error) {
	counts := map[string]int{}
	for len(counts) < mostOtherModels {
		page, err := c.ListDevices(ctx, otherModels(known), 1, nil)
		if err != nil {
			return nil, fmt.Errorf("find devices of other models: %w", err)
		}
		if len(page.Devices) == 0 {
			break
		}
		hash := page.Devices[0].ModelHash
		n, err := c.CountDevices(ctx, deviceworkflow.AttributeModelHash.GetName()+" = "+Quote(hash))
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", hash, err)
		}
		counts[hash] = n
		known = append(known, hash)
	}
	return counts, nil
}

// otherModels is the query for devices that have a model, and none of these.
func otherModels(known []string) string {
	name := deviceworkflow.AttributeModelHash.GetName()
	query := name + " IS NOT NULL"
	if len(known) == 0 {
		return query
	}
	quoted := make([]string, len(known))
	for i, hash := range known {
		quoted[i] = Quote(hash)
	}
	return fmt.Sprintf("%s AND %s NOT IN (%s)", query, name, strings.Join(quoted, ", "))
}
