package service

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	deviceworkflow "devicetwin/workflows/device"
)

// missingModels watches for devices whose model this worker does not have: they wait,
// and nothing is lost. It says so on /readyz and as metrics. The worker stays ready: all
// other devices need it, and one that waits must neither take every worker out of
// rotation nor hold up the rollout that brings its model.
type missingModels struct {
	registry *modelRegistry
	// count counts, by hash, the running devices of all models but these.
	count  func(ctx context.Context, known []string) (map[string]int, error)
	counts *deviceworkflow.Counts
	log    *slog.Logger

	mu    sync.Mutex
	found map[string]int // devices by hash, by the last count
}

func (s *Service) startMissing(p Plan, temporal client.Client, m *missingModels) {
	if p.Worker.CountEvery == 0 {
		return // then only those are known that workflows ask for
	}
	m.count = p.Temporal.Twins(temporal, "", "").CountOtherModels
	s.runPart("count of devices without a model", func(ctx context.Context) { m.run(ctx, p.Worker.CountEvery) })
}

const (
	missingTimeout = 30 * time.Second
	missingRest    = 19 // times what the last count took, as for the census of states
)

func (m *missingModels) run(ctx context.Context, every time.Duration) {
	failing := false
	for {
		began := time.Now()
		err := m.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			m.log.Warn("cannot count the devices whose model is missing", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(every, missingRest*time.Since(began))):
		}
	}
}

func (m *missingModels) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, missingTimeout)
	defer cancel()
	found, err := m.count(ctx, m.registry.hashes())
	if err != nil {
		return err
	}
	for hash := range found {
		if _, ok := m.registry.ByHash(hash); ok { // a copy that came after the start
			delete(found, hash)
		}
	}
	m.mu.Lock()
	m.found = found
	m.mu.Unlock()
	m.missing()
	return nil
}

// missing are the devices that wait, by the hash of their model; it also sets the
// metrics. A device whose first run waits is in no count: it counts as one.
func (m *missingModels) missing() map[string]int {
	m.mu.Lock()
	all := maps.Clone(m.found)
	m.mu.Unlock()
	if all == nil {
		all = map[string]int{}
	}
	for _, hash := range m.registry.asked() {
		all[hash] = max(1, all[hash])
	}
	devices := 0
	for _, n := range all {
		devices += n
	}
	m.counts.ModelsMissing.Store(int64(len(all)))
	m.counts.DevicesWithoutModel.Store(int64(devices))
	return all
}

// remark is what /readyz says of it, "" if nothing is missing.
func (m *missingModels) remark() string {
	missing := m.missing()
	if len(missing) == 0 {
		return ""
	}
	var list []string
	for _, hash := range slices.Sorted(maps.Keys(missing)) {
		list = append(list, fmt.Sprintf("%s (devices: %d)", hash, missing[hash]))
	}
	return "degraded: devices wait for models that this worker does not have, by hash: " + strings.Join(list, ", ")
}
