package client

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// StateCounter counts the running devices of a model by state; *Client is one.
type StateCounter interface {
	CountModelStates(ctx context.Context, model string, states []string) (map[string]int, error)
}

// Census writes how many devices are in each state of each model, as points of
// the measurement "devices". Their times are multiples of Every, so that several
// workers that count at once write the same points.
type Census struct {
	Counter StateCounter
	Points  deviceworkflow.PointWriter
	// Models are those that devices may run now.
	Models func() []*devicefsm.Model
	Every  time.Duration
	Log    *slog.Logger
}

// A census asks once for every state, and a large fleet takes the server a
// while: at most a twentieth of the time is spent on it.
const (
	censusTimeout = 30 * time.Second
	censusRest    = 19 // times what the last census took
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
	return nil
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
