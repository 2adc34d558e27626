package service

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

type birthSink struct{ err error }

func (s birthSink) Deliver(context.Context, device.Delivery) (string, error) { return "run", s.err }

type birthPoint struct {
	measurement string
	tags        map[string]string
	fields      map[string]any
	at          time.Time
}

type birthPoints []birthPoint

func (p *birthPoints) WritePoint(measurement string, tags map[string]string, fields map[string]any, at time.Time) {
	*p = append(*p, birthPoint{measurement, tags, fields, at})
}

// A device is on the dashboards from its birth on: with the model that it named, or else
// the default one. Offline messages, telemetry and what was not delivered make no point.
func TestBirthsArePoints(t *testing.T) {
	load := func(name string) *devicefsm.Model {
		m, err := devicefsm.Load(name+".yaml", []byte("model: "+name+"\ninitial: on\nstates: {on: {}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	pump, valve := load("pump"), load("valve")
	names := map[string]string{pump.Hash(): pump.Name(), valve.Hash(): valve.Name()}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	status := func(word string, more ...any) device.Message {
		m := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": word}, Time: at}
		for i := 0; i < len(more); i += 2 {
			m.Data[more[i].(string)] = more[i+1]
		}
		return m
	}
	named := status("online", "site", 7.0)
	named.Model = valve.Hash()
	for name, tc := range map[string]struct {
		delivery device.Delivery
		err      error
		want     birthPoints
	}{
		"default model": {
			device.Delivery{ID: "d1", Batch: device.Batch{Messages: []device.Message{status("boot", "site", "north", "firmware", "1.4")}}}, nil,
			birthPoints{{"births", map[string]string{"device": "d1", "model": "pump", "site": "north"}, map[string]any{"count": int64(1), "firmware": "1.4"}, at}},
		},
		"of a rule": {
			device.Delivery{ID: "d1", Model: valve.Hash(), Batch: device.Batch{Messages: []device.Message{status("boot", "site", true)}}}, nil,
			birthPoints{{"births", map[string]string{"device": "d1", "model": "valve"}, map[string]any{"count": int64(1)}, at}},
		},
		"named": {
			device.Delivery{ID: "d1", Batch: device.Batch{Messages: []device.Message{named}}}, nil,
			birthPoints{{"births", map[string]string{"device": "d1", "model": "valve", "site": "7"}, map[string]any{"count": int64(1)}, at}},
		},
		"unknown model": {
			device.Delivery{ID: "d1", Model: "gone", Batch: device.Batch{Messages: []device.Message{status("boot")}}}, nil,
			birthPoints{{"births", map[string]string{"device": "d1"}, map[string]any{"count": int64(1)}, at}},
		},
		"no birth": {
			device.Delivery{ID: "d1", Batch: device.Batch{Messages: []device.Message{status("offline"), {Channel: device.ChannelTelemetry, Time: at}}}}, nil, nil,
		},
		"not accepted": {
			device.Delivery{ID: "d1", Batch: device.Batch{Messages: []device.Message{status("boot")}}}, errors.New("down"), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got birthPoints
			b := newBirths(birthSink{tc.err}, &got, func(hash string) string { return names[hash] }, pump.Hash())
			if run, err := b.Deliver(t.Context(), tc.delivery); !errors.Is(err, tc.err) || run != "run" {
				t.Fatalf("run %q, error %v", run, err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("points %+v, want %+v", got, tc.want)
			}
		})
	}
}
