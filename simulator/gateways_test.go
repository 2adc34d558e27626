package simulator

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

func siteScenario(t *testing.T) *Scenario { return scenarioFrom(t, "../models/site.scenario.yaml") }

// gatewayModel is the model of gateways: only what they say of their connection matters.
type gatewayModel struct{ testModel }

func (gatewayModel) Name() string                                      { return "gateway" }
func (gatewayModel) Relevant(m device.Message) bool                    { return m.Channel == device.ChannelStatus }
func (g gatewayModel) Pass(_ *devicefsm.Filter, m device.Message) bool { return g.Relevant(m) }

// Alarms makes the world the Groups of a run: a device without a connection is silent.
func (w *world) Alarms(_ context.Context, kind, site string) (map[string]AlarmCount, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if kind != "site" || w.alarms.broken {
		return nil, errors.New("no answer")
	}
	outage, silent, gateway := AlarmCount{Raised: w.alarms.old}, 0, false
	for _, t := range w.twins {
		if t.born["site"] != site || t.link != nil && !w.alarms.lasting {
			continue
		}
		if t.born["model"] == "gateway" {
			gateway = true
		} else {
			silent++
		}
	}
	silence := AlarmCount{Raised: silent}
	if gateway && !w.alarms.blind {
		outage.Raised++
		if silence = (AlarmCount{Explained: silent}); w.alarms.deaf {
			silence = AlarmCount{Raised: silent}
		}
	}
	if w.alarms.mute {
		return nil, nil
	}
	return map[string]AlarmCount{"outage": outage, "silence": silence}, nil
}

// playSite plays the example of models, with 30 devices.
func playSite(t *testing.T, change func(*Options, *world)) Report {
	return play(t, sabotage{}, func(o *Options, w *world) {
		o.Scenario, o.Groups, o.Devices, o.Duration = siteScenario(t), w, 30, 0
		o.Models = map[string]Model{"pump.yaml": testModel{}, "gateway.yaml": gatewayModel{}}
		if change != nil {
			change(o, w)
		}
	})
}

// The devices behind a gateway that is cut are silent as long as it is, and the others are not.
func TestAGatewayIsCut(t *testing.T) {
	type count struct{ connected, messages int }
	var during, later, end map[string]count // by site
	var behind int
	look := func(w *world) map[string]count {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		all := map[string]count{}
		for id, twin := range w.twins {
			site, _ := twin.born["site"].(string)
			c := all[site]
			c.messages += twin.messages
			if twin.link != nil {
				c.connected++
			}
			all[site] = c
			if want := map[string]any{"north": "pump-0001", "south": "pump-0002"}[site]; id != "pump-0001" && id != "pump-0002" && twin.born["parent"] != want {
				t.Errorf("%s at site %s names the parent %v", id, site, twin.born["parent"])
			}
		}
		return all
	}
	r := playSite(t, func(o *Options, w *world) {
		o.Seed = 3
		ramp := 600 * time.Millisecond
		time.AfterFunc(ramp+25*time.Second, func() { during = look(w) })
		time.AfterFunc(ramp+6*time.Minute+19*time.Second, func() { later = look(w) })
		time.AfterFunc(ramp+6*time.Minute+23*time.Second, func() { end = look(w) })
		time.AfterFunc(ramp+10*time.Second, func() {
			for site, c := range look(w) {
				if site == "north" {
					behind = c.connected - 1
				}
			}
		})
	})
	if !r.Clean || r.GatewayCuts != 1 || r.AlarmsExpected != 1 || r.AlarmsExplained != behind {
		t.Errorf("%+v", r)
	}
	if behind < 5 || behind > 23 || r.Reconnects != uint64(behind+1) {
		t.Errorf("%d devices are behind the gateway, and there were %d reconnects", behind, r.Reconnects)
	}
	if n := during["north"]; n.connected != 0 || later["north"] != n {
		t.Errorf("while the gateway is cut: %+v, later %+v", n, later["north"])
	}
	if s := during["south"]; s.connected != 29-behind || later["south"].messages < s.messages+300*s.connected {
		t.Errorf("at the other site: %+v, later %+v", s, later["south"])
	}
	if n := end["north"]; n.connected != behind+1 || n.messages > later["north"].messages+6*(behind+1) {
		t.Errorf("when the gateway is back: %+v, before %+v", n, later["north"])
	}
}

// The report says what is wrong with the alarms of a cut.
func TestAlarmsOfACutAreCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		wrong             wrongAlarms
		missing, spurious int // -1: more than 4
	}{
		"all is well":         {wrongAlarms{}, 0, 0},
		"of an earlier run":   {wrongAlarms{old: 2}, 0, 0},
		"no alarm":            {wrongAlarms{mute: true}, 1, 0},
		"nothing explained":   {wrongAlarms{deaf: true}, 1, -1},
		"no outage":           {wrongAlarms{blind: true}, 1, -1},
		"it does not end":     {wrongAlarms{lasting: true}, 1, 0},
		"a group that is not": {wrongAlarms{broken: true}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := playSite(t, func(_ *Options, w *world) {
				w.alarms = tt.wrong
				w.alarms.lasting = false
				if tt.wrong.lasting {
					time.AfterFunc(3*time.Minute, func() { w.setLasting() })
				}
			})
			spurious := r.AlarmsSpurious
			if spurious > 4 {
				spurious = -1
			}
			if r.AlarmsExpected != 1 || r.AlarmsMissing != tt.missing || spurious != tt.spurious || r.Clean != (tt.missing == 0 && tt.spurious == 0) {
				t.Errorf("%d expected, %d missing, %d spurious, clean is %v", r.AlarmsExpected, r.AlarmsMissing, r.AlarmsSpurious, r.Clean)
			}
			if r.Lost+r.Duplicated+r.Reordered+r.Unexpected > 0 || r.DevicesUnsettled > 0 {
				t.Errorf("the messages: %+v", r)
			}
		})
	}
}

func (w *world) setLasting() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.alarms.lasting = true
}

// A cut is part of the plans of its gateway and what is behind it, and of no other; before it they are as
// without it.
func TestPlansOfCuts(t *testing.T) {
	with := siteScenario(t)
	without := *with
	without.Gateways.Cuts = nil
	plan := func(s *Scenario, device int) (list []Act, identity Identity) {
		const start = 300 * time.Millisecond
		p := NewPlan(s, PlanOptions{Seed: 7, Device: device, Rate: 1, Length: 7 * time.Minute, Start: start, Ramp: time.Second})
		for act, ok := p.Next(); ok; act, ok = p.Next() {
			list = append(list, act)
		}
		return list, p.Identity
	}
	cuts := 0
	for device := range 30 {
		acts, identity := plan(with, device)
		plain, same := plan(&without, device)
		if identity != same {
			t.Fatalf("device %d is %+v, and without cuts %+v", device, identity, same)
		}
		switch {
		case device < 2:
			if identity.Profile != "gateway" || identity.Gateway != 0 || identity.Site != []string{"north", "south"}[device] {
				t.Errorf("device %d: %+v", device, identity)
			}
		case identity.Profile != "pump" || identity.Gateway != map[string]int{"north": 1, "south": 2}[identity.Site]:
			t.Errorf("device %d: %+v", device, identity)
		}
		at := slices.IndexFunc(acts, func(a Act) bool { return a.Kind == ActCut })
		if identity.Site == "south" {
			if at >= 0 || len(acts) != len(plain) {
				t.Errorf("device %d at another site has a cut, or another plan", device)
			}
			continue
		}
		if at < 0 || acts[at].At != 20*time.Second+700*time.Millisecond || acts[at].Down != 6*time.Minute+300*time.Millisecond {
			t.Fatalf("device %d: cut %d of %d acts", device, at, len(acts))
		}
		cuts++
		end := acts[at].At + acts[at].Down
		for i, act := range acts {
			if i < at && (act.At != plain[i].At || !maps.EqualFunc(act.Data, plain[i].Data, func(a, b any) bool { return a == b })) || i > at && act.At < end {
				t.Errorf("device %d: act %d at %v", device, i, act.At)
			}
		}
		if len(acts) < at+10 {
			t.Errorf("device %d: nothing after the cut", device)
		}
	}
	if cuts < 5 {
		t.Errorf("%d cuts", cuts)
	}
}

// All faults of gateways are reported together, with their places.
func TestFaultsOfGateways(t *testing.T) {
	const rest = `
answers: {obey: 1}
expect: {sequence: [{channel: status}], within: 1s, attempts: 1, timeout: 1s}
`
	for _, tt := range []struct{ src, want string }{
		{`scenario: s
duration: 0s
profiles:
  pump: {model: pump, site: [north, south], telemetry: {}}
  hub: {weight: 2, site: north, telemetry: {}}
gateways:
  profile: hub
  cuts:
    - {site: nort, at: 1m, down: 0s}
    - {site: north, at: 1m, down: 1m}
    - {site: north, at: 125s, down: 1m}
    - {site: south, at: 1m}
    - {site: south, down: 1m, for: 2m}
  expect: {group: Site, alarm: outage, explained: outage}
churn: {per_minute: 1, down: 1s}
`, `x.yaml:2:11: expected a duration above zero
x.yaml:4:17: expected the file of a model, found "pump" (for example pump.yaml, next to the scenario)
x.yaml:5:9: profile "hub" is that of gateways, of which each site has one: it has no weight
x.yaml:5:20: profile "hub" is that of gateways, of which each site has one: it has no site
x.yaml:9:14: there is no site "nort" (did you mean "north"?)
x.yaml:9:34: expected a duration above zero
x.yaml:11:25: expected at least 10s between the cuts of a gateway: there is one from 1m0s to 2m0s
x.yaml:12:7: key "down" is missing
x.yaml:13:7: key "at" is missing
x.yaml:13:31: unknown key "for"; expected one of site, at, down
x.yaml:14:19: expected the kind of the groups, which is the name of their model, such as site; found "Site"
x.yaml:14:51: expected another alarm than that of the gateway, outage
x.yaml:15:8: devices that come and go would disturb the alarms that gateways expect: leave out churn, or expect`},
		{`scenario: s
profiles: {pump: {telemetry: {}}}
gateways: {profile: pum, expect: {group: site}}
`, `x.yaml:3:11: expected profiles of other devices with a site: each site has a gateway
x.yaml:3:21: there is no profile "pum" (did you mean "pump"?)
x.yaml:3:34: key "alarm" is missing
x.yaml:3:34: expected cuts: these are the alarms that they cause`},
		{`scenario: s
profiles: {pump: {telemetry: {}}}
gateways: {profile: pump}
`, `x.yaml:3:11: expected profiles of other devices with a site: each site has a gateway
x.yaml:3:21: expected another profile with a weight above 0: that of the devices behind the gateways`},
	} {
		_, err := ReadScenario("x.yaml", []byte(tt.src+rest))
		if err == nil || err.Error() != tt.want {
			t.Errorf("got\n%v\nwant\n%s", err, tt.want)
		}
	}
}

// What the scenario does not know is reported before a run.
func TestOptionsOfGateways(t *testing.T) {
	w := newWorld(sabotage{})
	o := testOptions(t, w)
	o.Scenario, o.Devices, o.Duration = siteScenario(t), 2, time.Minute
	o.Models = map[string]Model{"pump.yaml": testModel{}}
	err := o.Validate()
	for _, want := range []string{
		"devices: expected more than 2, one gateway for each site of the scenario and devices behind them, found 2",
		"duration: expected at least 6m30s: the scenario cuts the gateway of site north at 20s for 6m0s, and the devices are back 10s later; found 1m0s",
		"groups: none given, and the scenario expects alarms of them",
		"models: that of profile gateway, gateway.yaml, is missing",
	} {
		if err == nil || !strings.Contains("\n"+err.Error()+"\n", "\n"+want+"\n") {
			t.Errorf("no line %q in\n%v", want, err)
		}
	}
	o.setDefaults(time.Now())
	o.Speech = Tasmota(nil)
	if err := o.checkGateways(); len(err) != 5 {
		t.Errorf("of plugs: %v", err)
	}
}
