package process

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
)

// Series is one series of an answer of InfluxDB 1.8. The first value of a row is
// its time, in Unix nanoseconds.
type Series struct {
	Tags    map[string]string
	Columns []string // of the rows
	Values  [][]json.RawMessage
}

// QueryInflux runs an InfluxQL query on the InfluxDB of the system.
func (s *System) QueryInflux(ctx context.Context, database, query string) ([]Series, error) {
	values := url.Values{"db": {database}, "epoch": {"ns"}, "q": {query}}
	body, err := s.Get(ctx, InfluxDB, "/query?"+values.Encode())
	if err != nil {
		return nil, fmt.Errorf("query InfluxDB: %w", err)
	}
	return ReadSeries([]byte(body))
}

// ReadSeries reads the answer to a query.
func ReadSeries(answer []byte) ([]Series, error) {
	var read struct {
		Results []struct {
			Error  string
			Series []Series
		}
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		return nil, fmt.Errorf("read the answer of InfluxDB: %w", err)
	}
	var all []Series
	for _, result := range read.Results {
		if result.Error != "" {
			return nil, fmt.Errorf("query InfluxDB: %s", result.Error)
		}
		all = append(all, result.Series...)
	}
	return all, nil
}
