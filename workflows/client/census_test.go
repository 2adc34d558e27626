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
	takes    time.Duration
	fails    bool
	asked    []string
	hashes   []string       // of versions that were counted
	versions map[string]int // devices by the hash of their version
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

func (c *slowCounter) CountOfModel(_ context.Context, hash string) (int, error) {
	c.hashes = append(c.hashes, hash)
	return c.versions[hash], nil
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
			t.Errorf("%d points, want 8: four states, twice, and no versions, which nobody runs", len(w.points))
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

// Of the versions, those have points that devices run, under their numbers in the registry or the
// beginning of their hash, and once more when the last device is gone. The others are seldom counted.
func TestCensusCountsVersions(t *testing.T) {
	one, two, three, idle := loadModel(t, "pump", "on: {}"), loadModel(t, "pump", "on: {}, off: {}"), loadModel(t, "pump", "on: {}, old: {}"), loadModel(t, "pump", "on: {}, idle: {}")
	counter, w := &slowCounter{versions: map[string]int{one.Hash(): 3, two.Hash(): 98, three.Hash(): 1}}, &pointList{}
	numbers := map[string]int{one.Hash(): 1, two.Hash(): 2, idle.Hash(): 4}
	c := &Census{Counter: counter, Points: w, Models: models(one, two, three, idle), Number: func(hash string) int { return numbers[hash] }}
	count := func(want string) {
		t.Helper()
		counter.hashes, w.points = nil, nil
		if err := c.count(t.Context(), time.Unix(100, 0)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range w.points {
			if p.Measurement == measure.Versions {
				got = append(got, fmt.Sprintf("%s@%s:%v", p.Tags[measure.TagModel], p.Tags[measure.TagVersion], p.Fields[measure.DevicesInState]))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("counted %s, want %s", got, want)
		}
	}
	unnamed := fmt.Sprintf("pump@%.12s", three.Hash())
	count("pump@1:3 pump@2:98 " + unnamed + ":1")
	if len(counter.hashes) != 4 {
		t.Errorf("%d versions counted at first", len(counter.hashes))
	}
	counter.versions[one.Hash()], counter.versions[two.Hash()] = 0, 101
	count("pump@1:0 pump@2:101 " + unnamed + ":1")
	if slices.Contains(counter.hashes, idle.Hash()) {
		t.Error("a version that no device runs is counted again at once")
	}
	count("pump@2:101 " + unnamed + ":1")
	counter.versions[idle.Hash()] = 5
	for range idleTurns - 4 {
		count("pump@2:101 " + unnamed + ":1")
	}
	count("pump@2:101 " + unnamed + ":1")
	count("pump@2:101 " + unnamed + ":1 pump@4:5")
}

func TestStatesByModelAreSorted(t *testing.T) {
	got := statesByModel([]*devicefsm.Model{loadModel(t, "pump", "on: {}, off: {}")})
	if !slices.Equal(got["pump"], []string{"off", "on"}) {
		t.Errorf("states %v", got)
	}
}
