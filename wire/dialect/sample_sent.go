package dialect

import (
	"encoding/json"
	"fmt"
	"slices"

	"devicetwin/device"
	"devicetwin/source"
	"devicetwin/wire"
)

// sent is what a sample sends, and what is published.
type sent struct {
	occasion string // command, desired, birth or start
	device   device.ID
	id       string // the template by which its id was made; "": the file's own
	vars     map[string]string
	command  wire.Command
	state    []byte // that is desired, a JSON object

	publications []samplePublication
	publishes    bool // they are given
	done         *bool
	shows        any // nil: not given
}

// occasionsOfSamples are those of a sample in which something is sent.
var occasionsOfSamples = []string{"command", "desired", "birth", "start"}

// sentKeys are what such a sample has, in addition to one of them.
var sentKeys = []string{"sends", "done", "shows"}

// SampleCommand is the id of commands in samples; they are decided at the time at which samples
// are received.
const SampleCommand = "sample-1"

// readSent reads a sample in which something is sent.
func readSent(n source.Node, f map[string]source.Node, occasion string) Sample {
	s := Sample{at: n, Origin: f["from"].String(), Received: sampleTime, outcome: f["outcome"].String(), sent: &sent{occasion: occasion}}
	for key, v := range f {
		if !slices.Contains(slices.Concat(sentKeys, []string{occasion, "from", "outcome"}), key) {
			v.Faultf("%s: expected none where something is sent", key)
		}
	}
	s.sent.readOccasion(f[occasion])
	s.sent.readPublished(n, f)
	if v := f["outcome"]; v.Exists() {
		checkOutcome(v, s.outcome, noWords)
	}
	return s
}

// noWords is the outcome of a command that the dialect has no words for.
const noWords = "no_words"

// readOccasion reads what is sent, and to whom.
func (s *sent) readOccasion(n source.Node) {
	if s.occasion == "start" {
		if !n.Bool() {
			n.Faultf("start: expected true")
		}
		return
	}
	if s.occasion == "birth" && n.IsString() {
		s.readDevice(n)
		return
	}
	keys, required := []string{"device", "id", "vars"}, []string{"device"}
	switch s.occasion {
	case "command":
		keys, required = append(keys, "name", "data", "ttl"), append(required, "name")
	case "desired":
		keys, required = append(keys, "state"), append(required, "state")
	}
	f := n.Fields(keys...)
	n.Require(f, required...)
	if f["device"].Exists() {
		s.readDevice(f["device"])
	}
	s.id = f["id"].String()
	if f["vars"].Exists() {
		s.vars = map[string]string{}
		for _, e := range f["vars"].Entries() {
			s.vars[e.Key] = e.Value.Scalar()
		}
	}
	s.command = wire.Command{ID: SampleCommand, Name: f["name"].String(), At: sampleTime, TTL: f["ttl"].Duration()}
	if f["data"].Exists() {
		raw, err := encoded(f["data"].Any())
		if err != nil {
			f["data"].Faultf("%v", err)
		}
		s.command.Data = json.RawMessage(raw)
	}
	if v := f["state"]; v.Exists() {
		v.Entries() // anything else than a mapping is a fault
		s.state, _ = encoded(v.Any())
	}
}

func (s *sent) readDevice(n source.Node) {
	id, err := device.Parse(n.String())
	if err != nil {
		n.Faultf("%v", err)
	}
	s.device = id
}

// readPublished reads what is expected.
func (s *sent) readPublished(n source.Node, f map[string]source.Node) {
	if v := f["sends"]; v.Exists() {
		s.publishes = true
		for _, v := range v.OneOrList() {
			s.publications = append(s.publications, readPublication(v))
		}
	} else if !f["outcome"].Exists() {
		n.Faultf("expected sends, or outcome")
	}
	for _, key := range []string{"done", "shows"} {
		if s.occasion != "command" {
			f[key].Faultf("%s: only a command is done", key)
		}
	}
	if v := f["done"]; v.Exists() {
		done := v.Bool()
		s.done = &done
	}
	if v := f["shows"]; v.Exists() {
		s.shows = v.Any()
	}
	if f["outcome"].Exists() && s.occasion == "command" {
		for _, key := range sentKeys {
			f[key].Faultf("expected outcome or %s", key)
		}
	}
}

// check sends what the sample says, and compares.
func (s *sent) check(set *Set, name, outcome string) error {
	d, err := set.sampled(name)
	if err != nil {
		return err
	}
	to, err := d.AddressOf(s.device, s.id, s.vars)
	if err != nil {
		return err
	}
	if s.vars == nil && d.discovery != nil {
		to.Vars = set.learnedVars(d, s.device)
	}
	var got wire.Sending
	switch s.occasion {
	case "command":
		got, err = set.Encode(s.device, to, s.command)
	case "desired":
		got.Publications, err = set.EncodeDesired(s.device, to, s.state)
	case "birth":
		got.Publications = set.Questions(s.device, to)
	default:
		got.Publications = set.openingOf(d)
	}
	if is := outcomeOf(err); is != outcome {
		if err != nil {
			return fmt.Errorf("%w; expected %s", err, orSends(outcome))
		}
		return fmt.Errorf("%d are sent; expected %s", len(got.Publications), outcome)
	}
	if !s.publishes {
		return nil
	}
	return s.compare(got)
}

func orSends(outcome string) string {
	if outcome == "" {
		return "what it sends"
	}
	return outcome
}

// sampled is the dialect of a sample: the one with a name, or the only one.
func (s *Set) sampled(name string) (*Dialect, error) {
	if name == "" && len(s.dialects) == 1 {
		return s.dialects[0], nil
	}
	if d := s.dialectOf(&device.Address{Dialect: name}); d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("dialect %q is not among the %d that there are", name, len(s.dialects))
}
