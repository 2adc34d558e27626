package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	deviceworkflow "devicetwin/workflows/device"
)

// slowCounter takes a time for each model, and fails when told to.
type slowCounter struct {
	takes time.Duration
	fails bool
	asked []string
}

func (c *slowCounter) CountModelStates(_ context.Context, model string, states []string) (map[string]int, error) {
	time.Sleep(c.takes)
	c.asked = append(c.asked, model+": "+strings.Join(states, " "))
	if c.fails {
		return nil, errors.New("temporal is unavailable")
	}
	counts := map[string]int{}
	for i, s := range states {
		counts[s] = i
	}
	return counts, nil
}

// pointList keeps the points written.
type pointList struct{ points []deviceworkflow.Point }

func (l *pointList) WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time) {
	l.points = append(l.points, deviceworkflow.Point{Measurement: measurement, Tags: tags, Fields: fields, At: at})
}

func loadModel(t *testing.T, name, states string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load(name, []byte("model: "+name+"\ninitial: on\nstates: {"+states+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func models(all ...*devicefsm.Model) func() []*devicefsm.Model {
	return func() []*devicefsm.Model { return all }
}

func TestCensusCountsEveryModelOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter, w := &slowCounter{}, &pointList{}
		c := &Census{Counter: counter, Points: w, Every: 10 * time.Second, Log: slog.New(slog.DiscardHandler), Models: models(
			loadModel(t, "pump", "on: {}, off: {}"), loadModel(t, "pump", "on: {}, broken: {}"), loadModel(t, "fan", "on: {}"),
		)}
		// Begun between two counts, as any other worker is at another moment.
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		c.Run(ctx)
		if got := fmt.Sprint(counter.asked); got != "[fan: on pump: broken off on fan: on pump: broken off on]" {
			t.Errorf("asked %s", got)
		}
		for _, p := range w.points {
			if p.Measurement != measure.Devices || p.At.UnixNano()%int64(c.Every) != 0 {
				t.Errorf("point %+v, want one of %s at a multiple of %v", p, measure.Devices, c.Every)
			}
		}
		if len(w.points) != 8 {
			t.Errorf("%d points, want 8: four states, twice", len(w.points))
		}
	})
}

// A slow count is made less often.
func TestCensusRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter := &slowCounter{takes: 6 * time.Second}
		c := &Census{Counter: counter, Points: &pointList{}, Every: 10 * time.Second, Log: slog.New(slog.DiscardHandler),
			Models: models(loadModel(t, "fan", "on: {}"))}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		c.Run(ctx)
		if n := len(counter.asked); n < 4 || n > 6 {
			t.Errorf("counted %d times in ten minutes, want about 5: a twentieth of the time is 30 s, a count takes 6", n)
		}
	})
}

func TestCensusTellsOnceThatItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		counter := &slowCounter{fails: true}
		c := &Census{Counter: counter, Points: &pointList{}, Every: 10 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Models: models(loadModel(t, "fan", "on: {}"))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.Run(ctx)
		if told := strings.Count(log.String(), "cannot count"); told != 1 || len(counter.asked) < 5 {
			t.Errorf("told %d times in %d counts, want once in at least 5", told, len(counter.asked))
		}
	})
}

func TestStatesByModelAreSorted(t *testing.T) {
	got := statesByModel([]*devicefsm.Model{loadModel(t, "pump", "on: {}, off: {}")})
	if !slices.Equal(got["pump"], []string{"off", "on"}) {
		t.Errorf("states %v", got)
	}
}
