package plan

import (
	"devicetwin/devicefsm"
	"devicetwin/source"
)

// The keys of a plan file.
var keys = []string{
	"plan", "from", "to", "states", "otherwise", "regions", "history", "context", "entry", "timers", "new_timers",
	"invocations", "new_invocations", "schedules", "patterns", "windows", "alarms", "raises", "always",
}

// Read reads a plan for two models. The error is source.Faults: every error in
// it, each hole included, with line and column. The file's name is used in faults only.
func Read(file string, src []byte, old, new *devicefsm.Model) (*Plan, error) {
	r, parsed, err := parse(file, src)
	if err != nil {
		return nil, err
	}
	p := &Plan{Plan: parsed, old: old, new: new}
	migration, faults := devicefsm.NewMigration(old, new, p.Plan)
	for _, f := range faults {
		r.at(f).FaultHint(f.Hint, "%s", f.Message)
	}
	if err := r.f.Err(); err != nil {
		return nil, err
	}
	p.Migration = migration
	p.Hash, err = p.Plan.Hash()
	return p, err
}

// Parse reads a plan without its models, for who hands it on to somebody that has them: whether it
// fits them is not known. The error is source.Faults.
func Parse(file string, src []byte) (devicefsm.Plan, error) {
	_, p, err := parse(file, src)
	return p, err
}

func parse(file string, src []byte) (*reader, devicefsm.Plan, error) {
	r := &reader{f: source.Parse(file, src), places: map[place]source.Node{}}
	root := r.f.Root()
	switch {
	case r.f.Err() != nil:
		return nil, devicefsm.Plan{}, r.f.Err()
	case !root.Exists():
		root.Faultf("the file is empty; expected a plan, as devicetwin model plan OLD NEW writes it")
		return nil, devicefsm.Plan{}, r.f.Err()
	case !root.IsMap():
		root.Faultf("expected a plan, found %s", root.Kind())
		return nil, devicefsm.Plan{}, r.f.Err()
	}
	p := r.plan(root)
	return r, p, r.f.Err()
}

// reader is the work of Read.
type reader struct {
	f      *source.File
	places map[place]source.Node
}

// place is a key of a part, or the part.
type place struct{ part, key string }

// at is where a fault is, or the nearest place that is in the file.
func (r *reader) at(f devicefsm.PlanFault) source.Node {
	for _, p := range []place{{f.Part, f.Key}, {f.Part, ""}} {
		if n, ok := r.places[p]; ok {
			return n
		}
	}
	return r.f.Root()
}

func (r *reader) plan(root source.Node) devicefsm.Plan {
	for _, e := range root.Entries() {
		r.places[place{e.Key, ""}] = e.KeyAt
	}
	fields := root.Fields(keys...)
	root.Require(fields, "from", "to", "states")
	p := devicefsm.Plan{
		Model: word(fields["plan"]), From: word(fields["from"]), To: word(fields["to"]),
		Otherwise: word(fields["otherwise"]), Always: word(fields["always"]),
		States: map[string][]string{}, Regions: r.words("regions", fields), History: r.words("history", fields), Entry: r.words("entry", fields),
		NewTimers: r.words("new_timers", fields), NewInvocations: r.words("new_invocations", fields), Raises: r.words("raises", fields),
		Timers: r.items("timers", fields), Invocations: r.items("invocations", fields), Schedules: r.items("schedules", fields),
		Patterns: r.items("patterns", fields), Windows: r.items("windows", fields), Alarms: r.items("alarms", fields),
		Context: map[string]string{},
	}
	r.each("states", fields, func(key string, n source.Node) {
		p.States[key] = nil
		if n.IsNull() {
			return
		}
		for _, to := range n.OneOrList() {
			p.States[key] = append(p.States[key], to.String())
		}
	})
	r.each("context", fields, func(key string, n source.Node) {
		p.Context[key] = ""
		if !n.IsNull() {
			p.Context[key], _ = n.Expression()
		}
	})
	return p
}

// word is a string; "" where it is missing.
func word(n source.Node) string {
	if !n.Exists() || n.IsNull() {
		return ""
	}
	return n.Scalar()
}

func (r *reader) each(part string, fields map[string]source.Node, f func(key string, n source.Node)) {
	n := fields[part]
	if !n.Exists() || n.IsNull() {
		return
	}
	for _, e := range n.Entries() {
		at := e.Value
		if !at.Exists() || at.IsNull() {
			at = e.KeyAt
		}
		r.places[place{part, e.Key}] = at
		f(e.Key, e.Value)
	}
}

func (r *reader) words(part string, fields map[string]source.Node) map[string]string {
	all := map[string]string{}
	r.each(part, fields, func(key string, n source.Node) { all[key] = word(n) })
	return all
}

func (r *reader) items(part string, fields map[string]source.Node) map[string]devicefsm.PlanItem {
	all := map[string]devicefsm.PlanItem{}
	r.each(part, fields, func(key string, n source.Node) {
		if !n.IsMap() {
			all[key] = devicefsm.PlanItem{Do: word(n)}
			return
		}
		of := n.Fields("do", "as")
		all[key] = devicefsm.PlanItem{Do: word(of["do"]), As: word(of["as"])}
	})
	return all
}
