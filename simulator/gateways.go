package simulator

import (
	"fmt"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// Gateways are devices through which others reach the broker: one for each site. The others at the
// site name it as their parent.
type Gateways struct {
	Profile string // what the gateways are; "": there are none
	Cuts    []Cut
	Expect  CutAlarms
}

// Cut is an outage of a gateway: it and the devices behind it lose their connections at once, and are
// silent until they come back, one after another.
type Cut struct {
	Site string
	At   time.Duration // since the whole fleet runs
	Down time.Duration
}

// over is when the gateway is back.
func (c Cut) over() time.Duration { return c.At + c.Down }

// CutAlarms are the alarms of a site that a cut of its gateway has to cause, and no others. They are
// declared, so that an error in a model shows.
type CutAlarms struct {
	Group string // the kind of the groups, each of which has the name of a site; "": no alarms are looked at
	Alarm string // that is raised once, for the gateway
	// Explained is the alarm of the devices behind it, all of which the outage explains before it is over; ""
	// if that is not looked at.
	Explained string
}

// readGateways reads `gateways:`. What is no longer of the other profiles is taken out of their weights.
func readGateways(n, ofProfiles source.Node, profiles []Profile) Gateways {
	if !n.Exists() {
		return Gateways{}
	}
	m := n.Fields("profile", "cuts", "expect")
	n.Require(m, "profile")
	g := Gateways{Profile: m["profile"].String(), Expect: readCutAlarms(m["expect"])}
	if m["profile"].IsString() {
		g.take(m["profile"], ofProfiles, profiles)
	}
	sites := sitesOf(profiles, g.Profile)
	if m["profile"].Exists() && len(sites) == 0 {
		n.Faultf("expected profiles of other devices with a site: each site has a gateway")
	}
	if m["cuts"].Exists() {
		for _, c := range m["cuts"].List() {
			g.Cuts = append(g.Cuts, g.readCut(c, sites))
		}
	} else if e := m["expect"]; e.Exists() {
		e.Faultf("expected cuts: these are the alarms that they cause")
	}
	return g
}

// take makes a profile that of the gateways.
func (g *Gateways) take(n, ofProfiles source.Node, profiles []Profile) {
	var names []string
	left := 0.0
	found := -1
	for i, p := range profiles {
		names = append(names, p.Name)
		if p.Name == g.Profile {
			found = i
			continue
		}
		left += p.Weight
	}
	switch {
	case found < 0:
		n.FaultHint(source.DidYouMean(g.Profile, names), "there is no profile %q", g.Profile)
		return
	case left == 0:
		n.Faultf("expected another profile with a weight above 0: that of the devices behind the gateways")
	}
	profiles[found].Weight = 0
	for _, p := range ofProfiles.Entries() {
		if p.Key != g.Profile || !p.Value.IsMap() {
			continue
		}
		for _, e := range p.Value.Entries() {
			if e.Key == "weight" || e.Key == "site" {
				e.KeyAt.Faultf("profile %q is that of gateways, of which each site has one: it has no %s", g.Profile, e.Key)
			}
		}
	}
}

func (g *Gateways) readCut(n source.Node, sites []string) Cut {
	m := n.Fields("site", "at", "down")
	n.Require(m, "site", "at", "down")
	c := Cut{Site: m["site"].Scalar(), At: m["at"].Duration(), Down: readPositiveDuration(m["down"])}
	if m["site"].Exists() && !slices.Contains(sites, c.Site) {
		m["site"].FaultHint(source.DidYouMean(c.Site, sites), "there is no site %q", c.Site)
	}
	for _, other := range g.Cuts {
		if other.Site == c.Site && c.At <= other.over()+cutRest && other.At <= c.over()+cutRest {
			m["at"].Faultf("expected at least %s between the cuts of a gateway: there is one from %s to %s", cutRest, other.At, other.over())
		}
	}
	return c
}

// cutRest is how long after a cut all devices have to be back, and what it raised has to be over, in addition
// to the time that they take to connect.
const cutRest = 10 * time.Second

func readCutAlarms(n source.Node) CutAlarms {
	if !n.Exists() {
		return CutAlarms{}
	}
	m := n.Fields("group", "alarm", "explained")
	n.Require(m, "group", "alarm")
	e := CutAlarms{Group: m["group"].String(), Alarm: m["alarm"].String(), Explained: m["explained"].String()}
	if kind, err := device.ParseKind(e.Group); m["group"].IsString() && (err != nil || kind == device.KindDevice) {
		m["group"].Faultf("expected the kind of the groups, which is the name of their model, such as site; found %q", e.Group)
	}
	if m["explained"].IsString() && e.Explained == e.Alarm {
		m["explained"].Faultf("expected another alarm than that of the gateway, %s", e.Alarm)
	}
	return e
}

// sitesOf are those of the profiles but one that have devices, each once, in the order of the file.
func sitesOf(profiles []Profile, but string) (sites []string) {
	for _, p := range profiles {
		for _, site := range p.Site {
			if p.Name != but && p.Weight > 0 && !slices.Contains(sites, site) {
				sites = append(sites, site)
			}
		}
	}
	return sites
}

// gatewaySites are the sites that have a gateway: the first devices of the fleet, in this order.
func (s *Scenario) gatewaySites() []string {
	if s.Gateways.Profile == "" {
		return nil
	}
	return sitesOf(s.Profiles, s.Gateways.Profile)
}

// gatewayProfile is that of the gateways.
func (s *Scenario) gatewayProfile() *Profile {
	i := slices.IndexFunc(s.Profiles, func(p Profile) bool { return p.Name == s.Gateways.Profile })
	return &s.Profiles[i]
}

// place makes the first devices the gateways of the sites, and puts the others behind them.
func (p *Plan) place() {
	sites := p.scenario.gatewaySites()
	if p.options.Device < len(sites) {
		p.Identity.Site = sites[p.options.Device]
		return
	}
	p.Identity.Gateway = slices.Index(sites, p.Identity.Site) + 1
}

// cutsOf are the cuts that the device is part of. Devices that lose their connection together come back as
// they came: one after another.
func (p *Plan) cutsOf() (acts []Act) {
	isGateway := p.options.Device < len(p.scenario.gatewaySites())
	if !isGateway && p.Identity.Gateway == 0 {
		return nil
	}
	for _, c := range p.scenario.Gateways.Cuts {
		if c.Site == p.Identity.Site {
			acts = append(acts, Act{At: p.options.Ramp - p.options.Start + c.At, Kind: ActCut, Down: c.Down + p.options.Start})
		}
	}
	slices.SortFunc(acts, func(a, b Act) int { return int(a.At - b.At) })
	return acts
}

// checkGateways reports a fleet that is too small for its gateways, or a run that is over before the cuts
// are.
func (o Options) checkGateways() (faults []error) {
	s := o.Scenario
	if sites := len(s.gatewaySites()); sites > 0 && o.Devices <= sites {
		faults = append(faults, fmt.Errorf("devices: expected more than %d, one gateway for each site of the scenario and devices behind them, found %d", sites, o.Devices))
	}
	back := time.Duration(float64(o.Devices)/o.ConnectRate*float64(time.Second)) + cutRest
	for _, c := range s.Gateways.Cuts {
		if least := c.over() + back; o.Duration < least {
			faults = append(faults, fmt.Errorf("duration: expected at least %s: the scenario cuts the gateway of site %s at %s for %s, and the devices are back %s later; found %s",
				least.Round(time.Second), c.Site, c.At, c.Down, back.Round(time.Second), o.Duration))
		}
	}
	if s.Gateways.Expect.Group != "" && o.Groups == nil {
		faults = append(faults, fmt.Errorf("groups: none given, and the scenario expects alarms of them"))
	}
	if o.Speech != nil && !o.Speech.Names() && s.namesInBirths() {
		faults = append(faults, fmt.Errorf("scenario: profiles with a model, and gateways: expected devices whose birth messages name them, of the standard dialect"))
	}
	for _, p := range s.Profiles {
		if _, ok := o.Models[p.Model]; p.Model != "" && !ok {
			faults = append(faults, fmt.Errorf("models: that of profile %s, %s, is missing", p.Name, p.Model))
		}
	}
	return faults
}

// namesInBirths reports whether birth messages name a model or a parent.
func (s *Scenario) namesInBirths() bool {
	return s.Gateways.Profile != "" || slices.ContainsFunc(s.Profiles, func(p Profile) bool { return p.Model != "" })
}
