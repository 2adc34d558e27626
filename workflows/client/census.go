package client

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// StateCounter counts the running devices of a model by state, and of a version by its hash;
// *Client is one.
type StateCounter interface {
	CountModelStates(ctx context.Context, model string, states []string) (map[string]int, error)
	CountOfModel(ctx context.Context, hash string) (int, error)
}

// Census writes how many devices are in each state of each model, as points of
// the measurement "devices", and how many run each version, as points of "model_versions". Their
// times are multiples of Every, so that several workers that count at once write the same points.
type Census struct {
	Counter StateCounter
	Points  deviceworkflow.PointWriter
	// Models are those that devices may run now.
	Models func() []*devicefsm.Model
	// Number is that of a version in the registry of models by its hash, 0 of one that it does not
	// have. Nil: there is no registry.
	Number func(hash string) int
	Every  time.Duration
	Log    *slog.Logger

	turn int
	run  map[string]bool // hashes of the versions that devices ran in the last count
}

// idleTurns is in how many counts a version has its turn that no device ran: of those there may be
// very many, as copies.
const idleTurns = 6

// A census asks once for every state, and a large fleet takes the server a
// while: at most a twentieth of the time is spent on it.
const (
	censusTimeout = 30 * time.Second
	censusRest    = 19 // times what the last census took
	hashDigits    = 12 // of a version without a number
)

// Run counts until ctx ends. A count that fails is left out, and logged once.
func (c *Census) Run(ctx context.Context) {
	failing := false
	var rest time.Duration
	for c.await(ctx, rest) {
		began := time.Now()
		err := c.count(ctx, began.Truncate(c.Every))
		rest = censusRest * time.Since(began)
		if err != nil && !failing && ctx.Err() == nil {
			c.Log.Warn("cannot count devices by state", "error", err)
		}
		failing = err != nil
	}
}

// await waits for the next multiple of Every that is at least rest away; false
// is the end of ctx.
func (c *Census) await(ctx context.Context, rest time.Duration) bool {
	earliest := time.Now().Add(rest)
	next := time.NewTimer(time.Until(earliest.Truncate(c.Every).Add(c.Every)))
	defer next.Stop()
	select {
	case <-next.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Census) count(ctx context.Context, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, censusTimeout)
	defer cancel()
	models := c.Models()
	states, kinds := statesByModel(models), kindsByModel(models)
	for _, model := range slices.Sorted(maps.Keys(states)) {
		counts, err := c.Counter.CountModelStates(ctx, model, states[model])
		if err != nil {
			return err
		}
		for state, n := range counts {
			tags := map[string]string{measure.TagModel: model, measure.TagState: state}
			if kind := kinds[model]; kind != device.KindDevice {
				tags[measure.TagKind] = string(kind)
			}
			c.Points.WritePoint(measure.Devices, tags,
				map[string]any{measure.DevicesInState: n}, at)
		}
	}
	return c.countVersions(ctx, models, at)
}

// countVersions counts the devices of each version. One that no device runs any more has a point
// once more, so that nobody takes its last number for that of now.
func (c *Census) countVersions(ctx context.Context, models []*devicefsm.Model, at time.Time) error {
	run := map[string]bool{}
	for _, m := range models {
		if !c.run[m.Hash()] && c.turn%idleTurns != 0 {
			continue
		}
		n, err := c.Counter.CountOfModel(ctx, m.Hash())
		if err != nil {
			return fmt.Errorf("version %s of model %s: %w", m.Hash(), m.Name(), err)
		}
		if n == 0 && !c.run[m.Hash()] {
			continue
		}
		run[m.Hash()] = n > 0
		tags := map[string]string{measure.TagModel: m.Name(), measure.TagVersion: c.version(m.Hash())}
		if kind := m.Kind(); kind != device.KindDevice {
			tags[measure.TagKind] = string(kind)
		}
		c.Points.WritePoint(measure.Versions, tags, map[string]any{measure.DevicesInState: n}, at)
	}
	c.run = run
	c.turn++
	return nil
}

// version is how the version of a hash is called.
func (c *Census) version(hash string) string {
	if c.Number != nil {
		if n := c.Number(hash); n > 0 {
			return strconv.Itoa(n)
		}
	}
	return hash[:min(len(hash), hashDigits)]
}

// kindsByModel are the kinds of the entities that run models, by the models' names. Of models of
// one name and several kinds, the last one counts.
func kindsByModel(models []*devicefsm.Model) map[string]device.Kind {
	kinds := map[string]device.Kind{}
	for _, m := range models {
		kinds[m.Name()] = m.Kind()
	}
	return kinds
}

// statesByModel joins the states of all versions of a model, each once.
func statesByModel(models []*devicefsm.Model) map[string][]string {
	states := map[string][]string{}
	for _, m := range models {
		all := append(states[m.Name()], m.States()...)
		slices.Sort(all)
		states[m.Name()] = slices.Compact(all)
	}
	return states
}
