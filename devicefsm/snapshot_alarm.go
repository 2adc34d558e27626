package devicefsm

import "fmt"

// wireTroubles is the JSON form of the troubles; nil if there are none.
func (s *Snapshot) wireTroubles() map[string][]wireTrouble {
	var all map[string][]wireTrouble
	for i, list := range s.troubles {
		if list.size == 0 {
			continue
		}
		wire := make([]wireTrouble, 0, list.size)
		for t := range list.all() {
			wire = append(wire, wireTrouble{Key: t.key, Parent: t.parent, Status: t.status, Since: t.since, Due: t.due, Lag: t.wall - t.due})
		}
		if all == nil {
			all = map[string][]wireTrouble{}
		}
		all[s.model.alarms[i].name] = wire
	}
	return all
}

// bindTroubles reads the JSON form.
func (m *Model) bindTroubles(out *Snapshot, w *wireSnapshot) error {
	total := 0
	for i, a := range m.alarms {
		wire := w.Troubles[a.name]
		if total += len(wire); total > maxTroubles {
			return fmt.Errorf("more than %d troubles of alarms", maxTroubles)
		}
		list := make([]trouble, 0, len(wire))
		for j, t := range wire {
			if t.Status <= troubleNew || t.Status > troubleRaised || j > 0 && wire[j-1].Key >= t.Key {
				return fmt.Errorf("alarm %q: status %d or place of %q", a.name, t.Status, clip(t.Key))
			}
			list = append(list, trouble{key: t.Key, parent: t.Parent, status: t.Status, since: t.Since, due: t.Due, wall: t.Due + t.Lag})
		}
		out.troubles[i] = newTroubleList(list)
	}
	return nil
}
