package simulator

import (
	"path/filepath"
	"time"

	"devicetwin/source"
)

func readProfiles(n source.Node, faults []FaultSequence) []Profile {
	if !n.Exists() {
		return nil
	}
	var profiles []Profile
	total := 0.0
	for _, e := range n.Entries() {
		p := readProfile(e, faults)
		total += p.Weight
		profiles = append(profiles, p)
	}
	if n.IsMap() && total == 0 {
		n.Faultf("expected at least one profile with a weight above 0")
	}
	return profiles
}

func readProfile(e source.Entry, faults []FaultSequence) Profile {
	m := e.Value.Fields("weight", "model", "firmware", "site", "telemetry", "faults")
	e.Value.Require(m, "telemetry")
	p := Profile{Name: e.Key, Weight: 1, Firmware: readTexts(m["firmware"]), Site: readTexts(m["site"])}
	if m["weight"].Exists() {
		p.Weight = readWeight(m["weight"])
	}
	if n := m["model"]; n.Exists() {
		if p.Model = n.String(); n.IsString() && filepath.Ext(p.Model) == "" {
			n.FaultHint("for example "+p.Model+".yaml, next to the scenario", "expected the file of a model, found %q", p.Model)
		}
	}
	if m["telemetry"].Exists() {
		data := readData(m["telemetry"]) // for its faults about keys
		for _, f := range m["telemetry"].Entries() {
			if _, ok := data[f.Key]; ok {
				p.Telemetry = append(p.Telemetry, Field{Name: f.Key, Generator: readGenerator(f.Value)})
			}
		}
	}
	if m["faults"].Exists() {
		p.Faults = readScales(m["faults"], faults)
	}
	return p
}

func readScales(n source.Node, faults []FaultSequence) map[string]float64 {
	var names []string
	for _, f := range faults {
		names = append(names, f.Name)
	}
	scales := map[string]float64{}
	for _, e := range n.Entries() {
		known := false
		for _, name := range names {
			known = known || name == e.Key
		}
		if !known {
			e.KeyAt.FaultHint(source.DidYouMean(e.Key, names), "there is no fault sequence %q", e.Key)
			continue
		}
		scales[e.Key] = readWithin(e.Value, 0, 1000, "a factor")
	}
	return scales
}

func readTexts(n source.Node) []string {
	var texts []string
	for _, e := range n.OneOrList() {
		texts = append(texts, e.Scalar())
	}
	return texts
}

// readGenerator reads a mapping of one key, the kind of the generator. A single
// value in its place is a constant.
func readGenerator(n source.Node) Generator {
	if n.Exists() && !n.IsMap() && !n.IsList() && !n.IsNull() {
		return Constant{n.Any()}
	}
	kinds := []string{"constant", "random_walk", "sine", "enumerated"}
	m := n.Fields(kinds...)
	if n.IsMap() && len(n.Entries()) != 1 {
		n.Faultf("expected one generator, found %d", len(n.Entries()))
		return Constant{}
	}
	switch {
	case m["random_walk"].Exists():
		return readRandomWalk(m["random_walk"])
	case m["sine"].Exists():
		return readSine(m["sine"])
	case m["enumerated"].Exists():
		return readEnumerated(m["enumerated"])
	case m["constant"].Exists():
		return Constant{readSingle(m["constant"])}
	}
	return Constant{}
}

func readSingle(n source.Node) any {
	if n.IsMap() || n.IsList() || n.IsNull() {
		n.Faultf("expected a single value, found %s", n.Kind())
		return nil
	}
	return n.Any()
}

func readRandomWalk(n source.Node) Generator {
	m := n.Fields("start", "spread", "step", "min", "max")
	n.Require(m, "start", "step", "min", "max")
	w := RandomWalk{Start: m["start"].Float(), Spread: m["spread"].Float(), Step: m["step"].Float(), Min: m["min"].Float(), Max: m["max"].Float()}
	if m["min"].Exists() && m["max"].Exists() {
		if w.Max < w.Min {
			m["max"].Faultf("max, %g, is less than min, %g", w.Max, w.Min)
		} else if m["start"].Exists() && (w.Start < w.Min || w.Start > w.Max) {
			m["start"].Faultf("start, %g, is not between min, %g, and max, %g", w.Start, w.Min, w.Max)
		}
	}
	return w
}

func readSine(n source.Node) Generator {
	m := n.Fields("mean", "amplitude", "period", "noise")
	n.Require(m, "mean", "amplitude", "period")
	s := Sine{Mean: m["mean"].Float(), Amplitude: m["amplitude"].Float(), Noise: m["noise"].Float(), Period: readPositiveDuration(m["period"])}
	s.Period = max(s.Period, time.Nanosecond)
	return s
}

func readEnumerated(n source.Node) Generator {
	m := n.Fields("values", "weights", "stay")
	n.Require(m, "values")
	e := Enumerated{Stay: readPart(m["stay"])}
	if !m["values"].Exists() {
		return e
	}
	for _, v := range m["values"].List() {
		e.Values = append(e.Values, readSingle(v))
		e.Weights = append(e.Weights, 1)
	}
	if m["values"].IsList() && len(e.Values) == 0 {
		m["values"].Faultf("expected at least one value")
	}
	if w := m["weights"]; w.Exists() {
		e.Weights = e.Weights[:0]
		for _, v := range w.List() {
			e.Weights = append(e.Weights, readWeight(v))
		}
		if len(e.Weights) != len(e.Values) {
			w.Faultf("expected as many weights as values, %d, found %d", len(e.Values), len(e.Weights))
		}
	}
	return e
}

func readFaultSequences(n source.Node) []FaultSequence {
	if !n.Exists() {
		return nil
	}
	var faults []FaultSequence
	for _, e := range n.Entries() {
		m := e.Value.Fields("per_minute", "per_message", "messages")
		e.Value.Require(m, "messages")
		if m["per_minute"].Exists() == m["per_message"].Exists() {
			e.KeyAt.Faultf("expected one of per_minute and per_message")
		}
		f := FaultSequence{Name: e.Key, PerMinute: readRate(m["per_minute"]), PerMessage: readPart(m["per_message"])}
		if m["messages"].Exists() {
			for _, c := range m["messages"].List() {
				f.Messages = append(f.Messages, readFaultMessage(c))
			}
		}
		faults = append(faults, f)
	}
	return faults
}

func readFaultMessage(n source.Node) FaultMessage {
	m := n.Fields("channel", "name", "data", "times", "gap")
	n.Require(m, "channel")
	c := FaultMessage{Channel: readChannel(m["channel"]), Times: readTimes(m["times"]), Gap: readRange(m["gap"])}
	c.Name = readEventName(n, m["name"], c.Channel)
	if m["data"].Exists() {
		c.Data = readData(m["data"])
	}
	return c
}

// readAnswers reads weights by kind. A late answer has to come well before the
// attempt's timeout: otherwise it would be a matter of luck whether it counts.
func readAnswers(n source.Node, timeout time.Duration) []Answer {
	if !n.Exists() {
		return nil
	}
	m := n.Fields(string(Obey), string(ObeyLate), string(Refuse), string(Ignore))
	total := 0.0
	var answers []Answer
	for _, kind := range []AnswerKind{Obey, ObeyLate, Refuse, Ignore} {
		v := m[string(kind)]
		if !v.Exists() {
			continue
		}
		a := Answer{Kind: kind, Reason: "busy"}
		if v.IsMap() {
			f := v.Fields("weight", "delay", "reason")
			v.Require(f, "weight")
			a.Weight = readWeight(f["weight"])
			a.Delay = readRange(f["delay"])
			if f["delay"].Exists() && kind != ObeyLate {
				f["delay"].Faultf("only obey_late has a delay")
			}
			if r := f["reason"]; r.Exists() {
				a.Reason = r.String()
			}
			if a.Delay.Max > timeout*2/3 && timeout > 0 {
				f["delay"].Faultf("expected at most two thirds of expect.timeout, %s, found %s", timeout*2/3, a.Delay.Max)
			}
		} else {
			a.Weight = readWeight(v)
			if kind == ObeyLate {
				v.Faultf("expected weight and delay of obey_late")
			}
		}
		total += a.Weight
		answers = append(answers, a)
	}
	if n.IsMap() && total == 0 {
		n.Faultf("expected at least one answer with a weight above 0")
	}
	return answers
}
