package devicefsm

import (
	"cmp"
	"slices"
	"time"
)

// ActiveAlarm is an alarm that is raised and has not ended.
type ActiveAlarm struct {
	Alarm string    `json:"alarm"`
	Key   string    `json:"key,omitempty"` // what it is of; "" is the entity itself
	Since time.Time `json:"since"`         // as an event: when what it is about began
	// Explains is how many troubles of other alarms are not raised because of this one. Those
	// whose event did not name a parent count for each alarm that explains them.
	Explains int `json:"explains,omitempty"`
}

// ActiveAlarms are the alarms that are raised, at most limit: those that have lasted longest,
// the oldest first.
func (m *Model) ActiveAlarms(s *Snapshot, limit int) []ActiveAlarm {
	s, err := m.bind(s)
	if err != nil {
		return nil
	}
	var active []ActiveAlarm
	for i, list := range s.troubles {
		if list.count(troubleRaised) == 0 {
			continue
		}
		explains := s.explainedBy(i)
		for t := range list.all() {
			if t.status == troubleRaised {
				active = append(active, ActiveAlarm{Alarm: m.alarms[i].name, Key: t.key, Since: fromMillis(t.since), Explains: explains(t.key)})
			}
		}
	}
	slices.SortStableFunc(active, func(a, b ActiveAlarm) int { return cmp.Compare(a.Since.UnixMilli(), b.Since.UnixMilli()) })
	return active[:min(len(active), limit)]
}

// explainedBy counts what an alarm explains, by the key of its trouble.
func (s *Snapshot) explainedBy(alarm int) func(key string) int {
	ofParent, ofAny := map[string]int{}, 0
	for i, list := range s.troubles {
		if s.model.alarms[i].explainedBy != alarm || list.count(troubleExplained) == 0 {
			continue
		}
		for t := range list.all() {
			switch {
			case t.status != troubleExplained:
			case t.parent == "":
				ofAny++
			default:
				ofParent[t.parent]++
			}
		}
	}
	return func(key string) int { return ofAny + ofParent[key] }
}
