package devicefsm

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"devicetwin/source"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func loadFile(t testing.TB, file string) *Model {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, string(src))
}

func load(t testing.TB, src string) *Model {
	t.Helper()
	m, err := Load("model.yaml", []byte(src))
	var faults source.Faults
	if errors.As(err, &faults) {
		t.Fatalf("load:\n%s", faults.Pretty())
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// device drives a model in tests.
type driver struct {
	t   testing.TB
	m   *Model
	s   *Snapshot
	now time.Time
	out Outcome // of the latest step
}

func start(t testing.TB, m *Model) *driver {
	d := &driver{t: t, m: m, now: t0}
	d.s, d.out = m.Start(t0)
	return d
}

func (d *driver) send(name string, data map[string]any) *driver {
	d.t.Helper()
	return d.step(Event{Name: name, Data: data, Time: d.now})
}

func (d *driver) step(ev Event) *driver {
	d.t.Helper()
	before, err := json.Marshal(d.s)
	if err != nil {
		d.t.Fatal(err)
	}
	next, out := d.m.Step(d.s, ev)
	after, _ := json.Marshal(d.s)
	if string(before) != string(after) {
		d.t.Fatalf("step changed the given snapshot: %s -> %s", before, after)
	}
	// Every step of every test also goes through JSON.
	var decoded Snapshot
	if err := json.Unmarshal(before, &decoded); err != nil {
		d.t.Fatal(err)
	}
	again, out2 := d.m.Step(&decoded, ev)
	a, _ := json.Marshal(next)
	b, _ := json.Marshal(again)
	if string(a) != string(b) || !reflect.DeepEqual(out, out2) {
		d.t.Fatalf("a snapshot read from JSON steps differently:\n%s\n%s\n%+v\n%+v", a, b, out, out2)
	}
	d.s, d.out = next, out
	return d
}

func (d *driver) advance(by time.Duration) *driver {
	d.t.Helper()
	d.now = d.now.Add(by)
	return d.step(Event{Time: d.now})
}

func (d *driver) in(want string) *driver {
	d.t.Helper()
	if got := d.m.StateName(d.s); got != want {
		d.t.Fatalf("state %s, want %s (faults %q)", got, want, d.out.Faults)
	}
	return d
}

func (d *driver) actions(want ...string) *driver {
	d.t.Helper()
	var got []string
	for _, a := range d.out.Actions {
		text := a.Type + " " + a.Name
		if a.Type == ActionLog {
			text = a.Data["message"].(string)
		}
		got = append(got, text)
	}
	if !reflect.DeepEqual(got, want) {
		d.t.Fatalf("actions %q, want %q (faults %q)", got, want, d.out.Faults)
	}
	return d
}

func (d *driver) noFaults() *driver {
	d.t.Helper()
	if len(d.out.Faults) > 0 {
		d.t.Fatalf("faults %q", d.out.Faults)
	}
	return d
}
