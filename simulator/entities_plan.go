package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// entityActKind is a kind of entityAct.
type entityActKind uint8

const (
	actRecord   entityActKind = iota // a record of a kind
	actCopy                          // one that was written before
	actDeletion                      // a record without a value
	actPoison                        // a record that cannot be read
)

// entityAct is one record that is written.
type entityAct struct {
	at     time.Duration // since the entity's start
	kind   entityActKind
	record string // name of the RecordKind, of actRecord
	topic  string
	value  []byte
}

// poison is a value that no dialect can read as JSON.
var poison = []byte(`{"unfinished":`)

// entityPlan is what one entity does, in the order of time: pure arithmetic on the scenario, the seed and
// the entity's number. It belongs to one goroutine.
type entityPlan struct {
	scenario *EntityScenario
	name     string // of the entity, for ids of records
	length   time.Duration

	records   arrivals
	kinds     *rand.Rand
	weights   []float64
	values    *rand.Rand
	series    [][]series // of each kind of records
	repeats   *rand.Rand
	deletions arrivals
	returns   *rand.Rand
	poison    arrivals
	copies    []entityAct // by time
	made      int
	err       error // why the plan ended, if it did not come to its end
}

func newEntityPlan(s *EntityScenario, name string, seed uint64, index int, rate float64, length time.Duration) *entityPlan {
	draw := func(purpose string) *rand.Rand { return stream(seed, index, purpose) }
	var weights []float64
	for _, p := range s.Profiles {
		weights = append(weights, p.Weight)
	}
	profile := s.Profiles[weighted(weights, draw("identity").Float64())]
	p := &entityPlan{
		scenario: s, name: name, length: length,
		records: newArrivals(rate*profile.Pace*60, draw("records")), kinds: draw("kinds of records"), values: draw("values"),
		repeats: draw("repeats"), deletions: newArrivals(s.Deletions.PerMinute, draw("deletions")), returns: draw("returns"),
		poison: newArrivals(s.Poison.PerMinute, draw("poison arrivals")),
	}
	for _, k := range s.Records {
		p.weights = append(p.weights, k.Weight)
		var all []series
		for _, f := range k.Value {
			all = append(all, f.Generator.series(p.values))
		}
		p.series = append(p.series, all)
	}
	return p
}

// next is the next record, or false when the plan has come to its end. Of two at the same time, copies come
// first, then deletions and poison.
func (p *entityPlan) next() (entityAct, bool) {
	act := p.earliest()
	return act, act.at < p.length
}

func (p *entityPlan) earliest() entityAct {
	at := min(p.records.next, p.deletions.next, p.poison.next)
	switch {
	case len(p.copies) > 0 && p.copies[0].at <= at:
		act := p.copies[0]
		p.copies = p.copies[1:]
		return act
	case at == never:
		return entityAct{at: never}
	case p.deletions.next == at:
		p.delete(at)
		return entityAct{at: at, kind: actDeletion, topic: p.scenario.Deletions.Topic}
	case p.poison.next == at:
		p.poison.advance(at)
		return entityAct{at: at, kind: actPoison, topic: p.scenario.Poison.Topic, value: poison}
	}
	p.records.advance(at)
	return p.record(at)
}

// delete ends the entity, until it comes back if it does.
func (p *entityPlan) delete(at time.Duration) {
	d := p.scenario.Deletions
	returns, after := p.returns.Float64() < d.Back, d.After.between(p.returns.Float64())
	if !returns {
		p.records.next, p.deletions.next, p.poison.next = never, never, never
		return
	}
	p.records.advance(at + after)
	p.deletions.advance(at + after)
}

func (p *entityPlan) record(at time.Duration) entityAct {
	i := weighted(p.weights, p.kinds.Float64())
	k := p.scenario.Records[i]
	value := make(map[string]any, len(k.Value)+1)
	for j, f := range k.Value {
		value[f.Name] = p.series[i][j](at, p.values)
	}
	p.made++
	if k.ID != "" {
		value[k.ID] = p.name + "-" + strconv.Itoa(p.made)
	}
	raw, err := json.Marshal(value)
	if err != nil { // a number of YAML that JSON has not
		p.err = fmt.Errorf("encode a record %s of scenario %s: %w", k.Name, p.scenario.Name, err)
		return entityAct{at: never}
	}
	act := entityAct{at: at, kind: actRecord, record: k.Name, topic: k.Topic, value: raw}
	again, delay := p.repeats.Float64() < p.scenario.Duplicates.PerMessage, p.scenario.Duplicates.Delay.between(p.repeats.Float64())
	if again {
		p.insert(entityAct{at: at + delay, kind: actCopy, record: k.Name, topic: k.Topic, value: raw})
	}
	return act
}

func (p *entityPlan) insert(act entityAct) {
	i, _ := slices.BinarySearchFunc(p.copies, act, func(a, b entityAct) int {
		if a.at <= b.at {
			return -1 // behind those of the same time
		}
		return 1
	})
	p.copies = slices.Insert(p.copies, i, act)
}
