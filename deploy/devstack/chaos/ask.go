package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// get asks the HTTP listener of a part.
func (s *system) get(ctx context.Context, part Part, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, s.ports[part])+path, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", part, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", part, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 32<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	return string(body), err
}

// metrics are the figures of the present life of a part that have no labels.
func (s *system) metrics(ctx context.Context, part Part, names ...string) (map[string]float64, error) {
	body, err := s.get(ctx, part, "/metrics")
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = number
		}
	}
	for _, name := range names {
		if _, ok := found[name]; !ok {
			return nil, fmt.Errorf("%s has no metric %s", part, name)
		}
	}
	return found, nil
}

// The bridge's figures that are asked for.
const (
	metricReceived      = "devicetwin_bridge_received_total"
	metricSpoolPoints   = "devicetwin_influx_spool_points"
	metricQueuedPoints  = "devicetwin_influx_queued_points"
	metricDropped       = "devicetwin_influx_points_dropped_total"
	metricSpoolFailures = "devicetwin_influx_spool_failures_total"
)

// received is how many messages the present lives of the bridges have received;
// of several, the one that has received least. Every bridge receives every message.
func (s *system) received(ctx context.Context) (least float64, err error) {
	for i, part := range s.bridges {
		m, err := s.metrics(ctx, part, metricReceived)
		if err != nil {
			return 0, err
		}
		if i == 0 || m[metricReceived] < least {
			least = m[metricReceived]
		}
	}
	return least, nil
}
